"""The three demos: what each injects, what must be visible while it runs, and how it must end."""

from __future__ import annotations

import json
import time
from typing import Any

import functions
from evidence import Record, eventually
from functions import CHECKOUT, PAYMENT, SEARCH, Target
from runner import Run
from stage import Demo, Stage
from traffic import Traffic

# The exit codes of `snapback run`.
COMPLETED, STOPPED = 0, 4
# For everything that follows automatically, even on a busy machine.
PATIENCE_SECONDS = 180.0

CONCURRENCY = Demo(
    "demo 1: zero reserved concurrency, until an alarm ends the run",
    "demo-1-concurrency.json",
    CHECKOUT,
    STOPPED,
    frozenset({
        "GetFunction.Concurrency.ReservedConcurrentExecutions",
        "GetFunctionConcurrency.ReservedConcurrentExecutions",
    }),
)  # fmt: skip
HANDLER = Demo(
    "demo 2: a chaos handler from a layer replaces the function's handler",
    "demo-2-handler.json",
    PAYMENT,
    COMPLETED,
    frozenset({
        "Configuration.Handler",
        "Configuration.Layers[2].Arn",
        "Configuration.Timeout",
        "Configuration.MemorySize",
        "Configuration.Environment.Variables.CHAOS_DEADLINE_MS",
        "Configuration.Environment.Variables.CHAOS_ORIGINAL_HANDLER",
    }),
)  # fmt: skip
LAYER = Demo(
    "demo 3: a layer with a wrapper, before the function's own wrapper",
    "demo-3-layer.json",
    SEARCH,
    COMPLETED,
    frozenset({
        "Configuration.Layers[2].Arn",
        "Configuration.Environment.Variables.AWS_LAMBDA_EXEC_WRAPPER",
        "Configuration.Environment.Variables.CHAOS_CHAINED_WRAPPER",
    }),
)  # fmt: skip


def run_concurrency(stage: Stage) -> None:
    """Throttles requests: traffic, Throttles, alarm, event, rule, rollback function, and successful requests again."""
    record = Record(stage.record)
    say = stage.timeline.line
    target = CONCURRENCY.target
    stage.timeline.title(CONCURRENCY.title)
    with Traffic(stage.account, target.name, lambda result: say("traffic", f"{target.name}: {result}")) as traffic:
        # Before the fault, every request succeeds, so the alarm has data and becomes OK.
        eventually(lambda: alarm_state(stage, target) == "OK", PATIENCE_SECONDS)
        with Run(stage, CONCURRENCY, lambda: f"{target.name}: {traffic.counts}") as run:
            run.finish()
        eventually(lambda: traffic.last == "answered", PATIENCE_SECONDS)
        answered_again = traffic.last == "answered"
    counts = traffic.counts
    say("traffic", f"{target.name}: {counts}, of {counts.total} requests")
    function = stage.stack.rollback_function
    enough = eventually(lambda: record.invocations(function) >= len(run.alarms), PATIENCE_SECONDS)
    run.check_outcome()
    stage.check(counts.throttled > 0 and counts.failed == 0, "requests were throttled, and none failed otherwise")
    stage.check(target.alarm_name in run.alarms, "the throttles tripped the alarm, and its event was sent")
    stage.check(enough, f"each of the {len(run.alarms)} alarm events started {function}")
    stage.check(answered_again, "after it, requests succeed again")


def run_handler(stage: Stage) -> None:
    """Shows the responses before, during and after the run, to prove that the chaos handler runs."""
    stage.timeline.title(HANDLER.title)
    before = show_response(stage, HANDLER.target, "before")
    with Run(stage, HANDLER) as run:
        during = show_response(stage, HANDLER.target, "during") if run.wait_for_fault() else {}
        run.finish()
    after = show_response(stage, HANDLER.target, "after")
    run.check_outcome()
    stage.check(during.get("statusCode") == 503 and "headers" in during, "during it, the chaos handler responded")
    stage.check(during.get("body") == before["body"], "it had called the function's handler")
    stage.check(after == before, "after it, the function's handler responds as before")


def run_layer(stage: Stage) -> None:
    """Shows only the configuration, and prints that."""
    stage.timeline.title(LAYER.title)
    stage.timeline.plain(
        "        The emulator runs no wrappers: this demo shows only that the configuration is changed and restored."
    )
    with Run(stage, LAYER) as run:
        run.finish()
    run.check_outcome()


def alarm_state(stage: Stage, target: Target) -> str:
    described = stage.account.client("cloudwatch").describe_alarms(AlarmNames=[target.alarm_name])
    return str(described["MetricAlarms"][0]["StateValue"])


def show_response(stage: Stage, target: Target, when: str) -> dict[str, Any]:
    began = time.monotonic()
    given = functions.invoke(stage.account, target)
    took = (time.monotonic() - began) * 1000
    stage.timeline.line("function", f"{target.name} {when}: {json.dumps(given)} in {took:.0f} ms")
    return given


ALL = (run_concurrency, run_handler, run_layer)

"""The three demos: what each injects, what has to be seen while it runs, and how it has to end."""

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
    "demo 1: no concurrency is left, until an alarm stops it",
    "demo-1-concurrency.json",
    CHECKOUT,
    STOPPED,
    frozenset({
        "GetFunction.Concurrency.ReservedConcurrentExecutions",
        "GetFunctionConcurrency.ReservedConcurrentExecutions",
    }),
)  # fmt: skip
HANDLER = Demo(
    "demo 2: a chaos handler from a layer answers instead of the function's own",
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
    "demo 3: a layer with a wrapper, in front of the wrapper that is there",
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
    """Throttles for real: traffic, Throttles, alarm, event, rule, rollback function, and answers again."""
    record = Record(stage.record)
    say = stage.timeline.line
    target = CONCURRENCY.target
    stage.timeline.title(CONCURRENCY.title)
    with Traffic(stage.account, target.name, lambda result: say("traffic", f"{target.name}: {result}")) as traffic:
        # Before the fault everything is answered, and the alarm has data to be OK about.
        eventually(lambda: alarm_state(stage, target) == "OK", PATIENCE_SECONDS)
        with Run(stage, CONCURRENCY, lambda: f"{target.name}: {traffic.counts}") as run:
            run.finish()
        eventually(lambda: traffic.last == "answered", PATIENCE_SECONDS)
        answered_again = traffic.last == "answered"
    counts = traffic.counts
    say("traffic", f"{target.name}: {counts}, of {counts.total} requests")
    others = [alarm for alarm in run.alarms if alarm != target.alarm_name]
    if others:
        say("alarm", f"also tripped, since the emulator counts a throttle as an error: {', '.join(others)};")
        say("", "their events start the rollback function too, which finds no run that they would stop")
    function = stage.stack.rollback_function
    enough = eventually(lambda: record.invocations(function) >= len(run.alarms), PATIENCE_SECONDS)
    run.judge()
    stage.check(counts.throttled > 0 and counts.failed == 0, "requests were throttled, and nothing else went wrong")
    stage.check(target.alarm_name in run.alarms, "the alarm tripped by the throttles, and its event was sent")
    stage.check(enough, f"each of the {len(run.alarms)} alarm events started {function}")
    stage.check(answered_again, "after it, requests are answered again")


def run_handler(stage: Stage) -> None:
    """Shows the answers before, during and after: the chaos handler really runs."""
    stage.timeline.title(HANDLER.title)
    before = answer(stage, HANDLER.target, "before")
    with Run(stage, HANDLER) as run:
        during = answer(stage, HANDLER.target, "during") if run.wait_for_fault() else {}
        run.finish()
    after = answer(stage, HANDLER.target, "after")
    run.judge()
    stage.check(during.get("statusCode") == 503 and "headers" in during, "during it, the chaos handler answered")
    stage.check(during.get("body") == before["body"], "it had called the function's own handler")
    stage.check(after == before, "after it, the function's own handler answers as before")


def run_layer(stage: Stage) -> None:
    """Shows the configuration alone, and says so."""
    stage.timeline.title(LAYER.title)
    stage.timeline.plain(
        "        The emulator runs no wrapper: this demo shows that the configuration comes and goes, and no more."
    )
    with Run(stage, LAYER) as run:
        run.finish()
    run.judge()


def alarm_state(stage: Stage, target: Target) -> str:
    described = stage.account.client("cloudwatch").describe_alarms(AlarmNames=[target.alarm_name])
    return str(described["MetricAlarms"][0]["StateValue"])


def answer(stage: Stage, target: Target, when: str) -> dict[str, Any]:
    began = time.monotonic()
    given = functions.invoke(stage.account, target)
    took = (time.monotonic() - began) * 1000
    stage.timeline.line("function", f"{target.name} {when}: {json.dumps(given)} in {took:.0f} ms")
    return given


ALL = (run_concurrency, run_handler, run_layer)

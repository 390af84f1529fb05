"""Demo 2: the chaos handler raises exceptions in half of the invocations, until the errors trip an alarm."""

from __future__ import annotations

import json
from typing import Any

from evidence import eventually
from functions import PAYMENT
from injected import injected_faults
from runner import Run
from stage import PATIENCE_SECONDS, STOPPED, Demo, Stage, alarm_state, show_response
from traffic import Response, Traffic, count

DEMO = Demo(
    "demo 2: snapback's chaos handler raises exceptions in half of the invocations, until an alarm ends the run",
    "demo-2-handler.json",
    PAYMENT,
    STOPPED,
    frozenset({
        "Configuration.Handler",
        "Configuration.Layers[2].Arn",
        "Configuration.Environment.Variables.SNAPBACK_HANDLER",
        "Configuration.Environment.Variables.SNAPBACK_HANDLER_FAULTS",
    }),
)  # fmt: skip
ERROR_TYPE = "TimeoutError"
# Below the function's reserved concurrency.
SENDERS = 4
REQUESTS_PER_SECOND = 8
# While half of them fail, this many consecutive requests without a failure happen once in 4,000.
CLEAN_REQUESTS = 12


def run(stage: Stage) -> None:
    target = DEMO.target
    say = stage.timeline.line
    stage.timeline.title(DEMO.title)
    before = show_response(stage, target, "before")
    with Traffic(stage.account, target.name, senders=SENDERS, per_second=REQUESTS_PER_SECOND) as traffic:
        eventually(lambda: alarm_state(stage, target) == "OK", PATIENCE_SECONDS)
        with Run(stage, DEMO, lambda: f"{target.name}: {traffic.counts}") as run:
            run.finish()
        clean = eventually(lambda: is_clean(traffic.responses[-CLEAN_REQUESTS:]), PATIENCE_SECONDS)
    after = show_response(stage, target, "after")
    injected = injected_faults(stage.account, DEMO.run).get("exception", 0)
    logged = raised(stage)
    counts = traffic.counts
    say("traffic", f"{target.name}: {counts.total} requests: {counts.failed} failed")
    say("metrics", f"InjectedFaults in CloudWatch: {injected:.0f} exception")
    for frame in logged[0]["stackTrace"] if logged else []:
        say("log", frame.strip().split("\n")[0])
    run.check_outcome()
    stage.check(0 < injected == counts.failed, "every failure that the traffic saw is one that CloudWatch counts")
    stage.check(len(logged) == counts.failed, "each is in the function's log with its type")
    stage.check(
        bool(logged) and all(is_in_the_function(error["stackTrace"]) for error in logged),
        "each has the function's own frame below snapback's",
    )
    stage.check(target.alarm_name in run.alarms, "the errors tripped the alarm, and its event was sent")
    stage.check(clean and after == before, "after it, the function's handler responds as before")


def is_clean(responses: list[Response]) -> bool:
    return count(responses).answered == CLEAN_REQUESTS


def raised(stage: Stage) -> list[dict[str, Any]]:
    """Returns the injected errors in the function's log, as its runtime has written them."""
    pages = stage.account.client("logs").get_paginator("filter_log_events").paginate(logGroupName=DEMO.target.log_group)
    lines = [event["message"] for page in pages for event in page["events"]]
    return [error for error in map(read, lines) if error.get("errorType") == ERROR_TYPE and error.get("stackTrace")]


def read(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def is_in_the_function(frames: list[str]) -> bool:
    return "snapback_handler/faults.py" in frames[0] and "app.py" in frames[-1] and "in handler" in frames[-1]

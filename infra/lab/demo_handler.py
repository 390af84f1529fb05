"""Demo 2: the chaos handler raises exceptions in half of the invocations, until the errors trip an alarm.

Two runs at the same time: one on a Python function, one on a Node.js function, each with its own alarm.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

from evidence import eventually
from functions import INVOICE, PAYMENT
from injected import injected_faults
from runner import Run
from stage import PATIENCE_SECONDS, STOPPED, Demo, Stage, alarm_state, show_response
from traffic import Response, Traffic, count

TITLE = "demo 2: snapback's chaos handler raises exceptions in half of the invocations, in Python and in Node.js, until an alarm ends the run"
TOUCHED = frozenset({
    "Configuration.Handler",
    "Configuration.Layers[2].Arn",
    "Configuration.Environment.Variables.SNAPBACK_HANDLER",
    "Configuration.Environment.Variables.SNAPBACK_HANDLER_FAULTS",
})  # fmt: skip
PYTHON = Demo(TITLE, "demo-2-handler.json", PAYMENT, STOPPED, TOUCHED, label="python:  ")
NODE = Demo(TITLE, "demo-2-node.json", INVOICE, STOPPED, TOUCHED, label="node.js: ")
# One of Python's classes, and one of the function's own.
ERROR_TYPES = {PYTHON: "TimeoutError", NODE: "MailboxFull"}
# The file of the innermost frame. JavaScript cannot raise in a function that has not begun, so in Node.js it is snapback's own.
INNERMOST = {PYTHON: "app.py", NODE: "snapback_handler/faults.mjs"}
# Below the function's reserved concurrency.
SENDERS = 4
REQUESTS_PER_SECOND = 8
# While half of them fail, this many consecutive requests without a failure happen once in 4,000.
CLEAN_REQUESTS = 12


def run(stage: Stage) -> None:
    stage.timeline.title(TITLE)
    before = {demo: show_response(stage, demo.target, "before") for demo in ERROR_TYPES}
    with contextlib.ExitStack() as started:
        traffic = {demo: started.enter_context(send(stage, demo)) for demo in ERROR_TYPES}
        eventually(lambda: all(alarm_state(stage, demo.target) == "OK" for demo in ERROR_TYPES), PATIENCE_SECONDS)

        def progress() -> str:
            return ", ".join(f"{demo.target.name}: {traffic[demo].counts}" for demo in ERROR_TYPES)

        runs = {demo: started.enter_context(Run(stage, demo, progress)) for demo in ERROR_TYPES}
        Run.finish_all(list(runs.values()))
        clean = eventually(lambda: all(is_clean(each.responses[-CLEAN_REQUESTS:]) for each in traffic.values()), PATIENCE_SECONDS)
    for demo, finished in runs.items():
        is_as_before = clean and show_response(stage, demo.target, "after") == before[demo]
        check(stage, finished, traffic[demo])
        stage.check(is_as_before, f"after it, {demo.target.name}'s handler responds as before")


def send(stage: Stage, demo: Demo) -> Traffic:
    return Traffic(stage.account, demo.target.name, senders=SENDERS, per_second=REQUESTS_PER_SECOND)


def is_clean(responses: list[Response]) -> bool:
    return count(responses).answered == CLEAN_REQUESTS


def check(stage: Stage, finished: Run, traffic: Traffic) -> None:
    """Shows and checks what the traffic, the metrics, the log and the alarm have of one run."""
    demo, counts = finished.demo, traffic.counts
    name = demo.target.name
    say = stage.timeline.line
    injected = injected_faults(stage.account, demo.run).get("exception", 0)
    logged = raised(stage, demo)
    say("traffic", f"{name}: {counts.total} requests: {counts.failed} failed")
    say("metrics", f"{name}: InjectedFaults in CloudWatch: {injected:.0f} exception")
    for frame in frames(logged[0])[:3] if logged else []:
        say("log", frame.strip().split("\n")[0])
    finished.check_outcome()
    stage.check(0 < injected == counts.failed, "every failure that the traffic saw is one that CloudWatch counts")
    stage.check(len(logged) == counts.failed, f"each is in the log of {name} with its type")
    stage.check(
        bool(logged) and all(INNERMOST[demo] in frames(error)[-1] for error in logged),
        f"each was raised in {INNERMOST[demo]}",
    )
    stage.check(demo.target.alarm_name in finished.alarms, f"the errors tripped {demo.target.alarm_name}, and its event was sent")


def raised(stage: Stage, demo: Demo) -> list[dict[str, Any]]:
    """Returns the injected errors in the function's log, as its runtime has written them."""
    pages = stage.account.client("logs").get_paginator("filter_log_events").paginate(logGroupName=demo.target.log_group)
    lines = [error_in(event["message"]) for page in pages for event in page["events"]]
    return [error for error in lines if error.get("errorType") == ERROR_TYPES[demo] and error.get("stackTrace")]


def error_in(line: str) -> dict[str, Any]:
    """Returns the error of a line. The runtime of Node.js has it as the message of the line."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    if isinstance(found, dict) and isinstance(found.get("message"), dict):
        found = found["message"]
    return found if isinstance(found, dict) else {}


def frames(error: dict[str, Any]) -> list[str]:
    """Returns the frames of an error, the innermost last. Node.js writes them the other way round, after the error's text."""
    lines = [str(line) for line in error["stackTrace"]]
    in_node = [line for line in lines if line.strip().startswith("at ")]
    return in_node[::-1] or lines

"""Demo 6: half of the invocations lose their connection to a table, until the errors trip an alarm.

The function's code and its SDK know nothing of it: the shim breaks what libc connects to. The SDK retries, so each such invocation
first takes longer and then fails.
"""

from __future__ import annotations

import time

import network
from evidence import eventually
from functions import ORDERS
from injected import injected_faults
from runner import Run
from stage import PATIENCE_SECONDS, PROXY_FIELDS, STOPPED, Demo, Stage, alarm_state
from traffic import Response, Traffic, count, median_ms

DEMO = Demo(
    "demo 6: half of the invocations lose their connection to a table, until an alarm ends the run",
    "demo-6-dependency.json",
    ORDERS,
    STOPPED,
    PROXY_FIELDS,
)
# Below the function's reserved concurrency.
SENDERS = 4
REQUESTS_PER_SECOND = 8
# While half of them have the fault, this many consecutive requests without one happen once in 256.
CLEAN_REQUESTS = 8


def run(stage: Stage) -> None:
    stage.timeline.title(DEMO.title)
    if not network.is_separate():
        return stage.timeline.line("lab", "skipped: this machine allows no network namespace, and a fault touches no loopback address")
    target = DEMO.target
    traffic = Traffic(stage.account, target.name, senders=SENDERS, per_second=REQUESTS_PER_SECOND)
    with traffic:
        # The first request of each sender starts an environment.
        eventually(lambda: alarm_state(stage, target) == "OK" and is_clean(traffic.since(0)[SENDERS:]), PATIENCE_SECONDS)
        began = time.time()
        with Run(stage, DEMO, lambda: f"{target.name}: {traffic.counts}") as run:
            run.finish()
        ended = time.time()
        clean = eventually(lambda: is_clean(traffic.since(ended)), PATIENCE_SECONDS)
    phases = {"before": traffic.since(0, began)[SENDERS:], "during": traffic.since(began, ended), "after": traffic.since(ended)}
    show(stage, phases)
    run.check_outcome()
    check(stage, run, phases)
    stage.check(clean, "after it, orders are written again")


def is_clean(responses: list[Response]) -> bool:
    return count(responses[-CLEAN_REQUESTS:]).answered == CLEAN_REQUESTS


def show(stage: Stage, phases: dict[str, list[Response]]) -> None:
    say = stage.timeline.line
    say("traffic", f"{'':<8}{'answered':>10}{'median':>12}{'failed':>10}{'median':>12}")
    for phase, responses in phases.items():
        columns = [of_result(responses, result) for result in ("answered", "failed")]
        say("traffic", f"{phase:<8}" + "".join(f"{len(found):>10}{median(found):>12}" for found in columns))


def of_result(responses: list[Response], result: str) -> list[Response]:
    return [response for response in responses if response.result == result]


def median(responses: list[Response]) -> str:
    return f"{median_ms(responses):.0f} ms" if responses else ""


def check(stage: Stage, run: Run, phases: dict[str, list[Response]]) -> None:
    responses = [response for phase in phases.values() for response in phase]
    answered, failed = of_result(responses, "answered"), of_result(responses, "failed")
    injected = injected_faults(stage.account, DEMO.run).get("dependency", 0)
    stage.timeline.line("metrics", f"InjectedFaults in CloudWatch: {injected:.0f} dependency")
    stage.check(0 < injected == len(failed), "every failure that the traffic saw is one that CloudWatch counts")
    stage.check(median_ms(failed) > median_ms(answered), "the SDK's retries made the failed requests slower than the others")
    stage.check(run.demo.target.alarm_name in run.alarms, "the errors tripped the alarm, and its event was sent")

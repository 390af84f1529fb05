"""Demo 3: the proxy delays and fails half of the invocations, until the errors trip an alarm."""

from __future__ import annotations

import time

from evidence import eventually
from functions import SEARCH
from injected import injected_faults
from runner import Run
from stage import PATIENCE_SECONDS, PROXY_FIELDS, STOPPED, Demo, Stage, alarm_state, show_response
from traffic import Response, Traffic, count, median_ms

DEMO = Demo(
    "demo 3: the proxy delays half of the invocations and fails half, until an alarm ends the run",
    "demo-3-proxy.json",
    SEARCH,
    STOPPED,
    PROXY_FIELDS,
)
# The delay of the experiment.
DELAY_SECONDS = 0.6
# Below the function's reserved concurrency.
SENDERS = 4
REQUESTS_PER_SECOND = 8
# While half of them have each fault, this many consecutive requests without one happen once in 16 million.
CLEAN_REQUESTS = 12


def run(stage: Stage) -> None:
    target = DEMO.target
    say = stage.timeline.line
    stage.timeline.title(DEMO.title)
    show_response(stage, target, "before")
    traffic = Traffic(stage.account, target.name, senders=SENDERS, per_second=REQUESTS_PER_SECOND)
    with traffic:
        eventually(lambda: alarm_state(stage, target) == "OK", PATIENCE_SECONDS)
        began = time.time()
        with Run(stage, DEMO, lambda: f"{target.name}: {traffic.counts}") as run:
            run.finish()
        ended = time.time()
        clean = eventually(lambda: is_clean(traffic.responses[-CLEAN_REQUESTS:]), PATIENCE_SECONDS)
    injected = injected_faults(stage.account, DEMO.run)
    during = traffic.since(began, ended)
    slow = [response for response in during if response.took >= DELAY_SECONDS]
    counts = traffic.counts
    took = f"took {DELAY_SECONDS * 1000:.0f} ms or longer, as a cold start can too"
    say("traffic", f"{target.name}: {len(during)} requests during the run: {count(during).failed} failed, {len(slow)} {took}")
    say("traffic", f"median of the requests after the rollback: {median_ms(traffic.responses[-CLEAN_REQUESTS:]):.0f} ms")
    say("metrics", f"InjectedFaults in CloudWatch: {injected.get('error', 0):.0f} error, {injected.get('latency', 0):.0f} latency")
    run.check_outcome()
    stage.check(0 < injected.get("error", 0) == counts.failed, "every failure that the traffic saw is one that CloudWatch counts")
    # A cold start on a busy machine can be slow too.
    stage.check(0 < injected.get("latency", 0) <= len(slow), "every delay that CloudWatch counts was felt")
    stage.check(counts.throttled == 0, "no request was throttled")
    stage.check(target.alarm_name in run.alarms, "the errors tripped the alarm, and its event was sent")
    stage.check(clean, "after it, requests are answered without delay again")


def is_clean(responses: list[Response]) -> bool:
    failed = count(responses).answered != CLEAN_REQUESTS
    return not failed and all(response.took < DELAY_SECONDS for response in responses)

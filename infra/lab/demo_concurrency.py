"""Demo 1: throttles, alarm, event, rule, rollback function, and successful requests again."""

from __future__ import annotations

from evidence import Record, eventually
from functions import CHECKOUT
from runner import Run
from stage import PATIENCE_SECONDS, STOPPED, Demo, Stage, alarm_state, show_response
from traffic import Traffic

DEMO = Demo(
    "demo 1: zero reserved concurrency, until an alarm ends the run",
    "demo-1-concurrency.json",
    CHECKOUT,
    STOPPED,
    frozenset({
        "GetFunction.Concurrency.ReservedConcurrentExecutions",
        "GetFunctionConcurrency.ReservedConcurrentExecutions",
    }),
)  # fmt: skip


def run(stage: Stage) -> None:
    record = Record(stage.record)
    say = stage.timeline.line
    target = DEMO.target
    stage.timeline.title(DEMO.title)
    show_response(stage, target, "before")
    with Traffic(stage.account, target.name, lambda result: say("traffic", f"{target.name}: {result}")) as traffic:
        # Before the fault, every request succeeds, so the alarm has data and becomes OK.
        eventually(lambda: alarm_state(stage, target) == "OK", PATIENCE_SECONDS)
        with Run(stage, DEMO, lambda: f"{target.name}: {traffic.counts}") as run:
            run.finish()
        eventually(lambda: traffic.last == "answered", PATIENCE_SECONDS)
        answered_again = traffic.last == "answered"
    counts = traffic.counts
    say("traffic", f"{target.name}: {counts}, of {counts.total} requests")
    function = stage.stack.rollback_function
    enough = eventually(lambda: record.invocations(function) >= len(run.alarms), PATIENCE_SECONDS)
    run.check_outcome()
    stage.check(counts.throttled > 0 and counts.failed == 0, "requests were throttled, and none failed otherwise")
    stage.check(run.alarms == [target.alarm_name], "the throttles tripped the alarm and no other, and its event was sent")
    stage.check(enough, f"the alarm's event started {function}")
    stage.check(answered_again, "after it, requests succeed again")

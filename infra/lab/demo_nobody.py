"""Demo 4: the execution is stopped, and rollback and reaper are throttled. The fault ends at its own deadline.

When the two functions work again, the reaper restores the target.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from datetime import datetime, timezone
from typing import Iterator

from botocore.exceptions import ClientError

from deployment import ROOT, STACK
from evidence import Record, eventually
from functions import STOCK
from runner import Run
from stage import FAILED, PATIENCE_SECONDS, PROXY_FIELDS, UNFINISHED, Demo, Stage, configuration, show_response
from traffic import Response, Traffic, count

DEMO = Demo(
    "demo 4: nobody is left, and the fault ends at its own deadline",
    "demo-4-nobody.json",
    STOCK,
    UNFINISHED,
    PROXY_FIELDS,
)
# A pause of 50 ms between requests, so that the end of the fault can be seen to about 60 ms.
REQUESTS_PER_SECOND = 20
CLEAN_REQUESTS = 20
# If the schedule's next tick does not come within this time, the demo sends one.
TICK_PATIENCE_SECONDS = 10.0
# The proxy's configuration is JSON with other quotation marks and backslashes (src/model/invocation/proxy_config.rs).
EXCHANGED = str.maketrans("'\"~\\", "\"'\\~")


def run(stage: Stage) -> None:
    target = DEMO.target
    say = stage.timeline.line
    undoers = (stage.stack.rollback_function, stage.stack.reaper_function)
    stage.timeline.title(DEMO.title)
    show_response(stage, target, "before")
    traffic = Traffic(
        stage.account, target.name, lambda result: say("traffic", f"{target.name}: {result}"), per_second=REQUESTS_PER_SECOND
    )
    with traffic, Run(stage, DEMO, lambda: f"{target.name}: {traffic.counts}") as run:
        if not (run.wait_for_fault() and run.wait_until(lambda: traffic.last == "failed")):
            run.check_outcome()
            stage.check(False, "the traffic met the fault")
            return
        with throttled(stage, undoers):
            deadline = fault_deadline(stage)
            refused = all(is_throttled(stage, name) for name in undoers)
            stop_execution(stage)
            say("lab", f"waiting for the fault's own deadline at {datetime.fromtimestamp(deadline, timezone.utc):%H:%M:%S} UTC")
            eventually(lambda: clean_since(traffic, deadline), PATIENCE_SECONDS)
            still_there = fault_deadline(stage) == deadline
        # Without its execution, `snapback run` has nothing to follow.
        run.finish()
        run.check_outcome()
        send_tick_if_none_comes(stage)
        code = report(stage)
    show_end_of_fault(stage, traffic, deadline)
    stage.check(refused, "nothing could restore it: no execution, and both functions refused to start")
    stage.check(still_there, "the fault was still in the function's configuration when it had ended")
    stage.check(code == FAILED, f"snapback report ended with exit code {code}, for a run that failed and is restored")
    stage.check(run.last_changers() == {stage.stack.reaper_function}, "the reaper has restored it")


def show_end_of_fault(stage: Stage, traffic: Traffic, deadline: float) -> None:
    """Shows and checks, from the traffic alone, when the fault has ended."""
    before, after = traffic.since(0, deadline), traffic.since(deadline)
    failed = [response for response in before if response.result == "failed"]
    last, first = (failed or before)[-1], after[0]
    stage.timeline.line("traffic", f"last failure: sent {(deadline - last.began) * 1000:.0f} ms before the deadline")
    stage.timeline.line("traffic", f"first success: sent {(first.began - deadline) * 1000:.0f} ms after the deadline")
    stage.check(count(after).failed == 0 and bool(failed), "no request that was sent after the deadline has failed")


def clean_since(traffic: Traffic, deadline: float) -> list[Response]:
    after = traffic.since(deadline)
    return after if len(after) >= CLEAN_REQUESTS else []


def fault_deadline(stage: Stage) -> float:
    """Returns the deadline that the proxy has, in seconds since the epoch; 0 without a fault."""
    text = configuration(stage, DEMO.target)["Environment"]["Variables"].get("SNAPBACK_FAULTS", "{'until':0}")
    return float(json.loads(text.translate(EXCHANGED))["until"]) / 1000


@contextlib.contextmanager
def throttled(stage: Stage, names: tuple[str, ...]) -> Iterator[None]:
    """Gives these functions no concurrency, so that every invocation of them is throttled, and restores it."""
    functions = stage.account.client("lambda")
    reserved = {
        name: functions.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions") for name in names
    }
    for name in names:
        functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    stage.timeline.line("lab", f"{' and '.join(names)} have no concurrency now: every invocation is throttled")
    try:
        yield
    finally:
        for name, concurrency in reserved.items():
            if concurrency is None:
                functions.delete_function_concurrency(FunctionName=name)
            else:
                functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=concurrency)
        stage.timeline.line("lab", f"{' and '.join(names)} work again")


def is_throttled(stage: Stage, name: str) -> bool:
    try:
        stage.account.client("lambda").invoke(FunctionName=name, Payload=b"{}")
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "TooManyRequestsException")
    return False


def stop_execution(stage: Stage) -> None:
    machine = stage.stack.outputs["StateMachineArn"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{DEMO.run}"
    stage.account.client("stepfunctions").stop_execution(executionArn=execution)
    stage.timeline.line("lab", "the execution is stopped; no Catch runs")


def send_tick_if_none_comes(stage: Stage) -> None:
    """Waits for the schedule's next tick. Sends one if none comes soon, because it can be a minute away."""
    record = Record(stage.record)
    reaper = stage.stack.reaper_function
    stage.timeline.line("lab", f"waiting up to {TICK_PATIENCE_SECONDS:.0f} s for the schedule's next tick")
    if not eventually(lambda: record.invocations(reaper) > 0, TICK_PATIENCE_SECONDS):
        stage.timeline.line("lab", f"the schedule's next tick can be a minute away, so the lab invokes {reaper} now")
        tick = (ROOT / "events" / "reaper-tick.json").read_bytes()
        stage.account.client("lambda").invoke(FunctionName=reaper, InvocationType="Event", Payload=tick)


def report(stage: Stage) -> int:
    """Waits until the run is closed, and prints its report. Returns the exit code of `snapback report`."""
    command = [*DEMO.command[:1], "report", DEMO.run, "--stack", STACK]

    def closed() -> subprocess.CompletedProcess[str] | None:
        done = subprocess.run(
            command, cwd=ROOT, env=stage.account.environment(), capture_output=True, text=True, check=False
        )
        return None if done.returncode == UNFINISHED else done

    done = eventually(closed, PATIENCE_SECONDS)
    stage.timeline.line("lab", f"$ {' '.join(command)}")
    for line in done.stdout.splitlines() if done else []:
        stage.timeline.line("snapback", line)
    return done.returncode if done else UNFINISHED

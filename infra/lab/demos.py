"""The three demos: what each injects, what has to be seen while it runs, and how it has to end."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable

import comparison
import functions
from account import Account
from comparison import Difference
from deployment import CLI, ROOT, STACK, Stack
from evidence import Findings, Journal, eventually, invocations
from functions import CHECKOUT, PAYMENT, SEARCH, Target
from timeline import Timeline
from traffic import Traffic

# Longer than any demo takes, and within the lab's own limit.
MOST_SECONDS = 75.0
LOOK_SECONDS = 0.3
LOOKS_AT_JOURNAL = 10
COMPLETED, STOPPED = 0, 4


@dataclass(frozen=True)
class Demo:
    """One experiment of events/ on one target, and the exit code of `snapback run` that shows it went as meant."""

    title: str
    event: str
    target: Target
    exit_code: int
    # The fields that have to differ while the fault is in.
    touched: frozenset[str]

    @property
    def command(self) -> list[str]:
        return [str(CLI.relative_to(ROOT)), "run", f"events/{self.event}", "--stack", STACK]


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


@dataclass
class Stage:
    """Where the demos take place."""

    account: Account
    stack: Stack
    journal: Journal
    timeline: Timeline
    findings: Findings

    def check(self, holds: bool, text: str) -> None:
        self.findings.check(holds, text)
        self.timeline.plain(f"        {'✔' if holds else '✘'} {text}", "green" if holds else "red")


def run_concurrency(stage: Stage) -> None:
    """Throttles for real: traffic, Throttles, alarm, event, rule, rollback function, and answers again."""
    began = time.time()
    say = stage.timeline.line
    target = CONCURRENCY.target
    stage.timeline.title(CONCURRENCY.title)
    with Traffic(stage.account, target.name, lambda result: say("traffic", f"{target.name}: {result}")) as traffic:
        # Before the fault everything is answered, and the alarm has data to be OK about.
        eventually(lambda: alarm_state(stage, target) == "OK", 10)
        with Run(stage, CONCURRENCY, lambda: f"{target.name}: {traffic.counts}") as run:
            run.finish()
        eventually(lambda: traffic.last == "answered", 10)
        answered_again = traffic.last == "answered"
    counts = traffic.counts
    say("traffic", f"{target.name}: {counts}, of {counts.total} requests")
    others = [alarm for alarm in run.alarms if alarm != target.alarm_name]
    if others:
        say("alarm", f"also tripped, since the emulator counts a throttle as an error: {', '.join(others)};")
        say("", "their events start the rollback function too, which finds no run that they would stop")
    function = stage.stack.rollback_function
    enough = eventually(lambda: invocations(stage.account, function, began) >= len(run.alarms), 5)
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


class Run:
    """`snapback run` as a process of its own, whose output passes through, and the target watched meanwhile."""

    def __init__(self, stage: Stage, demo: Demo, progress: Callable[[], str] | None = None) -> None:
        self.stage = stage
        self.demo = demo
        self.progress = progress or (lambda: demo.target.name)
        self.before = comparison.look(stage.account, demo.target.name)
        self.changes: list[Difference] = []
        self.alarms: list[str] = []
        self.deadline = time.monotonic() + MOST_SECONDS
        stage.timeline.line("lab", f"$ {' '.join(demo.command)}")
        self.process = subprocess.Popen(
            demo.command,
            cwd=ROOT,
            env=stage.account.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # Ctrl-C is for the lab, which then ends everything: there is nothing to ask about in an emulator.
            start_new_session=True,
        )
        self.reader = threading.Thread(target=self.pass_output, daemon=True)
        self.reader.start()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join(5)
        self.stage.timeline.still()

    def pass_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.stage.timeline.line("snapback", line.rstrip("\n"))

    def wait_for_fault(self) -> bool:
        """Until the fault is in, as the target's configuration shows it; False when the run ended without it."""
        while not self.changes:
            if not self.watch():
                return False
        return True

    def finish(self) -> None:
        """Until the run has ended, or has had its time."""
        while self.watch():
            pass
        self.reader.join(1)
        self.tell_alarms()

    def watch(self) -> bool:
        """One look at everything; False when the process has ended, or has had its time."""
        self.look_for_fault()
        self.stage.timeline.live(self.progress())
        # The journal is a file: looking often costs nothing, and keeps cause before effect on the screen.
        for _ in range(LOOKS_AT_JOURNAL):
            self.tell_alarms()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(LOOK_SECONDS / LOOKS_AT_JOURNAL)
                return False
        return time.monotonic() < self.deadline

    def look_for_fault(self) -> None:
        if self.changes or not comparison.is_settled(self.stage.account, self.demo.target.name):
            return
        now = comparison.look(self.stage.account, self.demo.target.name)
        self.changes = comparison.differences(self.before, now)
        for change in self.changes:
            self.stage.timeline.line("function", f"{self.demo.target.name} {change}")

    def tell_alarms(self) -> None:
        for change in self.stage.journal.news():
            text = f"{change['alarm']}: {change['from']} → {change['to']}"
            if change["to"] == "ALARM":
                self.alarms.append(change["alarm"])
                sent = "event sent" if change["event"] else f"event refused: {change['error']}"
                text += f"; {change['reason']}; {sent}"
            # Every alarm of the account is evaluated; those of no interest would hide the one that is.
            if change["alarm"] == self.demo.target.alarm_name:
                self.stage.timeline.line("alarm", text)

    def judge(self) -> None:
        """Whether the run went as meant; whether the target is as before is compared at the end, for all."""
        code = self.process.returncode
        self.stage.check(
            code == self.demo.exit_code, f"snapback run ended with {code}; {self.demo.exit_code} is how it should end"
        )
        touched = {change.field for change in self.changes}
        self.stage.check(self.demo.touched <= touched, "the fault was seen in the function's configuration")


def alarm_state(stage: Stage, target: Target) -> str:
    described = stage.account.client("cloudwatch").describe_alarms(AlarmNames=[target.alarm_name])
    return str(described["MetricAlarms"][0]["StateValue"])


def answer(stage: Stage, target: Target, when: str) -> dict[str, Any]:
    began = time.monotonic()
    given = functions.invoke(stage.account, target)
    took = (time.monotonic() - began) * 1000
    stage.timeline.line("function", f"{target.name} {when}: {json.dumps(given)} in {took:.0f} ms")
    return given

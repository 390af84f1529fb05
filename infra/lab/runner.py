"""One `snapback run`, and what is seen of it from outside."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from typing import Callable

import comparison
from comparison import Difference
from deployment import ROOT
from stage import Demo, Stage

# Longer than any demo takes, and within the lab's own limit.
MOST_SECONDS = 75.0
LOOK_SECONDS = 0.3
LOOKS_AT_JOURNAL = 10


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
        if self.changes:
            return
        changes = comparison.differences(self.before, comparison.look(self.stage.account, self.demo.target.name))
        # Asked after the look: a function that was settled before it may answer with its old configuration still.
        if not changes or not comparison.is_settled(self.stage.account, self.demo.target.name):
            return
        self.changes = changes
        for change in self.changes:
            self.stage.timeline.line("function", f"{self.demo.target.name} {change}")

    def tell_alarms(self) -> None:
        for change in self.stage.journal.news():
            text = f"{change['alarm']}: {change['from']} -> {change['to']}"
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

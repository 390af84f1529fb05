"""Runs `snapback run`, and observes it from outside."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from typing import Callable

import comparison
from deployment import ROOT
from evidence import Journal, Record
from stage import Demo, Stage

# Much longer than any demo takes, even on a busy machine.
MAX_SECONDS = 300.0
PROGRESS_SECONDS = 0.3
FILE_POLLS = 10


class Run:
    """Runs `snapback run`, passes its output through, and follows its target.

    It follows the target in the emulator's record and does not poll it: a fault can come and go between two reads.
    """

    def __init__(self, stage: Stage, demo: Demo, progress: Callable[[], str] | None = None) -> None:
        self.stage = stage
        self.demo = demo
        self.progress = progress or (lambda: demo.target.name)
        self.record = Record(stage.record)
        # Each of several runs at the same time reads all alarms.
        self.journal = Journal(stage.journal)
        list(self.journal.news())
        self.printed = 0
        self.output: list[str] = []
        self.alarms: list[str] = []
        self.deadline = time.monotonic() + MAX_SECONDS
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
            # Ctrl-C only reaches the lab, which then stops everything. Otherwise `snapback run` would ask what to do.
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
        self.stage.timeline.clear_live()

    def pass_output(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line.rstrip("\n"))
            self.stage.timeline.line("snapback", f"{self.demo.label}{line.rstrip()}")

    def wait_for_fault(self) -> bool:
        """Waits until the fault is in force. Returns False if the run ended without it."""
        target = self.demo.target.name
        return self.wait_until(
            lambda: self.record.changes(target) and comparison.is_updated(self.stage.account, target)
        )

    def wait_until(self, probe: Callable[[], object]) -> bool:
        """Waits until `probe` returns something true. Returns False if the run ended before."""
        while not probe():
            if not self.watch():
                return False
        return True

    def finish(self) -> None:
        """Waits until the run has ended or has used up its time."""
        while self.watch():
            pass
        # The reader ends with the process, unless a child of the process holds the pipe open.
        self.reader.join(10)
        self.print_news()

    @staticmethod
    def finish_all(runs: list[Run]) -> None:
        """Waits for several runs at the same time."""
        pending = runs
        while pending := [run for run in pending if run.watch()]:
            pass
        for run in runs:
            run.finish()

    def watch(self) -> bool:
        """Prints events for a short time. Returns False when the process has ended or used up its time."""
        self.stage.timeline.live(self.progress())
        # Reading the files often is cheap, and prints causes before their effects.
        for _ in range(FILE_POLLS):
            self.print_news()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PROGRESS_SECONDS / FILE_POLLS)
                return False
        return time.monotonic() < self.deadline

    def last_changers(self) -> set[str]:
        """Returns the functions of the stack that ran when the target was last changed."""
        running: set[str] = set()
        found: set[str] = set()
        for line in self.record.read():
            if "invoked" in line:
                running.add(line["invoked"])
            elif "ended" in line:
                running.discard(line["ended"])
            elif line.get("changed") == self.demo.target.name:
                found = {name for name in running if name.startswith(f"{self.stage.stack.outputs['Prefix']}-")}
        return found

    def print_news(self) -> None:
        changes = self.record.changes(self.demo.target.name)
        for change in changes[self.printed :]:
            self.stage.timeline.line("function", f"{self.demo.target.name} {change}")
        self.printed = len(changes)
        self.print_alarms()

    def print_alarms(self) -> None:
        for change in self.journal.news():
            text = f"{change['alarm']}: {change['from']} -> {change['to']}"
            if change["to"] == "ALARM":
                self.alarms.append(change["alarm"])
                sent = "event sent" if change["event"] else f"event refused: {change['error']}"
                text += f"; {change['reason']}; {sent}"
            # Every alarm of the account is evaluated; the others would hide the target's.
            if change["alarm"] == self.demo.target.alarm_name:
                self.stage.timeline.line("alarm", text)

    def check_outcome(self) -> None:
        """Checks the run's exit code and its fault. The lab compares the targets at the end, for all runs."""
        code = self.process.returncode
        self.stage.check(
            code == self.demo.exit_code, f"snapback run ended with exit code {code}; expected {self.demo.exit_code}"
        )
        self.check_fault()

    def check_fault(self) -> None:
        touched = {change.field for change in self.record.changes(self.demo.target.name)}
        self.stage.check(self.demo.touched <= touched, "the fault was in the function's configuration")

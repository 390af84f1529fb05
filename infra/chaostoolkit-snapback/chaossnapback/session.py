"""What one process of the Chaos Toolkit knows: the runs that it has started, and whether its experiment is ending."""

from __future__ import annotations

import json
import logging
import secrets
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaoslib.exceptions import ActivityFailed

from chaossnapback.command import CommandLine

logger = logging.getLogger("chaostoolkit")
# The statuses with which the Chaos Toolkit ends the method of an experiment early.
ENDING = ("failed", "aborted", "interrupted")


@dataclass
class Run:
    """A run that this process has started, or tried to start."""

    name: str
    line: CommandLine
    # The last report, once there is one.
    report: dict[str, Any] = field(default_factory=dict)
    # Whether this process ended the run before its end.
    is_rolled_back: bool = False

    @property
    def is_over(self) -> bool:
        return self.report.get("outcome", "unfinished") not in ("unfinished", "restoreFailed")


@dataclass
class Session:
    """The state of this process. The Chaos Toolkit runs one experiment at a time in it."""

    runs: dict[str, Run] = field(default_factory=dict)
    # The journal of the experiment, and the process that outlives this one; both only with the control.
    journal: dict[str, Any] | None = None
    watcher: subprocess.Popen[str] | None = None

    def begin(self, name: str, line: CommandLine) -> Run:
        """Records a run before it is started, so that whatever happens, it is rolled back."""
        if name in self.runs:
            raise ActivityFailed(f"name: this experiment has already started a run `{name}`; write another name")
        run = self.runs[name] = Run(name, line)
        self.tell_watcher({
            "run": name,
            "command": line.words("rollback", name, "--prevent-start"),
            "variables": dict(line.variables),
        })
        return run

    def find(self, name: str) -> Run:
        """Returns the run of this name, or the last one."""
        if name:
            found = self.runs.get(name)
            if found is None:
                raise ActivityFailed(f"run: this experiment has started no run `{name}`; {self.known()}")
            return found
        if not self.runs:
            raise ActivityFailed("no run was started; put the action start_run before this activity")
        return list(self.runs.values())[-1]

    def known(self) -> str:
        return f"write one of {', '.join(self.runs)}" if self.runs else "put the action start_run before this activity"

    def forget(self, run: Run) -> None:
        """Forgets a run that was refused, so that nothing of it exists."""
        del self.runs[run.name]
        self.tell_watcher({"forget": run.name})

    def is_ending(self) -> bool:
        """Returns whether the experiment is ending, as with --fail-fast after a deviation."""
        return self.journal is not None and self.journal.get("status") in ENDING

    def start_watcher(self) -> None:
        """Starts the process that rolls the runs back if this one is killed."""
        self.watcher = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("watcher.py"))],
            stdin=subprocess.PIPE,
            # It must not hold a pipe open from which another process reads this one's output to the end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def tell_watcher(self, message: dict[str, Any]) -> None:
        if self.watcher is None or self.watcher.stdin is None:
            return
        try:
            self.watcher.stdin.write(json.dumps(message) + "\n")
            self.watcher.stdin.flush()
        except OSError:
            logger.warning("snapback: the watcher has ended; a killed experiment's runs end at the end of their duration")
            self.watcher = None

    def end_watcher(self) -> None:
        """Ends the watcher without a rollback."""
        watcher, closing = self.watcher, {"end": True}
        self.tell_watcher(closing)
        self.watcher = None
        if watcher is not None and watcher.stdin is not None:
            watcher.stdin.close()
            watcher.wait()


def new_name() -> str:
    """Returns a unique name for a run: the time, and a random number."""
    return f"chaos-toolkit-{time.strftime('%Y%m%d%H%M%S', time.gmtime())}-{secrets.token_hex(4)}"


SESSION = Session()

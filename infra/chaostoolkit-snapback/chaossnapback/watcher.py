"""Rolls back the runs of a process of the Chaos Toolkit that was killed.

This process reads messages, one JSON object a line, from the one that started it:

    {"run": NAME, "command": [WORD, ...], "variables": {...}}   this command rolls the run back
    {"forget": NAME}                                            the run does not exist
    {"end": true}                                               the experiment has ended, and so does this process

If the input ends without the last message, the other process was killed, and this one calls the commands.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any, Iterable

# The exit codes of a run that is restored, except for what was changed outside it.
RESTORED = (0, 5)
# How often a rollback is called again, and how long after a failure. After that, the run ends at the end of its duration.
ATTEMPTS = 5
PAUSE_SECONDS = 5.0


def main() -> None:
    # What kills the tool often signals all of its processes, and this one must outlive it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    begun = [(message, roll_back(message)) for message in left(sys.stdin).values()]
    for attempt in range(1, ATTEMPTS):
        begun = [(message, process) for message, process in begun if process is None or process.wait() not in RESTORED]
        if not begun:
            return
        time.sleep(PAUSE_SECONDS * attempt)
        begun = [(message, roll_back(message)) for message, _ in begun]


def left(lines: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Reads the messages to their end. Returns those of the runs to roll back, which are none after `end`."""
    runs: dict[str, dict[str, Any]] = {}
    for line in lines:
        # A line without its end is incomplete, because its process was killed.
        message = json.loads(line) if line.endswith("\n") else {}
        if "run" in message:
            runs[message["run"]] = message
        runs.pop(message.get("forget"), None)
        if "end" in message:
            return {}
    return runs


def roll_back(message: dict[str, Any]) -> subprocess.Popen[bytes] | None:
    """Starts the command that rolls a run back; returns None if it cannot be started."""
    try:
        return subprocess.Popen(
            message["command"],
            env={**os.environ, **message["variables"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


if __name__ == "__main__":
    main()

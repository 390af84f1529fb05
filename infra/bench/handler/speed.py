#!/usr/bin/env python3
"""Measures what the chaos handler costs while no fault is due, in turns with the plain handler: `infra/bench/handler/speed.py`.

Each process measures calls of the plain handler and the chaos handler in turns. The starts of both are measured in turns, too, each in a
new process. The limits are those of docs/chaos-handler.md: at most 5 us a call, and 5 ms at the initialization.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNTIMES = HERE.parents[2] / ".tools" / "runtimes"
HANDLER = HERE.parents[1] / "handler"
# The program, its scripts, and the names of the plain handler and of the chaos handler.
LANGUAGES = {
    "Python": (RUNTIMES / "bin" / "python", ".py", "plain.handler", "snapback_handler.bootstrap.handler"),
    "Node.js": (
        RUNTIMES / "nodejs" / "bin" / "node",
        ".mjs",
        str(HERE / "plain.mjs"),
        str(HANDLER / "nodejs" / "snapback_handler" / "index.mjs"),
    ),
}
PROCESSES, STARTS = 5, 15
MAX_CALL_US, MAX_INIT_MS = 5.0, 5.0


def main() -> int:
    return max(report(language) for language in LANGUAGES)


def report(language: str) -> int:
    program, suffix, plain, chaos = LANGUAGES[language]
    calls = [json.loads(run(program, f"measure{suffix}")) for _ in range(PROCESSES)]
    active_us = statistics.median(one["active"] - one["plain"] for one in calls) / 1000
    expired_us = statistics.median(one["expired"] - one["plain"] for one in calls) / 1000
    turns = [[float(run(program, f"start{suffix}", handler)) for handler in (plain, chaos)] for _ in range(STARTS)]
    init_ms = statistics.median(with_chaos - alone for alone, with_chaos in turns)
    print(f"{language}: {active_us:.2f} us a call, {expired_us:.2f} us after the deadline, {init_ms:.1f} ms at the initialization")
    return 0 if active_us <= MAX_CALL_US and init_ms <= MAX_INIT_MS else 1


def run(program: Path, script: str, *arguments: str) -> str:
    # A layer is read-only, so Python compiles the handler at each start.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [str(program), str(HERE / script), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())

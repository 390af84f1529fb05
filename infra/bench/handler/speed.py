#!/usr/bin/env python3
"""Measures what the chaos handler costs while no fault is due, in turns with the plain handler: `infra/bench/handler/speed.py`.

Each process measures the plain handler and the chaos handler in turns, and the start of the chaos handler once. The limits are those
of docs/chaos-handler.md: at most 5 us a call, and 5 ms at the initialization.
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
LANGUAGES = {
    "Python": [str(RUNTIMES / "bin" / "python"), str(HERE / "measure.py")],
    "Node.js": [str(RUNTIMES / "nodejs" / "bin" / "node"), str(HERE / "measure.mjs")],
}
PROCESSES = 7
MAX_CALL_US, MAX_INIT_MS = 5.0, 5.0


def main() -> int:
    return max(report(language, command) for language, command in LANGUAGES.items())


def report(language: str, command: list[str]) -> int:
    # A layer is read-only, so Python compiles the handler at each start.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    found = [json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout) for _ in range(PROCESSES)]
    # Other work on the machine only adds to a time, so the shortest is the nearest to that of the handler alone.
    init_ms = min(one["init_ms"] for one in found)
    active_us = statistics.median(one["active"] - one["plain"] for one in found) / 1000
    expired_us = statistics.median(one["expired"] - one["plain"] for one in found) / 1000
    print(f"{language}: {active_us:.2f} us a call, {expired_us:.2f} us after the deadline, {init_ms:.1f} ms at the initialization")
    return 0 if active_us <= MAX_CALL_US and init_ms <= MAX_INIT_MS else 1


if __name__ == "__main__":
    sys.exit(main())

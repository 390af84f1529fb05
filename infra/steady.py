#!/usr/bin/env python3
"""Repeats the lab and the stack tests on a busy machine: `infra/steady.py LABS STACKS [BUSY]`.

A test that fails by chance is likely to fail here. The script stops at the first failure and keeps its log. BUSY loops (default:
2) run next to the tests, and use up one processor each.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOGS = ROOT / "target" / "steady"
LAB = [str(ROOT / ".tools" / "venv" / "bin" / "python"), "infra/lab/lab.py", "run"]
STACK = [os.environ.get("CARGO", "cargo"), "test", "--locked", "--all-features", "--test", "stack"]
# Several times what one run takes on two busy cores.
MAX_SECONDS = 1800.0
BUSY_LOOP = [sys.executable, "-c", "while True: pass"]


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3) or not all(argument.isdecimal() for argument in arguments):
        print("usage: infra/steady.py LABS STACKS [BUSY]", file=sys.stderr)
        return 2
    labs, stacks, busy = (*map(int, arguments), 2)[:3]
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    # Build first, so that no run includes the build.
    subprocess.run([*STACK, "--no-run", "--quiet"], cwd=ROOT, check=True)
    with busy_loops(busy):
        clean = all(once("lab", LAB, number, labs) for number in range(1, labs + 1))
        clean = clean and all(once("stack", STACK, number, stacks) for number in range(1, stacks + 1))
    if clean:
        print(f"steady: {labs} runs of the lab and {stacks} of the stack tests with {busy} busy loops: none failed")
    return 0 if clean else 1


@contextlib.contextmanager
def busy_loops(count: int) -> Iterator[None]:
    loops = [subprocess.Popen(BUSY_LOOP) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def once(what: str, command: list[str], number: int, of: int) -> bool:
    log = LOGS / f"{what}-{number}.log"
    began = time.monotonic()
    code = run(command, log)
    took = f"{time.monotonic() - began:.0f} s"
    if code == 0:
        log.unlink()
        print(f"steady: {what} {number} of {of} passed in {took}", flush=True)
        return True
    why = "did not end" if code is None else f"failed with {code}"
    print(f"steady: {what} {number} of {of} {why} after {took}; its log: {log.relative_to(ROOT)}", flush=True)
    return False


def run(command: list[str], log: Path) -> int | None:
    """Runs a command and returns its exit code, or None if it exceeded MAX_SECONDS and was stopped."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return process.wait(MAX_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # Also after Ctrl-C or SIGTERM. The lab stops its own processes; the stack tests stop theirs at their next start.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()


if __name__ == "__main__":
    # SystemExit passes through every `finally`.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

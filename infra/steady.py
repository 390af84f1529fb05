#!/usr/bin/env python3
"""Runs the lab and the stack tests again and again on a machine that is kept busy: `infra/steady.py LABS STACKS [BUSY]`.

A test that fails by chance fails here sooner. It ends with the first failure, whose log it keeps, and takes BUSY loops
(2 unless it is said) beside them that do nothing but use up a processor each.
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
# Several times what one takes on two cores with four loops: what takes longer hangs.
MOST_SECONDS = 1800.0
BUSY_LOOP = [sys.executable, "-c", "while True: pass"]


def main(arguments: list[str]) -> int:
    if len(arguments) not in (2, 3) or not all(argument.isdecimal() for argument in arguments):
        print("usage: infra/steady.py LABS STACKS [BUSY]", file=sys.stderr)
        return 2
    labs, stacks, busy = (*map(int, arguments), 2)[:3]
    shutil.rmtree(LOGS, ignore_errors=True)
    LOGS.mkdir(parents=True)
    # Building is no part of it.
    subprocess.run([*STACK, "--no-run", "--quiet"], cwd=ROOT, check=True)
    with busy_loops(busy):
        clean = all(once("lab", LAB, number, labs) for number in range(1, labs + 1))
        clean = clean and all(once("stack", STACK, number, stacks) for number in range(1, stacks + 1))
    if clean:
        print(f"steady: {labs} labs and {stacks} times the stack tests with {busy} busy loops, and none failed")
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
        print(f"steady: {what} {number} of {of} is fine, in {took}", flush=True)
        return True
    why = "did not end" if code is None else f"failed with {code}"
    print(f"steady: {what} {number} of {of} {why} after {took}; its log: {log.relative_to(ROOT)}", flush=True)
    return False


def run(command: list[str], log: Path) -> int | None:
    """Its exit code; None where it had to be ended."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            return process.wait(MOST_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        finally:
            # After an interruption, too. The lab stops what it has started; the stack tests end theirs at their next start.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)

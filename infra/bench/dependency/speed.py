#!/usr/bin/env python3
"""Measures what a `dependency` fault costs while it is not triggered: `speed.py BENCH_PROXY`. Ends with 1 if a limit is missed.

It runs in a network namespace, like the tests, and on one CPU, as in a function with less than 1,769 MB. Processes with and without the
shim alternate.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "tests" / "dependency"))

import network  # noqa: E402
import programs  # noqa: E402
from places import OTHER, PROGRAMS_V4, PROGRAMS_V6, names  # noqa: E402
from stage import Function, Layer  # noqa: E402

PROCESSES = 5
MAX_UNNAMED_US, MAX_OPEN_US, MAX_TURN = 0.5, 150.0, 1.2
MAX_RESIDENT_KB = 1_000


def main(bench: str) -> int:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    layer = Layer()
    named = {"dependency": {"hosts": [PROGRAMS_V4], "refuse": True, "percentage": 0}}
    try:
        with programs.Servers(PROGRAMS_V4, PROGRAMS_V6) as servers:
            port = servers.echoes[0].getsockname()[1]
            relay = subprocess.Popen([bench, "relay", f"{PROGRAMS_V4}:{port}"], stderr=subprocess.PIPE, text=True)
            try:
                relay_port = re.search(r"127.0.0.1:(\d+)", relay.stderr.readline())[1]
                command = [sys.executable, str(HERE / "measure.py"), PROGRAMS_V4, str(port), OTHER, relay_port]
                plain, shimmed = [], []
                with Function(layer, [named]) as function:
                    before = resident_kb(function)
                    for _ in range(PROCESSES):
                        plain.append(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
                        shimmed.append(json.loads(function.run(command)[0]["out"]))
                    grown = resident_kb(function) - before
            finally:
                relay.kill()
                relay.wait()
    finally:
        layer.close()
    return report(plain, shimmed, grown)


def report(plain: list[dict], shimmed: list[dict], grown_kb: int) -> int:
    def difference(one: list[dict], name: str, other: list[dict], than: str) -> float:
        return statistics.median(found[name] for found in one) - statistics.median(found[than] for found in other)

    turn = difference(shimmed, "turn", plain, "turn") / difference(plain, "relay_turn", plain, "turn")
    # A connection is open once a byte has passed, and the round trip of that byte has its own limit.
    opening = difference(shimmed, "open", plain, "open") - difference(shimmed, "turn", plain, "turn")
    missed = 0
    for what, measured, limit in [
        ("added to connect(2) where no fault names the destination, us", difference(shimmed, "unnamed", plain, "unnamed"), MAX_UNNAMED_US),
        ("added to the opening of a named connection, us", opening, MAX_OPEN_US),
        ("added to a round trip, times what a plain relay adds", turn, MAX_TURN),
        ("grown resident memory of the proxy, KB", grown_kb, MAX_RESIDENT_KB),
    ]:
        print(f"{what:<64} {measured:10.2f}   at most {limit}")
        missed += measured > limit
    return int(missed > 0)


def resident_kb(function: Function) -> int:
    """Returns the resident memory of the function's proxy."""
    function.invoke({"do": "environment"})
    for status in Path("/proc").glob("[0-9]*/status"):
        text = status.read_text()
        group = os.getpgid(int(status.parent.name))
        if group == function.process.pid and "Name:\tsnapback-proxy" in text:
            return int(re.search(r"VmRSS:\s+(\d+)", text)[1])
    raise RuntimeError("the function has no proxy")


if __name__ == "__main__":
    network.enter(names())
    sys.exit(main(sys.argv[1]))

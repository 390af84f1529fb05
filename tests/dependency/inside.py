"""Enters a network for the tests, and runs their parts in it at the same time: they mostly wait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import network
import places

PARTS = ["inside_clients", "inside_edges", "inside_function", "inside_programs", "inside_relay"]


def main(parts: list[str]) -> int:
    command = [sys.executable, "-m", "unittest", "-v"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "cwd": Path(__file__).parent}
    running = {part: subprocess.Popen([*command, part], **options) for part in parts or PARTS}
    failed = 0
    for part, process in running.items():
        output, _ = process.communicate()
        print(f"{part}: ended with {process.returncode}\n{output}", flush=True)
        failed += process.returncode != 0
    return failed


if __name__ == "__main__":
    network.enter(places.names())
    sys.exit(main(sys.argv[1:]))

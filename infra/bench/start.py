#!/usr/bin/env python3
"""Measures the bootstrap from exec to its first request for work: `infra/bench/start.py [RUNS]`.

Each run starts the bootstrap against this script's Runtime API on 127.0.0.1, waits for its request for the next invocation, and
ends it. Starts of `true` alternate with it in the same run. They show what the machine costs, so the ratio of the two is more
reliable on a noisy machine than either figure.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TARGETS = {"aarch64": "aarch64-unknown-linux-musl", "arm64": "aarch64-unknown-linux-musl"}
TARGET = TARGETS.get(platform.machine().lower(), "x86_64-unknown-linux-musl")
BOOTSTRAP = ROOT / "target" / TARGET / "deploy" / "bootstrap"
MAX_MILLISECONDS = 20.0


def main(arguments: list[str]) -> int:
    runs = int(arguments[0]) if arguments else 50
    if not BOOTSTRAP.exists():
        print("bench: the bootstrap is not built; run make build first", file=sys.stderr)
        return 2
    idle = shutil.which("true") or "/bin/true"
    started, baseline = [], []
    with socket.create_server(("127.0.0.1", 0)) as api:
        api.settimeout(10)
        environment = function_environment(api.getsockname()[1])
        first_request(api, environment)  # the first start reads the binary from disk
        for _ in range(runs):
            baseline.append(run_time([idle], environment))
            started.append(first_request(api, environment))
    start_ms, baseline_ms = statistics.median(started), statistics.median(baseline)
    size = BOOTSTRAP.stat().st_size / 1_000_000
    print(
        f"bootstrap: {size:.1f} MB; from exec to its first request for work: "
        f"median {start_ms:.1f} ms, worst {max(started):.1f} ms ({runs} runs)"
    )
    print(f"exec of true in the same run: median {baseline_ms:.1f} ms; ratio {start_ms / baseline_ms:.1f}")
    return 0 if start_ms <= MAX_MILLISECONDS else 1


def function_environment(port: int) -> dict[str, str]:
    """Returns the variables that Lambda and the template set."""
    return {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{port}",
        "AWS_LAMBDA_FUNCTION_NAME": "snapback-restore",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
        "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "_HANDLER": "restore",
        "SNAPBACK_TABLE": "bench",
        "SNAPBACK_PREFIX": "bench",
        "SNAPBACK_OPT_IN_TAG": "chaos=allowed",
        "SNAPBACK_TARGET_LIMIT": "10",
    }


def first_request(api: socket.socket, environment: dict[str, str]) -> float:
    """Returns the milliseconds until the request line for the next invocation has arrived."""
    began = time.perf_counter()
    # It writes to stderr when its Runtime API closes the connection, which is how each run ends.
    process = subprocess.Popen([str(BOOTSTRAP)], env=environment, stderr=subprocess.DEVNULL)
    try:
        connection, _ = api.accept()
        with connection:
            connection.settimeout(10)
            request = connection.recv(4096)
            elapsed = time.perf_counter() - began
    finally:
        process.kill()
        process.wait()
    if b"/runtime/invocation/next" not in request:
        raise SystemExit(f"bench: expected a request for work, got {request[:80]!r}")
    return elapsed * 1000


def run_time(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True)
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

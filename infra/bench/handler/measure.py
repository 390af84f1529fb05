"""Measures the Python chaos handler in one process, in turns with the plain handler: `measure.py`. Prints JSON.

speed.py starts it, often, and takes the medians.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, Callable

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parents[1] / "handler" / "python")]
CALLS, TURNS = 20_000, 9
HOUR_MS = 3_600_000
# None of these is due: a share that is never rolled, and a condition that does not hold.
FAULTS = [
    {"exception": {"percentage": 0}},
    {"latency": {"delayMs": 100, "match": [{"path": "rawPath", "equals": "/other"}]}},
]


class Context:
    aws_request_id = "request"
    invoked_function_arn = "arn:aws:lambda:eu-west-1:123456789012:function:checkout"


def start(until_ms: int) -> Any:
    """Returns a new chaos handler."""
    for name in [name for name in sys.modules if name.startswith("snapback_handler")]:
        del sys.modules[name]
    orders = {"until": until_ms, "experiment": "e", "run": "r", "faults": FAULTS}
    os.environ.update(SNAPBACK_HANDLER="plain.handler", SNAPBACK_HANDLER_FAULTS=json.dumps(orders))
    return getattr(importlib.import_module("snapback_handler.bootstrap"), "handler")


def nanoseconds(call: Callable[[Any, Any], Any]) -> float:
    event, context = {"rawPath": "/checkout"}, Context()
    began = time.process_time_ns()
    for _ in range(CALLS):
        call(event, context)
    return (time.process_time_ns() - began) / CALLS


def main() -> None:
    now = int(time.time() * 1000)
    import plain

    active = start(now + HOUR_MS)
    # Started before the deadline, and called after it.
    expiring = start(now + 1000)
    while time.time() * 1000 < now + 1000:
        time.sleep(0.05)
    turns = {"plain": [], "active": [], "expired": []}
    for _ in range(TURNS):
        for name, handler in (("plain", plain.handler), ("active", active), ("expired", expiring)):
            turns[name].append(nanoseconds(handler))
    print(json.dumps({name: min(times) for name, times in turns.items()}))


if __name__ == "__main__":
    main()

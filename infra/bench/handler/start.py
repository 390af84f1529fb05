"""Measures in a new process how long the runtime takes to load a handler: `start.py NAME`. Prints the CPU time in ms, for speed.py."""

from __future__ import annotations

import json
import os
import sys
import time

import awslambdaric.bootstrap as runtime
from measure import FAULTS, HOUR_MS


def main() -> None:
    orders = {"until": int(time.time() * 1000) + HOUR_MS, "experiment": "e", "run": "r", "faults": FAULTS}
    os.environ.update(SNAPBACK_HANDLER="plain.handler", SNAPBACK_HANDLER_FAULTS=json.dumps(orders))
    began = time.process_time()
    runtime._get_handler(sys.argv[1])
    print((time.process_time() - began) * 1000)


if __name__ == "__main__":
    main()

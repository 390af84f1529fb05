"""The runtime of the tests: it asks for events at the Runtime API, and does in its own process what an event asks for."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import clients

INVOCATION = "/2018-06-01/runtime/invocation"


def main() -> None:
    api = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        api.request("GET", f"{INVOCATION}/next")
        response = api.getresponse()
        event, request = json.loads(response.read()), response.headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            result = ACTIONS[event["do"]](event)
        except Exception as failure:
            result = repr(failure)
        api.request("POST", f"{INVOCATION}/{request}/response", body=json.dumps(result))
        api.getresponse().read()


def fetch(event: dict) -> list[dict]:
    return clients.fetch_all(event["fetch"])


def run(event: dict) -> list[dict]:
    """Runs programs at the same time. They inherit the environment."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(run_one, event["run"]))


def run_one(command: list[str]) -> dict:
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120)
    return {"code": ran.returncode, "out": ran.stdout, "err": ran.stderr}


def environment(_: dict) -> dict:
    return dict(os.environ)


ACTIONS = {"fetch": fetch, "run": run, "environment": environment}

if __name__ == "__main__":
    sys.exit(main())

"""The runtime of the tests: it asks for events at the Runtime API, and does in its own process what an event asks for."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys

import clients

INVOCATION = "/2018-06-01/runtime/invocation"
kept: dict[str, http.client.HTTPConnection] = {}


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


def fetch(event: dict) -> list:
    return [clients.fetch(client, host, port) for client, host, port in event["fetch"]]


def reuse(event: dict) -> dict:
    """Fetches on a connection that stays open from one invocation to the next. A broken one is replaced at the next time."""
    address = f"{event['host']}:{event['port']}"
    is_new = address not in kept
    connection = kept.setdefault(address, http.client.HTTPConnection(address, timeout=clients.TIMEOUT_S))
    try:
        connection.request("GET", "/")
        return {"body": str(connection.getresponse().read(), "ascii"), "new": is_new}
    except Exception as failure:
        kept.pop(address).close()
        return {"error": clients.name_of(failure), "new": is_new}


def run(event: dict) -> dict:
    """Runs a program, which inherits the environment."""
    ran = subprocess.run(event["run"], capture_output=True, text=True, timeout=event.get("timeout", 60))
    return {"code": ran.returncode, "out": ran.stdout, "err": ran.stderr}


def environment(_: dict) -> dict:
    return dict(os.environ)


ACTIONS = {"fetch": fetch, "reuse": reuse, "run": run, "environment": environment}

if __name__ == "__main__":
    sys.exit(main())

"""Runs Python scripts as aws:executeScript does: each in its own process, with the session of a role.

The processes are forked from one that has read what boto3 needs (warm.py), which takes most of a second.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from multiprocessing.connection import Connection
from typing import Any

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["warm"])


class ScriptFailed(Exception):
    """The script raised an exception; the text is the exception's."""


class ScriptTimedOut(Exception):
    """The script took too long, and was ended."""


def execute(script: str, handler: str, payload: Any, environment: dict[str, str], seconds: float) -> dict[str, Any]:
    """Returns what the handler returns."""
    here, there = CONTEXT.Pipe()
    process = CONTEXT.Process(target=run, args=(there, script, handler, payload, environment))
    process.start()
    there.close()
    try:
        if not here.poll(seconds):
            raise ScriptTimedOut(f"timed out after {seconds:.0f} s")
        result, failure = here.recv()
    except EOFError as lost:
        raise ScriptFailed("the script's process has ended") from lost
    finally:
        process.kill()
        process.join()
        here.close()
    if failure is not None:
        raise ScriptFailed(failure)
    return dict(json.loads(result))


def run(there: Connection, script: str, handler: str, payload: Any, environment: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(environment)
    names: dict[str, Any] = {}
    try:
        exec(compile(script, handler, "exec"), names)  # noqa: S102
        # The payload is JSON, as it is in AWS.
        result = json.dumps(names[handler](json.loads(json.dumps(payload)), {}))
    except Exception as error:  # noqa: BLE001
        there.send((None, f"{type(error).__name__}: {error}"))
        return
    there.send((result, None))

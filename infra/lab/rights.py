"""Records which rights the roles of an account use in the emulator, so that a test knows what each task needs.

The record has one JSON object per line: {"role": R, "action": A, "allowed": true}.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

# In the emulator's directory.
RIGHTS = "rights.jsonl"


def record(evaluator: Any, roles: Any, directory: Path) -> None:
    """Wraps the evaluation of requests, and that of what services do under a role (iam_roles.py)."""
    enforce, ask = evaluator.enforce, roles.ask
    writing = threading.Lock()

    def write(role: str, action: str, allowed: bool) -> None:
        line = json.dumps({"role": role, "action": action, "allowed": allowed})
        with writing, (directory / RIGHTS).open("a") as file:
            file.write(line + "\n")

    def enforce_and_record(key: str, action: str, *arguments: Any, **options: Any) -> Any:
        denied = enforce(key, action, *arguments, **options)
        caller = evaluator.caller_arn()
        if ":assumed-role/" in caller:
            write(caller.split("/")[1], action, denied is None)
        return denied

    def ask_and_record(role: str, session: str, action: str, resource: str) -> None:
        allowed = False
        try:
            ask(role, session, action, resource)
            allowed = True
        finally:
            write(role.rsplit("/", 1)[-1], action, allowed)

    evaluator.enforce = enforce_and_record
    roles.ask = ask_and_record

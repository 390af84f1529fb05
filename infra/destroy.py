#!/usr/bin/env python3
"""Deletes a stack, but never one that still has something to put back: `infra/destroy.py STACK`.

The functions of the stack are what restores; deleting them in the middle of a run would leave its faults in place.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
AWS = os.environ.get("AWS", str(ROOT / ".tools" / "venv" / "bin" / "aws"))
SNAPBACK = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "snapback"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: infra/destroy.py STACK", file=sys.stderr)
        return 2
    stack = arguments[0]
    try:
        table = ledger(stack)
        armed = armed_targets(stack)
        if not armed:
            # Nothing may start between the look and the end: a run that did is rolled back by this, or found below.
            snapback("lever", "engage", "--reason", "the stack is being destroyed", "--stack", stack)
            armed = armed_targets(stack)
            if armed:
                snapback("lever", "release", "--stack", stack)
    except (OSError, subprocess.CalledProcessError, ValueError) as problem:
        # Not knowing is no permission.
        print(f"destroy: cannot tell whether anything is armed, so nothing is deleted: {problem}", file=sys.stderr)
        return 1
    if armed:
        print(f"destroy: refused, {len(armed)} of the stack's targets are armed:", file=sys.stderr)
        for target in armed:
            print(f"  {target}", file=sys.stderr)
        print(f"put them back first: snapback rollback --all --stack {stack}", file=sys.stderr)
        return 3

    aws("cloudformation", "delete-stack", "--stack-name", stack)
    aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", stack)
    print(
        f"""The stack {stack} is gone. Its table {table} is not: it is retained and protected from deletion, for it is the
record of what was changed. To remove it as well:
  aws dynamodb update-table --table-name {table} --no-deletion-protection-enabled
  aws dynamodb delete-table --table-name {table}
While it exists, a new stack with the same Prefix cannot be created; another Prefix can. Its safety lever is engaged."""
    )
    return 0


def ledger(stack: str) -> str:
    query = "Stacks[0].Outputs[?OutputKey=='LedgerTable'].OutputValue | [0]"
    name = aws("cloudformation", "describe-stacks", "--stack-name", stack, "--query", query, "--output", "text").strip()
    if name in ("", "None"):
        raise ValueError(f"the stack {stack} has no output LedgerTable, so it is none of snapback's")
    return name


def armed_targets(stack: str) -> list[str]:
    """The targets whose lock and snapshot still live, in whatever run, as `snapback status` lists them."""
    answer: Any = json.loads(snapback("status", "--stack", stack, "--json"))
    if not isinstance(answer, dict) or not isinstance(answer.get("armed"), list):
        raise ValueError("`snapback status --json` does not list what is armed")
    return [entry if isinstance(entry, str) else json.dumps(entry) for entry in answer["armed"]]


def snapback(*arguments: str) -> str:
    return output([str(SNAPBACK), *arguments])


def aws(*arguments: str) -> str:
    return output([AWS, *arguments])


def output(command: list[str]) -> str:
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

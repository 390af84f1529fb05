#!/usr/bin/env python3
"""Deletes a stack, unless one of its targets still has to be restored: `infra/destroy.py STACK`.

The stack's functions restore its targets. Deleting them during a run would leave its faults in place. The script also deletes
a stack whose creation failed.
"""

from __future__ import annotations

import sys

import deployed
from deployed import CommandFailed, Stack, Tools


class Refused(Exception):
    """A target of the stack is armed."""


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("usage: infra/destroy.py STACK", file=sys.stderr)
        return 2
    return destroy(deployed.command_lines(), arguments[0])


def destroy(tools: Tools, name: str) -> int:
    try:
        stack = deployed.find(tools, name)
        if stack is None:
            print(f"destroy: there is no stack {name}")
            return 0
        table = ensure_nothing_armed(tools, stack)
    except Refused as refused:
        print(f"destroy: {refused}", file=sys.stderr)
        return 3
    except (OSError, CommandFailed, KeyError, ValueError) as problem:
        print(f"destroy: the armed targets cannot be read, so nothing is deleted: {problem}", file=sys.stderr)
        return 1
    try:
        delete(tools, name)
    except CommandFailed as failure:
        print(f"destroy: {failure}", file=sys.stderr)
        return 1
    print(f"The stack {name} is deleted." if table is None else summary(name, table))
    return 0


def ensure_nothing_armed(tools: Tools, stack: Stack) -> str | None:
    """Ensures that nothing is armed and that no run can start. Returns the table that outlives the stack."""
    table = deployed.ledger(tools, stack)
    if table is None or not deployed.table_exists(tools, table):
        return None
    armed = deployed.armed_targets(tools, stack, table)
    # A stack whose creation failed cannot start a run.
    if not armed and stack.outputs:
        # A run may have started since that read. The lever rolls it back, or the second read below finds it.
        engaged = deployed.lever_is_engaged(tools, stack)
        if not engaged:
            deployed.engage_lever(tools, stack, "the stack is being destroyed")
        armed = deployed.armed_targets(tools, stack, table)
        if armed and not engaged:
            tools.snapback("lever", "disengage", "--stack", stack.name)
    if armed:
        listed = "\n".join(f"  {target}" for target in armed)
        fix = f"restore them first: snapback rollback --all --stack {stack.name}"
        raise Refused(f"refused, {len(armed)} of the stack's targets are armed:\n{listed}\n{fix}")
    return table


def delete(tools: Tools, name: str) -> None:
    tools.aws("cloudformation", "delete-stack", "--stack-name", name)
    tools.aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", name)


def summary(name: str, table: str) -> str:
    return f"""The stack {name} is deleted. Its table {table} is retained and protected from deletion, because it records
what was changed. A new stack creates its own table. To remove this one too:
{deployed.how_to_remove(table)}"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

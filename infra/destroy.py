#!/usr/bin/env python3
"""Deletes a stack, but never one that still has something to put back: `infra/destroy.py STACK`.

The functions of the stack are what restores; deleting them in the middle of a run would leave its faults in place. A
stack whose creation failed is deleted too: it has nothing but, perhaps, its table.
"""

from __future__ import annotations

import sys

import deployed
from deployed import CommandFailed, Stack, Tools


class Refused(Exception):
    """Something of the stack is armed."""


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
        table = make_sure(tools, stack)
    except Refused as refused:
        print(f"destroy: {refused}", file=sys.stderr)
        return 3
    except (OSError, CommandFailed, KeyError, ValueError) as problem:
        # Not knowing is no permission.
        print(f"destroy: cannot tell whether anything is armed, so nothing is deleted: {problem}", file=sys.stderr)
        return 1
    try:
        delete(tools, name)
    except CommandFailed as failure:
        print(f"destroy: {failure}", file=sys.stderr)
        return 1
    print(f"The stack {name} is gone." if table is None else farewell(name, table))
    return 0


def make_sure(tools: Tools, stack: Stack) -> str | None:
    """That nothing is armed, and nothing can be from here on. The name of the table that stays."""
    table = deployed.ledger(tools, stack)
    if table is None or not deployed.table_exists(tools, table):
        return None
    armed = deployed.armed_targets(tools, stack, table)
    # A stack that was never created whole has nothing that could start.
    if not armed and stack.outputs:
        # Nothing may start between the look and the end: a run that did is rolled back by this, or found below.
        engaged = deployed.lever_is_engaged(tools, stack)
        if not engaged:
            deployed.engage_lever(tools, stack, "the stack is being destroyed")
        armed = deployed.armed_targets(tools, stack, table)
        if armed and not engaged:
            tools.snapback("lever", "release", "--stack", stack.name)
    if armed:
        listed = "\n".join(f"  {target}" for target in armed)
        fix = f"put them back first: snapback rollback --all --stack {stack.name}"
        raise Refused(f"refused, {len(armed)} of the stack's targets are armed:\n{listed}\n{fix}")
    return table


def delete(tools: Tools, name: str) -> None:
    tools.aws("cloudformation", "delete-stack", "--stack-name", name)
    tools.aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", name)


def farewell(name: str, table: str) -> str:
    return f"""The stack {name} is gone. Its table {table} is not: it is retained and protected from deletion, for it is the
record of what was changed. A new stack makes a table of its own. To remove this one as well:
{deployed.how_to_remove(table)}"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

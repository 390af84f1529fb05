"""Finds other snapback stacks in the same account and Region whose targets this stack could reach too.

Locks are kept in a stack's own ledger. Two stacks that may experiment on the same function do not see each other's locks: one
could record the other's fault as the original, and later restore that fault. So their opt-in tags must differ.
"""

from __future__ import annotations

import json

from deployed import CommandFailed, Stack, Tools

# Every snapback stack has these outputs, and no other stack has all of them.
OUTPUTS = {"LedgerTable", "OptInTag", "RollbackFunction", "StateMachineArn"}


def with_the_same_tag(tools: Tools, name: str, tag: str) -> list[str]:
    """Lists the other snapback stacks with this opt-in tag.

    Raises CommandFailed when the account's stacks cannot be listed.
    """
    described = json.loads(tools.aws("cloudformation", "describe-stacks", "--output", "json"))
    found = []
    for stack in described["Stacks"]:
        outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs") or []}
        if stack["StackName"] != name and outputs.keys() >= OUTPUTS and outputs["OptInTag"] == tag:
            found.append(stack["StackName"])
    return sorted(found)


def problem(tools: Tools, stack: Stack | None, name: str, given: dict[str, str], default_tag: str) -> tuple[str | None, str | None]:
    """Returns the reason to refuse this deployment and the warning about it; each can be None.

    An existing stack that keeps its tag gets only the warning, because the update may be what it needs.
    """
    before = stack.parameters.get("OptInTag", default_tag) if stack is not None else None
    tag = given.get("OptInTag", before or default_tag)
    try:
        others = with_the_same_tag(tools, name, tag)
    except (CommandFailed, KeyError, ValueError) as failure:
        return None, f"whether another stack has the opt-in tag {tag} is unknown, because the stacks cannot be listed: {failure}"
    if not others:
        return None, None
    text = (
        f"the stack {', '.join(others)} has the opt-in tag {tag} too. Two stacks do not see each other's locks, so one could "
        "record the other's fault as the original"
    )
    if tag == before:
        return None, f"{text}; give one of them another tag: PARAMETERS='OptInTag=key=value'"
    return f"{text}; give this stack its own tag: PARAMETERS='OptInTag=key=value'", None

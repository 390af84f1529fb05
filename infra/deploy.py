#!/usr/bin/env python3
"""Deploys the stack: `infra/deploy.py STACK BUCKET Key=Value ...`; with --check it only looks at the parameters.

Before anything is uploaded it says what is wrong with a parameter, looks at what is there already, and chooses how much
concurrency to reserve where nobody has said so.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import deployed
from deployed import CommandFailed, Stack, Tools

TEMPLATE = Path(__file__).resolve().parent / "template.yaml"
PACKAGED = deployed.ROOT / "target" / "package" / "template.yaml"
RESERVED = "RollbackReservedConcurrency"
# "As long as you leave at least 100 simultaneous executions unreserved" (lambda/latest/api/API_PutFunctionConcurrency).
# Accounts with small quotas are seen to have smaller floors: then less is chosen than would be possible.
FLOOR = 100
# With one execution, a rollback of a thousand targets, which takes minutes, would keep the next alarm waiting.
LEAST = 2
# A restore of so many targets at a time, which is all of an inline Map, has no need for more.
FEW, MOST = 10, 40


class Wrong(Exception):
    """What cannot be deployed: what is wrong, and what to do."""


class Refused(Exception):
    """What must not be deployed now."""


def main(arguments: list[str]) -> int:
    only_check = arguments[:1] == ["--check"]
    words = arguments[1:] if only_check else arguments
    if len(words) < 2:
        print("usage: infra/deploy.py [--check] STACK BUCKET [Key=Value ...]", file=sys.stderr)
        return 2
    stack, bucket, *parameters = words
    try:
        given = parsed(parameters, declared())
        if not only_check:
            deploy(deployed.command_lines(), stack, bucket, given)
    except Wrong as wrong:
        print(f"deploy: {wrong}", file=sys.stderr)
        return 2
    except Refused as refused:
        print(f"deploy: refused, {refused}", file=sys.stderr)
        return 3
    except (OSError, CommandFailed, KeyError, ValueError) as failure:
        print(f"deploy: {failure}", file=sys.stderr)
        return 1
    return 0


# ------------------------------------------------------------------------------------------------------ parameters


class AnyTag(yaml.SafeLoader):
    """Reads a template whose functions (!Ref and the like) are of no interest."""


AnyTag.add_multi_constructor("!", lambda loader, suffix, node: None)


@functools.cache
def declared() -> dict[str, dict[str, Any]]:
    """The parameters as the template declares them."""
    # A SafeLoader: it makes no objects.
    template = yaml.load(TEMPLATE.read_text(encoding="utf-8"), Loader=AnyTag)  # noqa: S506
    return dict(template["Parameters"])


def parsed(words: list[str], known: dict[str, dict[str, Any]]) -> dict[str, str]:
    """The parameters that were given, each of which the template will take."""
    given: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise Wrong(f"`{word}` is not a parameter; write Key=Value, and a value with blanks in it in quotes")
        if name not in known:
            near = difflib.get_close_matches(name, known, 1) or sorted(known)
            raise Wrong(f"there is no parameter {name}; write {' or '.join(near)}")
        if name in given:
            raise Wrong(f"{name} is given twice; give it once")
        if problem := objection(value, known[name]):
            raise Wrong(f"{name}=`{value}`: {problem}")
        given[name] = value
    return given


def objection(value: str, declaration: dict[str, Any]) -> str | None:
    """What speaks against a value, with the fix."""
    if "AllowedValues" in declaration and value not in map(str, declaration["AllowedValues"]):
        return f"write one of {', '.join(map(str, declaration['AllowedValues']))}"
    if declaration["Type"] == "Number":
        least, most = declaration.get("MinValue", 0), declaration.get("MaxValue")
        if not value.isdecimal() or int(value) < least or (most is not None and int(value) > most):
            return f"write a whole number, {least} to {most}" if most is not None else f"write a whole number from {least} on"
    items = value.split(",") if declaration["Type"] == "CommaDelimitedList" else [value]
    pattern = declaration.get("AllowedPattern")
    if pattern and not all(re.fullmatch(pattern, item) for item in items):
        return f"write {declaration['ConstraintDescription']}"
    return None


# ---------------------------------------------------------------------------------------------------------- deploy


def deploy(tools: Tools, name: str, bucket: str, given: dict[str, str]) -> None:
    stack = deployed.find(tools, name)
    check_schedule(tools, stack, given)
    if stack is not None and stack.was_never_created:
        clear_away(tools, stack)
        stack = None
    if stack is not None:
        check_status(stack)
    parameters = {**given, **reserved(tools, stack, given)}
    with_lever = stack is not None and may_go_on(tools, stack, given)
    try:
        upload_and_deploy(tools, name, bucket, parameters)
    finally:
        if stack is not None and with_lever:
            tools.snapback("lever", "release", "--stack", name)
    say_what_there_is(deployed.find(tools, name))


def check_schedule(tools: Tools, stack: Stack | None, given: dict[str, str]) -> None:
    before = stack.parameters if stack is not None else {}
    after = {**before, **given}
    expression, experiment = after.get("ScheduleExpression", ""), after.get("ScheduledExperiment", "")
    if bool(expression) != bool(experiment):
        missing = "EXPERIMENT=FILE" if expression else 'SCHEDULE="rate(7 days)"'
        raise Wrong(f"a schedule needs both SCHEDULE and EXPERIMENT; give {missing} too")
    if given.get("ScheduledExperiment"):
        try:
            tools.snapback("check", "-", stdin=given["ScheduledExperiment"])
        except CommandFailed as failure:
            raise Wrong(f"EXPERIMENT cannot be started by a schedule: {failure}") from failure


def clear_away(tools: Tools, stack: Stack) -> None:
    """Deletes what is left of a stack whose creation failed: nothing can be deployed into it."""
    table = deployed.ledger(tools, stack)
    if table is not None and deployed.table_exists(tools, table):
        armed = deployed.armed_targets(tools, stack, table)
        if armed:
            raise Refused(
                f"the stack {stack.name} was never created whole, and its table {table} lists what is armed:\n{listed(armed)}\n"
                f"put it back first: snapback rollback --all --direct --table {table}"
            )
        print(
            f"deploy: of the last try the table {table} is left; nothing in it is armed, and the stack gets another one. "
            f"To remove it:\n{deployed.how_to_remove(table)}"
        )
    print(f"deploy: the stack {stack.name} is {stack.status}: its creation failed. It is deleted, and created again.")
    tools.aws("cloudformation", "delete-stack", "--stack-name", stack.name)
    tools.aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", stack.name)


def check_status(stack: Stack) -> None:
    if stack.status.endswith("_IN_PROGRESS"):
        raise Refused(f"the stack {stack.name} is {stack.status}; wait until that is over")
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        fix = f"aws cloudformation continue-update-rollback --stack-name {stack.name}"
        raise Refused(f"the stack {stack.name} is {stack.status}; first: {fix}")
    if stack.status == "DELETE_FAILED":
        raise Refused(f"the stack {stack.name} is half deleted; first: make destroy STACK={stack.name}")


def may_go_on(tools: Tools, stack: Stack, given: dict[str, str]) -> bool:
    """Whether what runs could lose what puts it back, and is looked at for that. Then the lever is engaged: release it."""
    change = what_runs_would_lose(stack, given)
    table = deployed.ledger(tools, stack)
    assert table is not None
    try:
        armed = deployed.armed_targets(tools, stack, table)
    except (OSError, CommandFailed, ValueError) as problem:
        if change:
            raise Refused(f"{change}, and whether anything is armed cannot be told: {problem}") from problem
        print(f"deploy: whether anything is armed cannot be told, but names and ledger stay as they are: {problem}")
        return False
    if not change:
        if armed:
            print(f"deploy: {len(armed)} armed, which the new functions go on with:\n{listed(armed)}")
        return False
    if armed:
        raise refusal(stack, change, armed)
    if deployed.lever_is_engaged(tools, stack):
        return False
    # Nothing may start between this look and the update: a run that did is rolled back by this, or found below.
    deployed.engage_lever(tools, stack, f"the stack is being updated: {change}")
    armed = deployed.armed_targets(tools, stack, table)
    if armed:
        tools.snapback("lever", "release", "--stack", stack.name)
        raise refusal(stack, change, armed)
    return True


def what_runs_would_lose(stack: Stack, given: dict[str, str]) -> str | None:
    """What of an update replaces that which a run needs to end: its machine, its functions, its table."""
    prefix = stack.parameters.get("Prefix", "")
    if given.get("Prefix", prefix) != prefix:
        return f"Prefix={given['Prefix']} gives everything another name than {prefix}"
    # Until CloudFormation named it, the template did; without a name there, another table takes its place.
    if stack.outputs.get("LedgerTable") == f"{prefix}-ledger":
        return "the ledger's table is replaced by one that CloudFormation names"
    return None


def refusal(stack: Stack, change: str, armed: list[str]) -> Refused:
    return Refused(
        f"{change}, and {len(armed)} of the stack's targets are armed:\n{listed(armed)}\n"
        f"put them back first: snapback rollback --all --stack {stack.name}"
    )


def listed(armed: list[str]) -> str:
    return "\n".join(f"  {target}" for target in armed)


# ----------------------------------------------------------------------------------------------------- concurrency


@dataclass(frozen=True)
class Proposal:
    """How much concurrency to reserve for each of rollback and restore, and why so much."""

    concurrency: int
    why: str


def propose(unreserved: int, targets: int) -> Proposal:
    """What an account with so much unreserved concurrency allows, for runs of so many targets."""
    room = unreserved - FLOOR
    # Rollback and restore as much each, and one for the reaper.
    fits = max(0, (room - 1) // 2)
    wanted = min(max(targets, FEW), MOST)
    has = f"of the account's concurrency {unreserved} is unreserved, of which {FLOOR} must stay so"
    if fits < LEAST:
        return Proposal(
            0,
            f"{has}, so none can be reserved. An experiment that uses up the account's concurrency delays its own "
            "rollback: reserve some once the account's quota is higher (servicequotas, Lambda, concurrent executions)",
        )
    chosen = min(fits, wanted)
    return Proposal(chosen, f"{has}; rollback and restore get {chosen} each, the reaper 1")


def reserved(tools: Tools, stack: Stack | None, given: dict[str, str]) -> dict[str, str]:
    """The value for a stack that has none yet. What somebody has chosen, now or before, stays."""
    try:
        unreserved = unreserved_concurrency(tools)
    except (CommandFailed, KeyError, ValueError) as problem:
        if stack is None and RESERVED not in given:
            print(f"deploy: {RESERVED}=0, since the account's concurrency cannot be read: {problem}")
            return {RESERVED: "0"}
        return {}
    if RESERVED in given:
        check_reserved(tools, stack, int(given[RESERVED]), unreserved)
        return {}
    before = stack.parameters if stack is not None else {}
    proposal = propose(unreserved, int({**before, **given}.get("TargetLimit", FEW)))
    if stack is None:
        print(f"deploy: {RESERVED}={proposal.concurrency}: {proposal.why}")
        return {RESERVED: str(proposal.concurrency)}
    has = int(before.get(RESERVED, 0))
    if has < proposal.concurrency:
        print(f"deploy: {RESERVED} stays {has}; {proposal.concurrency} would suit the stack: {proposal.why}")
    return {}


def unreserved_concurrency(tools: Tools) -> int:
    settings = json.loads(tools.aws("lambda", "get-account-settings", "--output", "json"))
    return int(settings["AccountLimit"]["UnreservedConcurrentExecutions"])


def check_reserved(tools: Tools, stack: Stack | None, value: int, unreserved: int) -> None:
    """Refuses what AWS must refuse, and says what it may refuse: its floor differs by account."""
    more = (2 * value + 1 if value else 0) - reserved_so_far(tools, stack)
    if more > unreserved:
        raise Wrong(
            f"{RESERVED}=`{value}`: rollback and restore get as much each and the reaper 1, and of the account's concurrency "
            f"only {unreserved} is unreserved; write {propose(unreserved, value).concurrency}"
        )
    if more > unreserved - FLOOR:
        print(f"deploy: {RESERVED}={value} leaves less than {FLOOR} of the account's concurrency unreserved: AWS may refuse it")


def reserved_so_far(tools: Tools, stack: Stack | None) -> int:
    """What the stack's own functions have reserved already, which an update gives back."""
    prefix = stack.parameters.get("Prefix") if stack is not None else None
    if not prefix:
        return 0
    total = 0
    for function in (f"{prefix}-{task}" for task in ("rollback", "restore", "reaper")):
        try:
            answer = tools.aws("lambda", "get-function-concurrency", "--function-name", function, "--output", "json")
        except CommandFailed as failure:
            if "ResourceNotFoundException" in str(failure):
                continue
            raise
        total += int(json.loads(answer or "{}").get("ReservedConcurrentExecutions", 0))
    return total


# ---------------------------------------------------------------------------------------------------------- upload


def upload_and_deploy(tools: Tools, name: str, bucket: str, parameters: dict[str, str]) -> None:
    place = ("--s3-bucket", bucket, "--s3-prefix", name)
    files = ("--template-file", str(TEMPLATE), "--output-template-file", str(PACKAGED))
    tools.aws("cloudformation", "package", *files, *place)
    try:
        tools.aws(
            "cloudformation", "deploy", "--template-file", str(PACKAGED), "--stack-name", name, *place,
            "--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset",
            "--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items()),
            shown=True,
        )  # fmt: skip
    except CommandFailed as failure:
        reasons = "".join(f"\n  {reason}" for reason in first_reasons(tools, name))
        raise CommandFailed(f"{failure}{reasons}\nonce that is mended, the same command tries again") from failure


def first_reasons(tools: Tools, name: str) -> Iterator[str]:
    """What failed of itself: the rest was cancelled for it."""
    try:
        answer = tools.aws("cloudformation", "describe-stack-events", "--stack-name", name, "--output", "json")
    except CommandFailed:
        return
    # The newest come first, and this try began with one of the stack's own.
    for event in json.loads(answer)["StackEvents"]:
        reason = event.get("ResourceStatusReason", "")
        if reason == "User Initiated":
            return
        if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
            yield f"{event['LogicalResourceId']}: {reason}"


def say_what_there_is(stack: Stack | None) -> None:
    if stack is None:
        return
    table = stack.outputs.get("LedgerTable", "")
    print(f"The stack {stack.name} is deployed. Its ledger is the table {table}.")
    writers = stack.parameters.get("LedgerWriters", "")
    who = f"{writers} may write there, and so may use" if writers else "nobody else may write there, so nobody may use"
    print(f"Beside the stack's roles, {who} `snapback rollback --direct` (parameter LedgerWriters).")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

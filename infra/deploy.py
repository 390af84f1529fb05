#!/usr/bin/env python3
"""Deploys the stack: `infra/deploy.py STACK BUCKET Key=Value ... --tags Key=Value ...`. With --check it only checks these values.

Before it uploads anything, it checks every parameter, asks an existing stack what is armed, deletes a stack whose creation
failed, and chooses how much concurrency a new stack reserves.
"""

from __future__ import annotations

import difflib
import functools
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

import deployed
import neighbors
import old_schedule
from deployed import CommandFailed, Stack, Tools

TEMPLATE = Path(__file__).resolve().parent / "template.yaml"
PACKAGED = deployed.ROOT / "target" / "package" / "template.yaml"
RESERVED = "RollbackReservedConcurrency"
# AWS requires at least 100 executions to stay unreserved (lambda/latest/api/API_PutFunctionConcurrency). Accounts with small
# quotas have smaller floors; there the script chooses less than AWS would allow.
FLOOR = 100
# With a single execution, one rollback of a thousand targets, which takes minutes, would delay the next alarm's rollback.
MIN_CONCURRENCY = 2
# The default of TargetLimit, and the most targets that an inline Map restores at the same time.
DEFAULT_TARGETS, MAX_TARGETS_AT_ONCE = 10, 40
# AWSCloudFormation/latest/TemplateReference/aws-properties-resource-tags
MAX_TAG_KEY, MAX_TAG_VALUE = 128, 256


class InvalidParameter(Exception):
    """A parameter is invalid; the text names it, its value and the fix."""


class Refused(Exception):
    """The state of the stack forbids this deployment now."""


def main(arguments: list[str]) -> int:
    only_check = arguments[:1] == ["--check"]
    words = arguments[1:] if only_check else arguments
    if len(words) < 2:
        print("usage: infra/deploy.py [--check] STACK BUCKET [Key=Value ...] [--tags Key=Value ...]", file=sys.stderr)
        return 2
    stack, bucket, *parameters = words
    at = parameters.index("--tags") if "--tags" in parameters else len(parameters)
    parameters, tag_words = parameters[:at], parameters[at + 1 :]

    def checked() -> None:
        given, tags = parse_parameters(parameters, declared_parameters()), parse_tags(tag_words)
        if not only_check:
            deploy(deployed.command_lines(), stack, bucket, given, tags)

    return exit_code("deploy", checked)


def exit_code(command: str, act: Callable[[], None]) -> int:
    """Acts, and returns the command's exit code. A failure is printed."""
    try:
        act()
    except InvalidParameter as wrong:
        print(f"{command}: {wrong}", file=sys.stderr)
        return 2
    except Refused as refused:
        print(f"{command}: refused, {refused}", file=sys.stderr)
        return 3
    except (OSError, CommandFailed, KeyError, ValueError) as failure:
        print(f"{command}: {failure}", file=sys.stderr)
        return 1
    return 0


# ------------------------------------------------------------------------------------------------------ parameters


class AnyTag(yaml.SafeLoader):
    """Reads the template and ignores its functions (!Ref and so on)."""


AnyTag.add_multi_constructor("!", lambda loader, suffix, node: None)


@functools.cache
def declared_parameters(template: Path = TEMPLATE) -> dict[str, dict[str, Any]]:
    """Returns the template's Parameters section."""
    # AnyTag is a SafeLoader, which creates no objects.
    content = yaml.load(template.read_text(encoding="utf-8"), Loader=AnyTag)  # noqa: S506
    return dict(content["Parameters"])


def parse_parameters(words: list[str], known: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Parses Key=Value words. Every value is one that the template accepts."""
    given: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise InvalidParameter(f"`{word}` is not a parameter; write Key=Value, and quote a value with blanks")
        if gone := old_schedule.advice(name):
            raise InvalidParameter(gone)
        if name not in known:
            near = difflib.get_close_matches(name, known, 1) or sorted(known)
            raise InvalidParameter(f"there is no parameter {name}; write {' or '.join(near)}")
        if name in given:
            raise InvalidParameter(f"{name} is given twice; give it once")
        if problem := find_problem(value, known[name]):
            raise InvalidParameter(f"{name}=`{value}`: {problem}")
        given[name] = value
    return given


def parse_tags(words: list[str]) -> dict[str, str]:
    """Parses the stack's tags, which CloudFormation gives to every resource that takes tags."""
    tags: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise InvalidParameter(f"TAGS: `{word}` is not a tag; write Key=Value, and no blanks in it")
        if name.lower().startswith("aws:") or name == "snapback":
            raise InvalidParameter(f"TAGS: the key {name} is used by AWS or by snapback itself; choose another one")
        if len(name) > MAX_TAG_KEY or len(value) > MAX_TAG_VALUE:
            raise InvalidParameter(f"TAGS: `{word}` is too long; a key has {MAX_TAG_KEY} characters at most, a value {MAX_TAG_VALUE}")
        tags[name] = value
    return tags


def find_problem(value: str, declaration: dict[str, Any]) -> str | None:
    """Returns what to write instead if the template would reject the value."""
    if "AllowedValues" in declaration and value not in map(str, declaration["AllowedValues"]):
        return f"write one of {', '.join(map(str, declaration['AllowedValues']))}"
    if declaration["Type"] == "Number":
        least, most = declaration.get("MinValue", 0), declaration.get("MaxValue")
        if not value.isdecimal() or int(value) < least or (most is not None and int(value) > most):
            return f"write a whole number, {least} to {most}" if most is not None else f"write a whole number, {least} or more"
    longest = declaration.get("MaxLength")
    if longest is not None and len(value) > longest:
        return f"it has {len(value)} characters; write {longest} at most"
    items = value.split(",") if declaration["Type"] == "CommaDelimitedList" else [value]
    pattern = declaration.get("AllowedPattern")
    if pattern and not all(re.fullmatch(pattern, item) for item in items):
        return f"write {declaration['ConstraintDescription']}"
    return None


# ---------------------------------------------------------------------------------------------------------- deploy


def deploy(tools: Tools, name: str, bucket: str, given: dict[str, str], new_tags: dict[str, str] | None = None) -> None:
    stack = deployed.find(tools, name)
    check_events(tools, stack, given)
    if stack is not None and stack.creation_failed:
        delete_failed_stack(tools, stack)
        stack = None
    if stack is not None:
        check_status(stack)
        check_schedules(tools, stack, given)
    check_neighbors(tools, stack, name, given)
    parameters = {**given, **choose_concurrency(tools, stack, given)}
    # Without its earlier tags, an update would remove them.
    tags = {**(stack.tags if stack is not None else {}), **(new_tags or {})}
    lever_is_ours = stack is not None and guard_armed_targets(tools, stack, given)
    try:
        with old_schedule.carried_over(tools, stack):
            upload_and_deploy(tools, name, bucket, parameters, tags)
    finally:
        if lever_is_ours:
            tools.snapback("lever", "disengage", "--stack", name)
    print_summary(deployed.find(tools, name))


def check_schedules(tools: Tools, stack: Stack, given: dict[str, str]) -> None:
    """Refuses another prefix while there are schedules: CloudFormation deletes their group with all of them."""
    prefix = stack.parameters.get("Prefix", "")
    if given.get("Prefix", prefix) == prefix or "ScheduleGroup" not in stack.outputs:
        return
    found = json.loads(tools.snapback("schedule", "list", "--json", "--stack", stack.name))["schedules"]
    if names := ", ".join(schedule["name"] for schedule in found):
        raise Refused(
            f"Prefix={given['Prefix']} deletes the group of the stack's schedules, {names}; remove them first "
            "(snapback schedule remove), and add them again after the deployment"
        )


def check_events(tools: Tools, stack: Stack | None, given: dict[str, str]) -> None:
    """Refuses a topic without events, and a new bus that does not exist: CloudFormation would only say so after minutes."""
    default = str(declared_parameters()["EventBusName"]["Default"])
    before = stack.parameters if stack is not None else {}
    after = {**before, **given}
    bus, topic = after.get("EventBusName", default), after.get("NotificationTopicArn", "")
    if topic and not bus:
        raise InvalidParameter("NotificationTopicArn needs events; give EventBusName too, or NotificationTopicArn=")
    if bus in ("", default, before.get("EventBusName")):
        return
    try:
        tools.aws("events", "describe-event-bus", "--name", bus)
    except CommandFailed as failure:
        if "ResourceNotFoundException" in str(failure):
            raise InvalidParameter(
                f"EventBusName=`{bus}`: there is no such bus; create it, or write default for the account's own"
            ) from failure
        print(f"deploy: the event bus {bus} cannot be read, so the update may fail there: {failure}")


def check_neighbors(tools: Tools, stack: Stack | None, name: str, given: dict[str, str]) -> None:
    default_tag = str(declared_parameters()["OptInTag"]["Default"])
    refusal, warning = neighbors.problem(tools, stack, name, given, default_tag)
    if refusal:
        raise Refused(refusal)
    if warning:
        print(f"deploy: {warning}")


def delete_failed_stack(tools: Tools, stack: Stack) -> None:
    """Deletes a stack whose creation failed. CloudFormation cannot update such a stack."""
    table = deployed.ledger(tools, stack)
    if table is not None and deployed.table_exists(tools, table):
        armed = deployed.armed_targets(tools, stack, table)
        if armed:
            raise Refused(
                f"the creation of the stack {stack.name} failed, but its table {table} lists armed targets:\n{listed(armed)}\n"
                f"restore them first: snapback rollback --all --direct --table {table}"
            )
        print(
            f"deploy: the failed creation left the table {table}. Nothing in it is armed, and the new stack gets its own "
            f"table. To remove the old one:\n{deployed.how_to_remove(table)}"
        )
    print(f"deploy: deleting the stack {stack.name}, whose creation failed ({stack.status}), and creating it again")
    tools.aws("cloudformation", "delete-stack", "--stack-name", stack.name)
    tools.aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", stack.name)


def check_status(stack: Stack) -> None:
    if stack.status.endswith("_IN_PROGRESS"):
        raise Refused(f"the stack {stack.name} is {stack.status}; wait until that has ended")
    if stack.status == "UPDATE_ROLLBACK_FAILED":
        fix = f"aws cloudformation continue-update-rollback --stack-name {stack.name}"
        raise Refused(f"the stack {stack.name} is {stack.status}; run this first: {fix}")
    if stack.status == "DELETE_FAILED":
        raise Refused(f"the deletion of the stack {stack.name} failed; finish it first: make destroy STACK={stack.name}")


def guard_armed_targets(tools: Tools, stack: Stack, given: dict[str, str]) -> bool:
    """Refuses an update that would take from an armed target the means to restore it.

    For such an update it also engages the safety lever, so that no run starts during it. Returns whether it did: the
    caller then disengages the lever.
    """
    change = find_breaking_change(stack, given)
    table = deployed.ledger(tools, stack)
    assert table is not None
    try:
        armed = deployed.armed_targets(tools, stack, table)
    except (OSError, CommandFailed, ValueError) as problem:
        if change:
            raise Refused(f"{change}, and the armed targets cannot be read: {problem}") from problem
        print(f"deploy: the armed targets cannot be read; names and ledger stay as they are, so the update continues: {problem}")
        return False
    if not change:
        if armed:
            print(f"deploy: {len(armed)} armed; the new functions take over:\n{listed(armed)}")
        return False
    if armed:
        raise refusal(stack, change, armed)
    if deployed.lever_is_engaged(tools, stack):
        return False
    # A run may have started since that read. The lever rolls it back, or the second read below finds it.
    deployed.engage_lever(tools, stack, f"the stack is being updated: {change}")
    armed = deployed.armed_targets(tools, stack, table)
    if armed:
        tools.snapback("lever", "disengage", "--stack", stack.name)
        raise refusal(stack, change, armed)
    return True


def find_breaking_change(stack: Stack, given: dict[str, str]) -> str | None:
    """Describes a change that replaces the state machine, the functions or the table, which a run needs to end."""
    prefix = stack.parameters.get("Prefix", "")
    if given.get("Prefix", prefix) != prefix:
        return f"Prefix={given['Prefix']} gives everything another name than {prefix}"
    # Earlier templates named the table. Without that name, CloudFormation replaces the table.
    if stack.outputs.get("LedgerTable") == f"{prefix}-ledger":
        return "this update replaces the ledger's table"
    return None


def refusal(stack: Stack, change: str, armed: list[str]) -> Refused:
    return Refused(
        f"{change}, and {len(armed)} of the stack's targets are armed:\n{listed(armed)}\n"
        f"restore them first: snapback rollback --all --stack {stack.name}"
    )


def listed(armed: list[str]) -> str:
    return "\n".join(f"  {target}" for target in armed)


# ----------------------------------------------------------------------------------------------------- concurrency


@dataclass(frozen=True)
class Proposal:
    """The concurrency to reserve for rollback and for restore, each, and the reason."""

    concurrency: int
    why: str


def propose_concurrency(unreserved: int, targets: int) -> Proposal:
    """Proposes a value for an account with this much unreserved concurrency and for runs of this many targets."""
    # The value counts twice, for rollback and for restore, and the reaper takes one.
    possible = max(0, (unreserved - FLOOR - 1) // 2)
    useful = min(max(targets, DEFAULT_TARGETS), MAX_TARGETS_AT_ONCE)
    account = f"the account has {unreserved} unreserved concurrent executions and must keep {FLOOR} of them"
    if possible < MIN_CONCURRENCY:
        return Proposal(
            0,
            f"{account}, so snapback cannot reserve any. An experiment that uses up the account's concurrency delays its own "
            "rollback. Ask for a higher quota (Service Quotas, AWS Lambda, Concurrent executions), then set this parameter",
        )
    chosen = min(possible, useful)
    return Proposal(chosen, f"{account}; rollback and restore get {chosen} each, the reaper 1")


def choose_concurrency(tools: Tools, stack: Stack | None, given: dict[str, str]) -> dict[str, str]:
    """Returns the parameter for a new stack. It never changes a value that was given or that a stack already has."""
    try:
        unreserved = read_unreserved(tools)
    except (CommandFailed, KeyError, ValueError) as problem:
        if stack is None and RESERVED not in given:
            print(f"deploy: {RESERVED}=0, because the account's concurrency cannot be read: {problem}")
            return {RESERVED: "0"}
        return {}
    if RESERVED in given:
        check_reserved(tools, stack, int(given[RESERVED]), unreserved)
        return {}
    before = stack.parameters if stack is not None else {}
    proposal = propose_concurrency(unreserved, int({**before, **given}.get("TargetLimit", DEFAULT_TARGETS)))
    if stack is None:
        print(f"deploy: {RESERVED}={proposal.concurrency}: {proposal.why}")
        return {RESERVED: str(proposal.concurrency)}
    has = int(before.get(RESERVED, 0))
    if has < proposal.concurrency:
        print(f"deploy: {RESERVED} stays {has}; consider {proposal.concurrency}: {proposal.why}")
    return {}


def read_unreserved(tools: Tools) -> int:
    settings = json.loads(tools.aws("lambda", "get-account-settings", "--output", "json"))
    return int(settings["AccountLimit"]["UnreservedConcurrentExecutions"])


def check_reserved(tools: Tools, stack: Stack | None, value: int, unreserved: int) -> None:
    """Refuses a value that no account floor allows, and warns about one that only a small floor allows."""
    more = (2 * value + 1 if value else 0) - read_reserved(tools, stack)
    if more > unreserved:
        raise InvalidParameter(
            f"{RESERVED}=`{value}`: rollback and restore get this much each, the reaper 1, and the account has only "
            f"{unreserved} unreserved concurrent executions; write {propose_concurrency(unreserved, value).concurrency}"
        )
    if more > unreserved - FLOOR:
        print(f"deploy: {RESERVED}={value} leaves fewer than {FLOOR} executions unreserved; AWS may refuse it")


def read_reserved(tools: Tools, stack: Stack | None) -> int:
    """Reads how much the stack's functions have reserved already. An update reuses that."""
    prefix = stack.parameters.get("Prefix") if stack is not None else None
    if not prefix:
        return 0
    total = 0
    for function in (f"{prefix}-{task}" for task in ("rollback", "restore", "reaper")):
        try:
            response = tools.aws("lambda", "get-function-concurrency", "--function-name", function, "--output", "json")
        except CommandFailed as failure:
            if "ResourceNotFoundException" in str(failure):
                continue
            raise
        total += int(json.loads(response or "{}").get("ReservedConcurrentExecutions", 0))
    return total


# ---------------------------------------------------------------------------------------------------------- upload


def upload_and_deploy(tools: Tools, name: str, bucket: str, parameters: dict[str, str], tags: dict[str, str]) -> None:
    place = ("--s3-bucket", bucket, "--s3-prefix", name)
    files = ("--template-file", str(TEMPLATE), "--output-template-file", str(PACKAGED))
    tools.aws("cloudformation", "package", *files, *place)
    try:
        tools.aws(
            "cloudformation", "deploy", "--template-file", str(PACKAGED), "--stack-name", name, *place,
            "--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset",
            *(["--tags", *(f"{key}={value}" for key, value in tags.items())] if tags else []),
            "--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items()),
            shown=True,
        )  # fmt: skip
    except CommandFailed as failure:
        reasons = "".join(f"\n  {reason}" for reason in first_reasons(tools, name))
        raise CommandFailed(f"{failure}{reasons}\nafter the fix, run the same command again") from failure


def first_reasons(tools: Tools, name: str) -> Iterator[str]:
    """Yields the reasons of the resources that failed, without those that were cancelled because of them."""
    try:
        response = tools.aws("cloudformation", "describe-stack-events", "--stack-name", name, "--output", "json")
    except CommandFailed:
        return
    # The newest events come first. This attempt began with an event of the stack itself.
    for event in json.loads(response)["StackEvents"]:
        reason = event.get("ResourceStatusReason", "")
        if reason == "User Initiated":
            return
        if event["ResourceStatus"].endswith("_FAILED") and "cancelled" not in reason:
            yield f"{event['LogicalResourceId']}: {reason}"


def print_summary(stack: Stack | None) -> None:
    if stack is None:
        return
    table = stack.outputs.get("LedgerTable", "")
    print(f"The stack {stack.name} is deployed. Its ledger is the table {table}.")
    writers = stack.parameters.get("LedgerWriters", "")
    if writers:
        print(f"`snapback rollback --direct` writes to this table; LedgerWriters allows it to {writers}.")
    else:
        print("`snapback rollback --direct` writes to this table; no role is allowed to (parameter LedgerWriters).")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

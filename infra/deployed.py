"""What there is of a stack in the account: what deploy.py and destroy.py both ask, through AWS's and snapback's command lines."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
AWS = os.environ.get("AWS", str(ROOT / ".tools" / "venv" / "bin" / "aws"))
SNAPBACK = ROOT / os.environ.get("CARGO_TARGET_DIR", "target") / "release" / "snapback"

# A stack that was never created whole. Nothing can be deployed into it; it can only be deleted
# (AWSCloudFormation/latest/UserGuide/view-stack-events).
NEVER_CREATED = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


class CommandFailed(Exception):
    """A command did not do its work; its last words."""


@dataclass(frozen=True)
class Tools:
    """The two command lines; each returns what it prints on standard output, or fails.

    `stdin=TEXT` is read by the command; with `shown=True` what it prints is for the person who waits.
    """

    aws: Callable[..., str]
    snapback: Callable[..., str]


@dataclass(frozen=True)
class Stack:
    """A stack as CloudFormation describes it."""

    name: str
    status: str
    outputs: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def was_never_created(self) -> bool:
        return self.status in NEVER_CREATED


def command_lines() -> Tools:
    def run(program: str) -> Callable[..., str]:
        def output(*arguments: str, stdin: str = "", shown: bool = False) -> str:
            out = None if shown else subprocess.PIPE
            command = [program, *arguments]
            done = subprocess.run(command, input=stdin, stdout=out, stderr=subprocess.PIPE, text=True, check=False)
            if done.returncode:
                said = (done.stderr.strip() or (done.stdout or "").strip()).splitlines()
                raise CommandFailed(f"{Path(program).name} {' '.join(arguments[:2])}: {' '.join(said[-3:])}")
            return done.stdout or ""

        return output

    return Tools(run(AWS), run(str(SNAPBACK)))


def find(tools: Tools, name: str) -> Stack | None:
    """The stack of this name, if there is one; one that is only being reviewed is none yet."""
    try:
        described = json.loads(tools.aws("cloudformation", "describe-stacks", "--stack-name", name, "--output", "json"))
    except CommandFailed as failure:
        if "does not exist" in str(failure):
            return None
        raise
    stack = described["Stacks"][0]
    if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
        return None
    return Stack(
        name,
        stack["StackStatus"],
        {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs") or []},
        {each["ParameterKey"]: each.get("ParameterValue", "") for each in stack.get("Parameters") or []},
    )


def ledger(tools: Tools, stack: Stack) -> str | None:
    """The name of the stack's table: of a stack whose creation failed there are no outputs, and there may be no table."""
    if "LedgerTable" in stack.outputs:
        return stack.outputs["LedgerTable"]
    if not stack.was_never_created and not stack.status.startswith("DELETE_"):
        raise ValueError(f"the stack {stack.name} has no output LedgerTable, so it is none of snapback's")
    described = tools.aws("cloudformation", "describe-stack-resources", "--stack-name", stack.name, "--output", "json")
    for resource in json.loads(described)["StackResources"]:
        if resource["LogicalResourceId"] == "LedgerTable" and resource["ResourceStatus"] != "DELETE_COMPLETE":
            return resource.get("PhysicalResourceId") or None
    return None


def armed_targets(tools: Tools, stack: Stack, table: str) -> list[str]:
    """The targets whose lock and snapshot still live and the runs that may arm some, as `snapback status` lists them."""
    # The table is enough, and for a stack without outputs it is all there is.
    answer: Any = json.loads(tools.snapback("status", "--stack", stack.name, "--table", table, "--json"))
    if not isinstance(answer, dict) or not isinstance(answer.get("armed"), list):
        raise ValueError("`snapback status --json` does not list what is armed")
    return [entry if isinstance(entry, str) else json.dumps(entry) for entry in answer["armed"]]


def table_exists(tools: Tools, table: str) -> bool:
    try:
        tools.aws("dynamodb", "describe-table", "--table-name", table, "--output", "json")
    except CommandFailed as failure:
        if "ResourceNotFoundException" in str(failure):
            return False
        raise
    return True


def lever_is_engaged(tools: Tools, stack: Stack) -> bool:
    return bool(json.loads(tools.snapback("lever", "show", "--stack", stack.name, "--json"))["engaged"])


def engage_lever(tools: Tools, stack: Stack, reason: str) -> None:
    """Nothing starts from here on. What runs is rolled back by this, and how that ended is seen by who looks again."""
    try:
        tools.snapback("lever", "engage", "--reason", reason, "--stack", stack.name)
    except CommandFailed:
        if not lever_is_engaged(tools, stack):
            raise


def how_to_remove(table: str) -> str:
    return f"""  aws dynamodb update-table --table-name {table} --no-deletion-protection-enabled
  aws dynamodb delete-table --table-name {table}"""

"""Reads the state of a deployed stack, through AWS's and snapback's command lines. deploy.py and destroy.py share it."""

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

# The creation of the stack failed. CloudFormation cannot update it, only delete it
# (AWSCloudFormation/latest/UserGuide/view-stack-events).
FAILED_CREATION = ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED")


class CommandFailed(Exception):
    """A command failed; the text has the end of its error output."""


@dataclass(frozen=True)
class Tools:
    """The two command lines. Each call returns the standard output, or raises CommandFailed.

    `stdin=TEXT` becomes the standard input. With `shown=True` the output goes to the terminal instead.
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
    # Without those that CloudFormation adds.
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def creation_failed(self) -> bool:
        return self.status in FAILED_CREATION


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
    """Finds a stack by name. A stack that only has a change set under review does not exist yet."""
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
        {each["Key"]: each["Value"] for each in stack.get("Tags") or [] if not each["Key"].startswith("aws:")},
    )


def ledger(tools: Tools, stack: Stack) -> str | None:
    """Returns the name of the stack's table. A stack whose creation failed has no outputs, and may have no table."""
    if "LedgerTable" in stack.outputs:
        return stack.outputs["LedgerTable"]
    if not stack.creation_failed and not stack.status.startswith("DELETE_"):
        raise ValueError(f"the stack {stack.name} has no output LedgerTable, so it is not a snapback stack")
    described = tools.aws("cloudformation", "describe-stack-resources", "--stack-name", stack.name, "--output", "json")
    for resource in json.loads(described)["StackResources"]:
        if resource["LogicalResourceId"] == "LedgerTable" and resource["ResourceStatus"] != "DELETE_COMPLETE":
            return resource.get("PhysicalResourceId") or None
    return None


def armed_targets(tools: Tools, stack: Stack, table: str) -> list[str]:
    """Lists the targets that are not restored and the runs that may still arm some, as `snapback status` does."""
    # The table is sufficient, and a stack without outputs has nothing else.
    response: Any = json.loads(tools.snapback("status", "--stack", stack.name, "--table", table, "--json"))
    if not isinstance(response, dict) or not isinstance(response.get("armed"), list):
        raise ValueError("`snapback status --json` does not list the armed targets")
    return [text_of(entry) for entry in response["armed"]]


def text_of(entry: Any) -> str:
    """Returns the text of an entry of `armed`. Before this release, the entry was the text."""
    if isinstance(entry, str):
        return entry
    text = entry.get("text") if isinstance(entry, dict) else None
    return text if isinstance(text, str) else json.dumps(entry)


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
    """Engages the safety lever, which also rolls back every run.

    The command ends with an error if such a run has deviated. The caller reads the armed targets again.
    """
    try:
        tools.snapback("lever", "engage", "--reason", reason, "--stack", stack.name)
    except CommandFailed:
        if not lever_is_engaged(tools, stack):
            raise


def how_to_remove(table: str) -> str:
    return f"""  aws dynamodb update-table --table-name {table} --no-deletion-protection-enabled
  aws dynamodb delete-table --table-name {table}"""

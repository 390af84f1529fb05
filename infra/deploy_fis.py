#!/usr/bin/env python3
"""Deploys infra/fis.yaml beside a snapback stack: `infra/deploy_fis.py STACK EXPERIMENT Key=Value ...`.

The new stack is named STACK-fis. EXPERIMENT is a file with one more experiment, in YAML or JSON, or empty. With --check it only checks the parameters.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import deployed
from deploy import InvalidParameter, Refused, declared_parameters, exit_code, first_reasons, parse_parameters
from deployed import CommandFailed, Stack, Tools

TEMPLATE = Path(__file__).resolve().parent / "fis.yaml"
SUFFIX = "-fis"


def main(arguments: list[str]) -> int:
    only_check = arguments[:1] == ["--check"]
    words = arguments[1:] if only_check else arguments
    if len(words) < 2:
        print("usage: infra/deploy_fis.py [--check] STACK EXPERIMENT [Key=Value ...]", file=sys.stderr)
        return 2
    stack, experiment, *parameters = words

    def checked() -> None:
        given = parse(parameters, experiment)
        if not only_check:
            deploy(deployed.command_lines(), stack, given)

    return exit_code("deploy-fis", checked)


def parse(parameters: list[str], experiment: str) -> dict[str, str]:
    """Returns the parameters that the user gives. The stack itself gives the Prefix."""
    known = {name: each for name, each in declared_parameters(TEMPLATE).items() if name not in ("Prefix", "Experiment")}
    given = parse_parameters(parameters, known)
    if experiment:
        given["Experiment"] = read_experiment(experiment)
    return given


def read_experiment(file: str) -> str:
    """Returns the experiment: JSON on one line, or YAML as it is, which only the built command line can read."""
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError as problem:
        raise InvalidParameter(f"EXPERIMENT={file}: it cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise InvalidParameter(f"EXPERIMENT={file}: it is not text in UTF-8; save it as UTF-8") from problem
    return fitting(as_line(text)) or text


def as_line(text: str) -> str:
    """Returns JSON on one line; an empty text if it is not JSON."""
    try:
        return json.dumps(json.loads(text), ensure_ascii=False)
    except ValueError:
        return ""


def fitting(text: str) -> str:
    """Refuses an experiment that is too long for Parameter Store."""
    size, longest = len(text.encode()), int(declared_parameters(TEMPLATE)["Experiment"]["MaxLength"])
    if size > longest:
        raise InvalidParameter(
            f"EXPERIMENT: it has {size} bytes as JSON, and Parameter Store takes {longest}; name fewer targets, or find them by tag"
        )
    return text


def checked_experiment(tools: Tools, text: str) -> str:
    """Checks the experiment, and returns it as JSON on one line."""
    try:
        printed = tools.snapback("check", "-", "--print-json", stdin=text)
    except CommandFailed as failure:
        raise InvalidParameter(f"EXPERIMENT is not a valid experiment: {failure}") from failure
    return as_line(text) or fitting(as_line(printed))


def deploy(tools: Tools, name: str, given: dict[str, str]) -> None:
    main_stack = deployed.find(tools, name)
    if main_stack is None or "StateMachineArn" not in main_stack.outputs:
        raise Refused(f"there is no snapback stack {name}; deploy it first: make deploy STACK={name}")
    # The functions of earlier releases refuse to be told who starts and who ends a run.
    if "RecordsActors" not in main_stack.outputs:
        raise Refused(f"the stack {name} is of an earlier release; update it first: make deploy STACK={name}")
    if given.get("Experiment"):
        given = given | {"Experiment": checked_experiment(tools, given["Experiment"])}
    prefix = main_stack.outputs["Prefix"]
    parameters = parse_parameters([f"Prefix={prefix}"], declared_parameters(TEMPLATE)) | given
    stack = make_way(tools, deployed.find(tools, name + SUFFIX))
    check_complete(stack, given)
    upload(tools, name + SUFFIX, parameters)
    print_summary(deployed.find(tools, name + SUFFIX))


def make_way(tools: Tools, stack: Stack | None) -> Stack | None:
    """Returns the stack if it can be updated. Deletes one whose creation failed, which CloudFormation cannot update."""
    if stack is None:
        return None
    if stack.status.endswith("_IN_PROGRESS"):
        raise Refused(f"the stack {stack.name} is {stack.status}; wait until that has ended")
    if not stack.creation_failed:
        return stack
    print(f"deploy-fis: deleting the stack {stack.name}, whose creation failed ({stack.status}), and creating it again")
    tools.aws("cloudformation", "delete-stack", "--stack-name", stack.name)
    tools.aws("cloudformation", "wait", "stack-delete-complete", "--stack-name", stack.name)
    return None


def check_complete(stack: Stack | None, given: dict[str, str]) -> None:
    known = {**(stack.parameters if stack else {}), **given}
    missing = [name for name, each in declared_parameters(TEMPLATE).items() if "Default" not in each and not known.get(name)]
    if missing:
        words = " ".join(f"{name}=..." for name in missing)
        raise InvalidParameter(f'a new stack needs {" and ".join(missing)}; write PARAMETERS="{words}"')
    if known.get("HandlerLayer") and not known.get("Handler"):
        raise InvalidParameter(f"HandlerLayer=`{known['HandlerLayer']}`: there is no Handler; give both, or neither")


def upload(tools: Tools, name: str, parameters: dict[str, str]) -> None:
    try:
        tools.aws(
            "cloudformation", "deploy", "--template-file", str(TEMPLATE), "--stack-name", name,
            "--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset",
            "--parameter-overrides", *(f"{key}={value}" for key, value in parameters.items()),
            shown=True,
        )  # fmt: skip
    except CommandFailed as failure:
        reasons = "".join(f"\n  {reason}" for reason in first_reasons(tools, name))
        raise CommandFailed(f"{failure}{reasons}\nafter the fix, run the same command again") from failure


def print_summary(stack: Stack | None) -> None:
    if stack is None:
        return
    print(f"The stack {stack.name} is deployed. Start one of its experiments:")
    for output, value in sorted(stack.outputs.items()):
        if output.endswith("TemplateId"):
            print(f"  aws fis start-experiment --experiment-template-id {value}   # {output.removesuffix('TemplateId')}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

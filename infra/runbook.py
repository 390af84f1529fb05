"""Reads an SSM Automation runbook of schema version 0.3, and checks it by AWS's documentation.

    runbook.py TEMPLATE         prints the problems of each runbook in a CloudFormation template, one per line

It knows only what infra/fis.yaml uses: anything else is a problem. Pages of systems-manager/latest/userguide:
documents-syntax-data-elements-parameters, automation-actions ("Properties shared by all actions"), one page per action, and
automation-variables.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

TOP_LEVEL = {"schemaVersion", "description", "assumeRole", "parameters", "mainSteps", "outputs"}
PARAMETER = {"type", "description", "allowedPattern"}
STEP = {
    "name", "description", "action", "timeoutSeconds", "maxAttempts", "isCritical", "onFailure", "onCancel", "isEnd",
    "inputs", "outputs", "nextStep",
}  # fmt: skip
# The required and the optional inputs of each action. `waitForAwsResourceProperty` also takes those of its API.
INPUTS: dict[str, tuple[set[str], set[str]]] = {
    "aws:executeScript": ({"Runtime", "Handler", "Script"}, {"InputPayload"}),
    "aws:invokeLambdaFunction": ({"FunctionName"}, {"InvocationType", "InputPayload"}),
    "aws:waitForAwsResourceProperty": ({"Service", "Api", "PropertySelector", "DesiredValues"}, set()),
}
# The longest that AWS lets a step of the action run.
MAX_SECONDS = {"aws:executeScript": 600, "aws:invokeLambdaFunction": 300}
REFERENCE = re.compile(r"{{\s*([A-Za-z0-9_:.]+)\s*}}")
# The output of a step, and a variable of the automation.
OUTPUT = re.compile(r"(\w+)\.(\w+)")
EXECUTION_ID = "automation:EXECUTION_ID"


class InvalidRunbook(Exception):
    """The runbook has problems; the text has one per line."""


@dataclass(frozen=True)
class Step:
    """A step. `on_failure` and `on_cancel` are `Abort`, `Continue` or the name of a step."""

    name: str
    action: str
    inputs: dict[str, Any]
    outputs: dict[str, str]
    timeout_seconds: int
    max_attempts: int
    is_critical: bool
    on_failure: str
    on_cancel: str
    is_end: bool
    next_step: str | None


@dataclass(frozen=True)
class Runbook:
    """A runbook whose every step and property is known."""

    assume_role: str
    # The allowed pattern of each parameter.
    parameters: dict[str, str]
    steps: dict[str, Step] = field(default_factory=dict)

    @property
    def first(self) -> Step:
        return next(iter(self.steps.values()))


def parse(text: str) -> Runbook:
    """Returns the runbook, or raises InvalidRunbook with all problems."""
    document = yaml.safe_load(text)
    if found := list(problems(document)):
        raise InvalidRunbook("\n".join(found))
    steps = [read_step(each) for each in document["mainSteps"]]
    return Runbook(
        document["assumeRole"],
        {name: each["allowedPattern"] for name, each in document["parameters"].items()},
        {step.name: step for step in steps},
    )


def read_step(raw: dict[str, Any]) -> Step:
    return Step(
        raw["name"],
        raw["action"],
        raw["inputs"],
        {each["Name"]: each["Selector"] for each in raw.get("outputs", [])},
        raw["timeoutSeconds"],
        raw.get("maxAttempts", 1),
        raw["isCritical"],
        raw["onFailure"].removeprefix("step:"),
        raw["onCancel"].removeprefix("step:"),
        raw.get("isEnd", False),
        raw.get("nextStep"),
    )


def problems(document: Any) -> Iterator[str]:
    """Returns everything that is unknown, missing or contradictory."""
    if not isinstance(document, dict) or document.get("schemaVersion") != "0.3":
        yield 'document: not a runbook; write schemaVersion: "0.3"'
        return
    yield from unknown("document", document, TOP_LEVEL)
    for name, parameter in document["parameters"].items():
        yield from unknown(f"parameter {name}", parameter, PARAMETER)
        # Without a pattern, a value that is too long or of another form would start an automation.
        if parameter.get("type") != "String" or "allowedPattern" not in parameter:
            yield f"parameter {name}: not a String with an allowedPattern"
    steps = document["mainSteps"]
    names = [step.get("name") for step in steps]
    found = [problem for step in steps for problem in step_problems(step, names)]
    yield from found
    if found:
        return
    parsed = {step["name"]: read_step(step) for step in steps}
    yield from path_problems(parsed, set(document["parameters"]))
    for output in document["outputs"]:
        step, _, name = output.partition(".")
        if step not in parsed or name not in parsed[step].outputs:
            yield f"outputs: there is no {output}"


def unknown(where: str, found: dict[str, Any], known: set[str]) -> Iterator[str]:
    for name in sorted(found.keys() - known):
        yield f"{where}: unknown property {name}"


def step_problems(step: dict[str, Any], names: list[Any]) -> Iterator[str]:
    name = step.get("name")
    where = f"step {name}"
    yield from unknown(where, step, STEP)
    if not isinstance(name, str) or not re.fullmatch(r"[a-zA-Z0-9_]+", name) or names.count(name) != 1:
        yield f"{where}: not a unique name of letters, digits and _"
    # isCritical counts only if it is given, and without a timeout a step can take as long as its action allows.
    for required in ("action", "inputs", "timeoutSeconds", "isCritical", "onFailure", "onCancel"):
        if required not in step:
            yield f"{where}: no {required}"
            return
    if bool(step.get("isEnd")) == ("nextStep" in step):
        yield f"{where}: write either isEnd or nextStep"
    for edge, constants in (("onFailure", ("Abort", "Continue")), ("onCancel", ("Abort",))):
        target = step[edge].removeprefix("step:")
        if step[edge] not in constants and (not step[edge].startswith("step:") or target not in names or target == name):
            yield f"{where}: {edge}: {step[edge]} is neither {' nor '.join(constants)} nor another step"
    if step.get("nextStep", name) not in names:
        yield f"{where}: nextStep: there is no step {step['nextStep']}"
    yield from action_problems(where, step)


def action_problems(where: str, step: dict[str, Any]) -> Iterator[str]:
    action, inputs = step["action"], step["inputs"]
    if action not in INPUTS:
        yield f"{where}: unknown action {action}"
        return
    required, optional = INPUTS[action]
    for name in sorted(required - inputs.keys()):
        yield f"{where}: no input {name}"
    if action != "aws:waitForAwsResourceProperty":
        yield from unknown(f"{where}, inputs", inputs, required | optional)
    if step["timeoutSeconds"] > MAX_SECONDS.get(action, step["timeoutSeconds"]):
        yield f"{where}: timeoutSeconds: the action runs for {MAX_SECONDS[action]} s at most"
    for output in step.get("outputs", []):
        if action != "aws:executeScript" or output.keys() != {"Name", "Selector", "Type"} or output["Type"] != "String":
            yield f"{where}: unknown form of the output {output}"
        elif not re.fullmatch(r"\$\.Payload\.\w+", output["Selector"]):
            yield f"{where}: unknown selector {output['Selector']}"
    if action == "aws:executeScript" and "Script" in inputs:
        yield from script_problems(where, inputs)


def script_problems(where: str, inputs: dict[str, Any]) -> Iterator[str]:
    if not re.fullmatch(r"python3\.\d+", inputs["Runtime"]):
        yield f"{where}: unknown Runtime {inputs['Runtime']}"
    # A reference inside a script would be replaced without quotes.
    if "{{" in inputs["Script"]:
        yield f"{where}: the script contains a reference; pass it in InputPayload"
    try:
        module = ast.parse(inputs["Script"])
    except SyntaxError as wrong:
        yield f"{where}: Script: {wrong}"
        return
    functions = {each.name: len(each.args.args) for each in module.body if isinstance(each, ast.FunctionDef)}
    # The function has the two parameters events and context (automation-action-executeScript).
    if functions.get(inputs["Handler"]) != 2:
        yield f"{where}: Handler: the script has no function {inputs['Handler']}(events, context)"


def path_problems(steps: dict[str, Step], parameters: set[str]) -> Iterator[str]:
    """Checks that each step can be reached, and uses only what exists on every path to it."""
    done = completed(steps)
    for step in steps.values():
        if step.name not in done:
            yield f"step {step.name}: no path leads to it"
            continue
        for reference in REFERENCE.findall(str({**step.inputs, "Script": ""})):
            if reference in parameters or reference == EXECUTION_ID:
                continue
            source = OUTPUT.fullmatch(reference)
            if source is None or source[1] not in steps or source[2] not in steps[source[1]].outputs:
                yield f"step {step.name}: there is no {reference}"
            elif source[1] not in done[step.name]:
                yield f"step {step.name}: {reference} does not exist on every path to it"


def completed(steps: dict[str, Step]) -> dict[str, frozenset[str]]:
    """Returns, for each step that can be reached, the steps that have completed on every path to it."""
    first = next(iter(steps.values()))
    done: dict[str, frozenset[str]] = {first.name: frozenset()}
    waiting = [first]
    while waiting:
        step = waiting.pop()
        edges = [(step.next_step, done[step.name] | {step.name})] if step.next_step else []
        edges += [(edge, done[step.name]) for edge in (step.on_failure, step.on_cancel)]
        for target, before in edges:
            if target not in steps:
                continue
            shared = done[target] & before if target in done else frozenset(before)
            if done.get(target) != shared:
                done[target] = shared
                waiting.append(steps[target])
    return done


class Tagged(yaml.SafeLoader):
    """Reads a template, and replaces its functions (!Sub and so on) by their arguments."""


Tagged.add_multi_constructor("!", lambda loader, suffix, node: argument(loader, node))


def argument(loader: yaml.SafeLoader, node: yaml.Node) -> Any:
    return loader.construct_scalar(node) if isinstance(node, yaml.ScalarNode) else None


def of_template(template: Path) -> Iterator[str]:
    """Returns the text of each runbook in a template, with a word in place of each of CloudFormation's references."""
    # Tagged is a SafeLoader, which creates no objects.
    resources = yaml.load(template.read_text(encoding="utf-8"), Loader=Tagged)["Resources"]  # noqa: S506
    for resource in resources.values():
        if resource["Type"] == "AWS::SSM::Document":
            yield re.sub(r"\$\{[\w:.]+\}", "x", resource["Properties"]["Content"])


def main() -> int:
    texts = list(of_template(Path(sys.argv[1])))
    found = [problem for text in texts for problem in problems(yaml.safe_load(text))]
    print("\n".join(found or [f"runbooks: {len(texts)} without problems"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

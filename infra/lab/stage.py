"""The description of a demo, and the environment that all demos share."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import functions
from account import Account
from deployment import CLI, ROOT, STACK, Stack
from evidence import Findings
from functions import Target
from timeline import Timeline

# The exit codes of `snapback run`.
COMPLETED, FAILED, STOPPED, DRIFTED, UNFINISHED = 0, 1, 4, 5, 7
# For everything that follows automatically, even on a busy machine.
PATIENCE_SECONDS = 180.0
# The fields that a fault inside invocations changes, in a function with two layers and a wrapper.
PROXY_FIELDS = frozenset({
    "Configuration.Layers[2].Arn",
    "Configuration.Environment.Variables.AWS_LAMBDA_EXEC_WRAPPER",
    "Configuration.Environment.Variables.SNAPBACK_CHAINED_WRAPPER",
    "Configuration.Environment.Variables.SNAPBACK_FAULTS",
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Demo:
    """One experiment of events/ on one target, and the expected exit code of `snapback run`."""

    title: str
    event: str
    target: Target
    exit_code: int
    # The fields that must differ while the fault is in place.
    touched: frozenset[str]
    # Before each line of the command line, if several demos run at the same time.
    label: str = ""

    @property
    def run(self) -> str:
        """Returns the run's name."""
        return self.event.removesuffix(".json")

    @property
    def command(self) -> list[str]:
        return [str(CLI.relative_to(ROOT)), "run", f"events/{self.event}", "--name", self.run, "--stack", STACK]


@dataclass
class Stage:
    """The environment of the demos."""

    account: Account
    stack: Stack
    # The bridge's journal of alarms, and the emulator's record of changes and invocations.
    journal: Path
    record: Path
    timeline: Timeline
    findings: Findings
    # The configuration that each target must have at the end, field by field, and those of its fields that a deployment has changed.
    expected: dict[str, dict[str, Any]]
    deployed: dict[str, set[str]] = field(default_factory=dict)

    def check(self, holds: bool, text: str) -> None:
        self.findings.check(holds, text)
        self.timeline.plain(f"{'ok' if holds else 'FAILED':>15}  {text}", "green" if holds else "red")


def alarm_state(stage: Stage, target: Target) -> str:
    described = stage.account.client("cloudwatch").describe_alarms(AlarmNames=[target.alarm_name])
    return str(described["MetricAlarms"][0]["StateValue"])


def configuration(stage: Stage, target: Target) -> dict[str, Any]:
    described = stage.account.client("lambda").get_function(FunctionName=target.name)
    return dict(described["Configuration"])


def show_response(stage: Stage, target: Target, when: str) -> dict[str, Any]:
    """Invokes a function, and returns its response."""
    began = time.monotonic()
    given = functions.invoke(stage.account, target)
    took = (time.monotonic() - began) * 1000
    stage.timeline.line("function", f"{target.name} {when}: {json.dumps(given)} in {took:.0f} ms")
    return given

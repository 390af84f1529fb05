"""The description of a demo, and the environment that all demos share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from account import Account
from deployment import CLI, ROOT, STACK, Stack
from evidence import Findings, Journal
from functions import Target
from timeline import Timeline


@dataclass(frozen=True)
class Demo:
    """One experiment of events/ on one target, and the expected exit code of `snapback run`."""

    title: str
    event: str
    target: Target
    exit_code: int
    # The fields that must differ while the fault is in place.
    touched: frozenset[str]

    @property
    def command(self) -> list[str]:
        return [str(CLI.relative_to(ROOT)), "run", f"events/{self.event}", "--stack", STACK]


@dataclass
class Stage:
    """The environment of the demos."""

    account: Account
    stack: Stack
    # The bridge's journal, and the file with the emulator's record of changes and invocations.
    journal: Journal
    record: Path
    timeline: Timeline
    findings: Findings

    def check(self, holds: bool, text: str) -> None:
        self.findings.check(holds, text)
        self.timeline.plain(f"{'ok' if holds else 'FAILED':>15}  {text}", "green" if holds else "red")

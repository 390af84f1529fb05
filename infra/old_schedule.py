"""Carries the schedule of an earlier release over: the stack's parameters ScheduleExpression and ScheduledExperiment.

This release has no such parameters, so updating the stack removes the schedule. deploy.py adds it again with
`snapback schedule add`, and keeps the experiment in a file until that has succeeded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployed import ROOT, CommandFailed, Stack, Tools

EXPRESSION, EXPERIMENT = "ScheduleExpression", "ScheduledExperiment"
NAME = "scheduled-experiment"
KEPT = ROOT / "target" / "package" / f"{NAME}.json"


def advice(parameter: str) -> str | None:
    """Returns what to do instead of setting one of the parameters."""
    if parameter not in (EXPRESSION, EXPERIMENT):
        return None
    return f'{parameter} is no longer a parameter; use: snapback schedule add NAME experiment.yaml --rate "7 days"'


@contextmanager
def carried_over(tools: Tools, stack: Stack | None, kept: Path = KEPT) -> Iterator[None]:
    """Adds the schedule again after the update in the `with` block. If that fails, the text names the file."""
    parameters = stack.parameters if stack is not None else {}
    expression, experiment = parameters.get(EXPRESSION, ""), parameters.get(EXPERIMENT, "")
    found = re.fullmatch(r"(rate|cron|at)\((.+)\)", expression)
    if stack is None or not found or not experiment:
        yield
        return
    kept.parent.mkdir(parents=True, exist_ok=True)
    # An experiment may hold values of variables, so only its owner may read the file.
    kept.touch(mode=0o600)
    kept.write_text(experiment, encoding="utf-8")
    yield
    when = (f"--{found[1]}", found[2])
    try:
        tools.snapback("schedule", "add", NAME, str(kept), *when, "--replace", "--stack", stack.name)
    except CommandFailed as failure:
        raise CommandFailed(
            f"the stack is deployed, but its schedule {expression} is not: {failure}\n"
            f"The experiment is in {kept}. After the fix, add it:\n"
            f'  snapback schedule add {NAME} {kept} {when[0]} "{when[1]}" --stack {stack.name}'
        ) from failure
    kept.unlink()
    print(f"deploy: the schedule {expression} is now `snapback schedule show {NAME} --stack {stack.name}`")

"""Actions that start a run of snapback's, wait for its end, and roll it back."""

import json
import logging
import os
import time
from typing import Any, Dict

from chaoslib.exceptions import ActivityFailed
from chaoslib.types import Configuration, Secrets

from chaossnapback.command import INVALID, REFUSED, CommandFailed, CommandLine
from chaossnapback.reports import read, show_drift, shown_failure
from chaossnapback.session import SESSION, Run, new_name

__all__ = ["start_run", "wait_for_run", "roll_back"]
logger = logging.getLogger("chaostoolkit")
POLL_SECONDS = 2.0
# The errors with which nothing was started.
NOT_STARTED = ("NoCommand", "NotStarted")
NO_SUCH_RUN = "NoSuchRun"
# How often in a row the run may be unreadable before the wait fails.
UNREADABLE_LIMIT = 10


def start_run(
    experiment: Any,
    name: str = "",
    configuration: Configuration = None,
    secrets: Secrets = None,
) -> Dict[str, Any]:
    """
    Starts a run, and returns its report once all of its faults are in place.

    `experiment` is an experiment of snapback's: the path of its file, or the experiment itself as a mapping. `name` names the
    run; by default, it is made from the time. The run ends and restores at the end of its duration, also without the
    Chaos Toolkit. The action fails if a guardrail refuses the run, and then nothing was changed.
    """
    file, text = source(experiment)
    line = CommandLine.of(configuration, secrets)
    if name and name not in SESSION.runs:
        require_unused(name, line)
    run = SESSION.begin(name or new_name(), line)
    if SESSION.journal is None:
        logger.warning("snapback: the control chaossnapback.control is not in `controls`; without it, --fail-fast does not "
                       "end wait_for_run, and a killed experiment's run ends only at the end of its duration")  # fmt: skip
    logger.info(f"snapback: run {run.name}")
    try:
        run.report, code = begun(run, file, text)
    except CommandFailed as failure:
        # Any other failure may have happened after the start, so the run is rolled back later. A run that Step Functions has not
        # started is forgotten: there may be another one of this name, which must not be rolled back.
        if failure.code in (INVALID, REFUSED) or failure.error in NOT_STARTED:
            SESSION.forget(run)
        raise
    if code != 0:
        raise ActivityFailed(f"the run {run.name} ended before all of its faults were in place: {shown_failure(run.report)}")
    return run.report


def require_unused(name: str, line: CommandLine) -> None:
    """Refuses the name of a run that exists. From `begin` on, whatever ends this process rolls back the run of this name."""
    try:
        line.call("report", name)
    except CommandFailed as failure:
        if failure.error == NO_SUCH_RUN:
            return
        raise
    raise ActivityFailed(f"name: there is a run `{name}` already; write another name, or leave it out for a unique one")


def source(experiment: Any) -> tuple[str, str]:
    """Returns the file to name on the command line, and what to write to its standard input."""
    if isinstance(experiment, dict):
        return "-", json.dumps(experiment)
    if not isinstance(experiment, str) or not experiment.strip():
        shown = "empty" if experiment in ("", None) else f"a {type(experiment).__name__}"
        raise ActivityFailed(f"experiment: it is {shown}; write the path of an experiment of snapback's, or a mapping")
    if not os.path.isfile(experiment):
        raise ActivityFailed(f"experiment: there is no file `{experiment}`; write a path from {os.getcwd()}, or a whole one")
    return experiment, ""


def begun(run: Run, file: str, text: str) -> tuple[Dict[str, Any], int]:
    """Calls `run --detach`. Whatever interrupts this process ends the command too, which then rolls the run back."""
    begun = run.line.begin("run", file, "--name", run.name, "--detach")
    try:
        report, code = run.line.end(begun, text)
    except CommandFailed:
        raise
    except BaseException:
        begun.terminate()
        raise
    return read(report), code


def wait_for_run(run: str = "") -> Dict[str, Any]:
    """
    Waits until a run is over, and returns its report with its outcome.

    `run` names the run; by default, it is the last one that this experiment has started. With the control, the action also
    returns when the Chaos Toolkit ends the experiment early, as after a deviation with --fail-fast; the run's outcome is
    then `unfinished`. The action fails if a target could not be restored.
    """
    found = SESSION.find(run)
    unreadable = 0
    while not found.is_over:
        try:
            found.report = read(found.line.call("report", found.name)[0])
            unreadable = 0
        except CommandFailed as failure:
            unreadable += 1
            if unreadable == UNREADABLE_LIMIT or failure.code == INVALID:
                raise
            logger.warning(f"snapback: {failure}")
        if found.report.get("outcome") == "restoreFailed":
            raise ActivityFailed(f"the run {found.name} is not restored: {shown_failure(found.report)}")
        if SESSION.is_ending():
            logger.info(f"snapback: the experiment is ending before the run {found.name}")
            break
        if not found.is_over:
            time.sleep(POLL_SECONDS)
    show_drift(found.report)
    return found.report


def roll_back() -> Dict[str, Any]:
    """
    Rolls back every run that this experiment has started and that is not over, and returns the reports of all.

    It fails if a target could not be restored yet; snapback's reaper then tries again every minute.
    """
    failures = [failure for run in SESSION.runs.values() if (failure := rolled_back(run))]
    if failures:
        raise ActivityFailed("; ".join(failures))
    return {"runs": [run.report for run in SESSION.runs.values()]}


def rolled_back(run: Run) -> str:
    """Rolls one run back unless it is over. Returns why it is not restored, or an empty text."""
    if run.is_over:
        return ""
    try:
        printed, _ = run.line.call("rollback", run.name, "--prevent-start")
        reports = printed.get("runs")
        run.report = read(reports[0] if isinstance(reports, list) and reports else {})
    except CommandFailed as failure:
        return f"the run {run.name} was not rolled back: {failure}"
    run.is_rolled_back = run.report.get("outcome") == "endedEarly"
    show_drift(run.report)
    if run.is_over:
        return ""
    return f"the run {run.name} is not restored: {shown_failure(run.report)}"

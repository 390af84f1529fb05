"""Probes that read a run of snapback's."""

from typing import Any, Dict

from chaossnapback.reports import read
from chaossnapback.session import SESSION

__all__ = ["run_status", "run_outcome", "run_report"]


def run_status(run: str = "") -> str:
    """
    Returns a run's status: pending, running, stopping, stopped, completed or failed.

    `run` names the run; by default, it is the last one that this experiment has started.
    """
    return str(run_report(run)["status"])


def run_outcome(run: str = "") -> str:
    """
    Returns a run's outcome: unfinished, held, noSteadyState, unproven, endedEarly, drifted or restoreFailed.

    `run` names the run; by default, it is the last one that this experiment has started.
    """
    return str(run_report(run)["outcome"])


def run_report(run: str = "") -> Dict[str, Any]:
    """
    Returns a run's whole report, as `snapback report --json` prints it.

    `run` names the run; by default, it is the last one that this experiment has started.
    """
    found = SESSION.find(run)
    found.report = read(found.line.call("report", found.name)[0])
    return found.report

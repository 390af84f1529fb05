"""Reads the report of a run, as `snapback report --json` prints it."""

from __future__ import annotations

import logging
from typing import Any

from chaossnapback.command import CommandFailed

logger = logging.getLogger("chaostoolkit")


def read(report: dict[str, Any]) -> dict[str, Any]:
    """Returns the report if it has the fields that the extension reads."""
    missing = [key for key in ("runId", "status", "outcome", "targets") if key not in report]
    if missing or not isinstance(report["targets"], list):
        raise CommandFailed(
            "NoOutput",
            f"the report has no {' and no '.join(missing) or 'list of targets'}; "
            "name snapback's command line as snapback_path, in the release of this extension or a newer one",
        )
    return report


def drift(report: dict[str, Any]) -> list[str]:
    """Returns what is not as it was before the run, because something outside the run changed it: a line each."""
    lines = []
    for target in report.get("targets", []):
        function = target.get("function")
        lines += [f"{function}: {each.get('field')}: {each.get('note')}" for each in target.get("drift", [])]
        lines += [f"{function}: {each.get('field')}: its fault was removed" for each in target.get("removedFaults", [])]
        lines += [f"{function}: {version} was published during the run" for version in target.get("frozenVersions", [])]
        if target.get("status") == "deleted":
            lines.append(f"{function}: it was deleted")
    return lines


def show_drift(report: dict[str, Any]) -> None:
    for line in drift(report):
        logger.warning(f"snapback: drift: {line}")


def shown_failure(report: dict[str, Any]) -> str:
    """Says why a run ended early or is not restored."""
    errors = [
        f"{target.get('function')}: {why}"
        for target in report.get("targets", [])
        if (why := target.get("restoreError") or target.get("waitingFor"))
    ]
    said = [str(report["outcome"]), *filter(None, [report.get("reason")]), *report.get("deviations", []), *errors]
    return "; ".join(said)


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """Returns what the journal names about a run."""
    return {
        "run": report.get("runId"),
        "status": report.get("status"),
        "outcome": report.get("outcome"),
        "reason": report.get("reason"),
        "deviations": report.get("deviations", []),
        "drift": drift(report),
    }

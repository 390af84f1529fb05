"""Changes how CloudFormation in the emulator creates alarms: it accepts metric math, and fails on request.

The emulator refuses alarms on metric math. With this change it creates them, but never evaluates them: it knows alarms on a
single metric only, and ignores their dimensions.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

# A metric without any data.
UNEVALUATED = {"Namespace": "Lab/MetricMath", "MetricName": "Unevaluated"}
# While this file exists in the emulator's directory, creating an alarm fails as if a quota was used up. So the creation of a
# stack fails late.
REFUSE = "refuse-alarms"


def change(provisioners: Any, directory: Path) -> None:
    """Replaces the function that builds an alarm from a template's properties."""
    record = provisioners._cw_metric_alarm_record
    if list(inspect.signature(record).parameters) != ["name", "props"]:
        raise RuntimeError("this emulator builds alarms differently")

    def record_any(name: str, props: dict[str, Any]) -> Any:
        if (directory / REFUSE).exists():
            raise ValueError("the maximum number of alarms is reached")
        if not props.get("Metrics"):
            return record(name, props)
        return record(name, {key: value for key, value in props.items() if key != "Metrics"} | UNEVALUATED)

    provisioners._cw_metric_alarm_record = record_any

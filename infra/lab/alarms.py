"""What CloudFormation in the emulator does with alarms: it takes one on a metric math expression, and refuses when told to.

The emulator refuses metric math otherwise. Here the alarm is there and is never evaluated: the emulator looks at one
metric of an alarm, and not at its dimensions.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

# A metric that nobody writes.
UNEVALUATED = {"Namespace": "Lab/MetricMath", "MetricName": "Unevaluated"}
# While this file is in the emulator's directory, no alarm can be created, as where a quota is used up: so the creation of
# a stack fails, late.
REFUSE = "refuse-alarms"


def change(provisioners: Any, directory: Path) -> None:
    """Changes the place where the emulator makes an alarm out of its properties."""
    record = provisioners._cw_metric_alarm_record
    if list(inspect.signature(record).parameters) != ["name", "props"]:
        raise RuntimeError("this emulator makes alarms of a template in another way")

    def record_any(name: str, props: dict[str, Any]) -> Any:
        if (directory / REFUSE).exists():
            raise ValueError("the maximum number of alarms is reached")
        if not props.get("Metrics"):
            return record(name, props)
        return record(name, {key: value for key, value in props.items() if key != "Metrics"} | UNEVALUATED)

    provisioners._cw_metric_alarm_record = record_any

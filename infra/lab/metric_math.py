"""Lets CloudFormation in the emulator take an alarm on a metric math expression, which it refuses otherwise.

The alarm is there and is never evaluated: the emulator looks at one metric of an alarm, and not at its dimensions.
"""

from __future__ import annotations

import inspect
from typing import Any

# A metric that nobody writes.
UNEVALUATED = {"Namespace": "Lab/MetricMath", "MetricName": "Unevaluated"}


def allow(provisioners: Any) -> None:
    """Changes the place where the emulator makes an alarm out of its properties."""
    record = provisioners._cw_metric_alarm_record
    if list(inspect.signature(record).parameters) != ["name", "props"]:
        raise RuntimeError("this emulator makes alarms of a template in another way")

    def record_any(name: str, props: dict[str, Any]) -> Any:
        if not props.get("Metrics"):
            return record(name, props)
        return record(name, {key: value for key, value in props.items() if key != "Metrics"} | UNEVALUATED)

    provisioners._cw_metric_alarm_record = record_any

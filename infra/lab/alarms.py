"""Changes how the emulator creates and evaluates alarms: CloudFormation accepts metric math and fails on request, and an alarm
evaluates only the metric with its own dimensions.

The emulator refuses alarms on metric math. With this change it creates them, but never evaluates them, because it knows only alarms on
a single metric. It also ignores an alarm's dimensions, so that one function's errors would trip the alarms of all functions.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from types import FunctionType
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


def evaluate_own_dimensions(cloudwatch: Any) -> None:
    """Replaces the function that evaluates an alarm. It reads all metrics from a variable of its module."""
    evaluate = cloudwatch._evaluate_alarm
    parameters = list(inspect.signature(evaluate).parameters)
    if parameters != ["alarm"] or "_metrics" not in evaluate.__code__.co_names:
        raise RuntimeError("this emulator evaluates alarms differently")

    def evaluate_own(alarm: dict[str, Any]) -> None:
        dimensions = cloudwatch._dims_from_list(alarm.get("Dimensions") or [])
        key = (alarm.get("Namespace"), alarm.get("MetricName"), cloudwatch._dims_key(dimensions))
        own = {key: cloudwatch._metrics.get(key) or []}
        # The same code with another value of that variable: it sees only the alarm's metric.
        FunctionType(evaluate.__code__, {**vars(cloudwatch), "_metrics": own})(alarm)

    cloudwatch._evaluate_alarm = evaluate_own

"""Turns log lines in the embedded metric format into metrics, which CloudWatch does in AWS, and the emulator does not.

It does nothing else. It runs inside the emulator's process, and stores the metrics with the function that PutMetricData uses.

The format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from typing import Any, Iterator

from taking import taking


class MetricBridge:
    """Reads each line that is added to a log stream."""

    def __init__(self, logs: Any, cloudwatch: Any) -> None:
        self.logs = logs
        self.cloudwatch = cloudwatch

    def install(self) -> None:
        """Wraps the function through which all log events go."""
        append = taking(self.logs._append_log_events, "stream", "events")
        parameters = ("namespace", "name", "dims", "ts", "unit", "value", "values", "counts", "stat_values")
        taking(self.cloudwatch._store_datum, *parameters)

        def append_and_store(stream: Any, events: list[dict[str, Any]]) -> None:
            append(stream, events)
            for event in events:
                self.store(event["message"])

        self.logs._append_log_events = append_and_store

    def store(self, line: str) -> None:
        for namespace, dimensions, name, unit, values, timestamp in metrics(line):
            self.cloudwatch._store_datum(namespace, name, dimensions, timestamp, unit, None, values, None, None)


def metrics(line: str) -> Iterator[tuple[str, dict[str, str], str, str, list[float], float]]:
    """Returns each metric of a line: namespace, dimensions, name, unit, values, and the time in seconds since the epoch."""
    if '"_aws"' not in line:
        return
    try:
        found = json.loads(line)
        described = found["_aws"]
        for directive in described["CloudWatchMetrics"]:
            for names in directive["Dimensions"]:
                dimensions = {name: str(found[name]) for name in names}
                for metric in directive["Metrics"]:
                    value = found[metric["Name"]]
                    values = [float(each) for each in (value if isinstance(value, list) else [value])]
                    unit = metric.get("Unit", "None")
                    yield directive["Namespace"], dimensions, metric["Name"], unit, values, described["Timestamp"] / 1000
    except (ValueError, KeyError, TypeError):
        # CloudWatch keeps such a line as a log event only.
        return

"""Tests how invocations and log lines become metrics, and metrics alarms."""

from __future__ import annotations

import json
import sys
import unittest
from typing import Any

try:
    from ministack.services import cloudwatch, cloudwatch_logs, lambda_svc
except ImportError:
    # Only the lab's Python has it.
    cloudwatch = cloudwatch_logs = lambda_svc = None

import alarms
import lambda_metrics
from metric_bridge import MetricBridge, metrics

LINE = {
    "_aws": {
        "Timestamp": 1_780_000_000_500,
        "CloudWatchMetrics": [
            {
                "Namespace": "snapback",
                "Dimensions": [["Run", "Fault"], ["Run"]],
                "Metrics": [{"Name": "InjectedFaults", "Unit": "Count"}, {"Name": "Delays"}],
            }
        ],
    },
    "Run": "r",
    "Fault": "error",
    "InjectedFaults": 1,
    "Delays": [2, 3],
}
UNUSABLE = [
    "text",
    '{"_aws": ',
    "[]",
    '{"_aws": {}}',
    json.dumps({name: value for name, value in LINE.items() if name != "Run"}),
    json.dumps({**LINE, "InjectedFaults": "many"}),
]


class EmbeddedMetrics(unittest.TestCase):
    def test_each_metric_has_each_set_of_dimensions(self) -> None:
        both, run = {"Run": "r", "Fault": "error"}, {"Run": "r"}
        self.assertEqual(
            list(metrics(json.dumps(LINE))),
            [
                ("snapback", both, "InjectedFaults", "Count", [1.0], 1_780_000_000.5),
                ("snapback", both, "Delays", "None", [2.0, 3.0], 1_780_000_000.5),
                ("snapback", run, "InjectedFaults", "Count", [1.0], 1_780_000_000.5),
                ("snapback", run, "Delays", "None", [2.0, 3.0], 1_780_000_000.5),
            ],
        )

    def test_other_lines_are_no_metrics(self) -> None:
        for line in UNUSABLE:
            self.assertEqual(list(metrics(line)), [], line)


@unittest.skipIf(cloudwatch is None, "ministack is not installed in this Python")
class Emulated(unittest.TestCase):
    def setUp(self) -> None:
        for module in (cloudwatch, cloudwatch_logs, lambda_svc):
            self.addCleanup(vars(module).update, dict(vars(module)))
        self.addCleanup(cloudwatch.reset)
        cloudwatch.reset()

    def values(self, namespace: str, name: str, **dimensions: str) -> list[float]:
        points = cloudwatch._metrics.get((namespace, name, cloudwatch._dims_key(dimensions))) or []
        return [point["Value"] for point in points]

    def test_a_log_event_in_the_embedded_format_becomes_a_metric(self) -> None:
        MetricBridge(cloudwatch_logs, cloudwatch).install()
        stream: dict[str, Any] = {"events": [], "firstEventTimestamp": None, "lastEventTimestamp": None}
        event = {"timestamp": 1, "ingestionTime": 1, "message": json.dumps(LINE)}
        cloudwatch_logs._append_log_events(stream, [event])
        self.assertEqual(self.values("snapback", "InjectedFaults", Run="r", Fault="error"), [1.0])
        self.assertEqual(len(stream["events"]), 1)

    def test_a_throttled_request_is_counted_once_and_is_no_error(self) -> None:
        lambda_metrics.change(lambda_svc, cloudwatch)
        # Both calls are made for one throttled request.
        lambda_svc._emit_lambda_metrics("f", 0.0, error=False, throttle=True)
        lambda_svc._emit_lambda_metrics("f", 1.0, error=True, throttle=True)
        counted = {name: self.values("AWS/Lambda", name, FunctionName="f") for name in ("Throttles", "Errors", "Invocations")}
        self.assertEqual(counted, {"Throttles": [1.0], "Errors": [], "Invocations": []})
        lambda_svc._emit_lambda_metrics("f", 1.0, error=True, throttle=False)
        self.assertEqual(self.values("AWS/Lambda", "Errors", FunctionName="f"), [1.0])

    def test_an_alarm_evaluates_only_the_metric_of_its_function(self) -> None:
        alarms.evaluate_own_dimensions(cloudwatch)
        for function in ("f", "g"):
            cloudwatch._alarms[function] = {
                "AlarmName": function,
                "Namespace": "AWS/Lambda",
                "MetricName": "Errors",
                "Dimensions": [{"Name": "FunctionName", "Value": function}],
                "Statistic": "Sum",
                "Threshold": 1,
                "ComparisonOperator": "GreaterThanOrEqualToThreshold",
                "StateValue": "INSUFFICIENT_DATA",
            }
        cloudwatch.record_metric("AWS/Lambda", "Errors", 1, "Count", {"FunctionName": "f"})
        cloudwatch.record_metric("AWS/Lambda", "Errors", 0, "Count", {"FunctionName": "g"})
        cloudwatch._evaluate_all_alarms()
        self.assertEqual({name: alarm["StateValue"] for name, alarm in cloudwatch._alarms.items()}, {"f": "ALARM", "g": "OK"})


if __name__ == "__main__":
    sys.exit(unittest.main())

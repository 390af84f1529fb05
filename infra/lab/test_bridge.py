"""Tests that the bridge sends the events of AWS, once for each change."""

from __future__ import annotations

import json
import tempfile
import types
import unittest
from pathlib import Path
from typing import Any

from bridge import Bridge

ARN = "arn:aws:cloudwatch:us-east-1:000000000000:alarm:orders"
METRIC_ALARM = {
    "AlarmName": "orders",
    "AlarmArn": ARN,
    "AlarmDescription": "too many throttles",
    "MetricName": "Throttles",
    "Namespace": "AWS/Lambda",
    "Dimensions": [{"Name": "FunctionName", "Value": "orders"}],
    "Statistic": "Sum",
    "Period": 60,
    "Threshold": 5.0,
    "StateReason": "Threshold Crossed: Sum 12.0 GreaterThanThreshold 5.0",
}
COMPOSITE_ALARM = {
    "AlarmName": "orders",
    "AlarmArn": ARN,
    "AlarmRule": "ALARM(a) OR ALARM(b)",
    "StateReason": "a transitioned to ALARM",
    "StateReasonData": '{"triggeringAlarms":[]}',
}


class BridgeTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.journal = Path(folder.name) / "journal"
        self.sent: list[dict[str, Any]] = []
        self.cloudwatch: Any = types.SimpleNamespace()
        self.recorded: list[str] = []

        def record(alarm_name: str, old_state: str, new_state: str, reason: str) -> None:
            self.recorded.append(new_state)

        def put_events(data: dict[str, Any], allow_aws_source: bool = False) -> tuple[int, dict[str, str], bytes]:
            self.assertTrue(allow_aws_source)
            self.sent += data["Entries"]
            return 200, {}, json.dumps({"Entries": [{"EventId": "e"}]}).encode()

        self.cloudwatch._record_history = record
        self.cloudwatch._alarms = {}
        self.cloudwatch._composite_alarms = {}
        self.eventbridge: Any = types.SimpleNamespace()
        self.eventbridge._put_events = put_events
        Bridge(self.cloudwatch, self.eventbridge, self.journal).install()

    def change(self, old: str, new: str) -> None:
        self.cloudwatch._record_history("orders", old, new, "why")

    def detail(self, index: int = -1) -> dict[str, Any]:
        return dict(json.loads(self.sent[index]["Detail"]))

    def test_a_metric_alarm_sends_its_metric_and_reason(self) -> None:
        self.cloudwatch._alarms["orders"] = METRIC_ALARM
        self.change("OK", "ALARM")
        self.assertEqual(self.recorded, ["ALARM"])
        self.assertEqual(self.sent[0]["Source"], "aws.cloudwatch")
        self.assertEqual(self.sent[0]["DetailType"], "CloudWatch Alarm State Change")
        self.assertEqual(self.sent[0]["Resources"], [ARN])
        detail = self.detail()
        self.assertEqual(detail["alarmName"], "orders")
        self.assertEqual(detail["state"]["value"], "ALARM")
        self.assertRegex(detail["state"]["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000$")
        self.assertEqual(json.loads(detail["state"]["reasonData"])["recentDatapoints"], [12.0])
        self.assertEqual(detail["previousState"]["value"], "OK")
        query = detail["configuration"]["metrics"][0]
        self.assertEqual(query["metricStat"]["metric"]["dimensions"], {"FunctionName": "orders"})
        self.assertEqual(query["metricStat"]["stat"], "Sum")

    def test_a_composite_alarm_sends_its_rule(self) -> None:
        self.cloudwatch._composite_alarms["orders"] = COMPOSITE_ALARM
        self.change("OK", "ALARM")
        detail = self.detail()
        self.assertEqual(detail["configuration"], {"alarmRule": "ALARM(a) OR ALARM(b)"})
        self.assertEqual(detail["state"]["reasonData"], '{"triggeringAlarms":[]}')

    def test_an_event_has_the_previous_state(self) -> None:
        self.cloudwatch._alarms["orders"] = {**METRIC_ALARM, "StateReason": "first"}
        self.change("INSUFFICIENT_DATA", "OK")
        self.cloudwatch._alarms["orders"] = {**METRIC_ALARM, "StateReason": "second"}
        self.change("OK", "ALARM")
        self.assertEqual(self.detail()["previousState"], self.detail(0)["state"])

    def test_the_creation_of_an_alarm_sends_nothing(self) -> None:
        self.cloudwatch._alarms["orders"] = METRIC_ALARM
        self.change("INSUFFICIENT_DATA", "INSUFFICIENT_DATA")
        self.assertEqual(self.sent, [])
        self.assertFalse(self.journal.exists())

    def test_another_emulator_is_refused(self) -> None:
        self.cloudwatch._record_history = lambda alarm: None
        with self.assertRaisesRegex(RuntimeError, "records alarm history differently"):
            Bridge(self.cloudwatch, self.eventbridge, self.journal).install()


if __name__ == "__main__":
    unittest.main()

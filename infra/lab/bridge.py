"""Sends changes of alarm states to EventBridge, which CloudWatch does in AWS, and the emulator does not.

It does nothing else. It runs inside the emulator's process, because `PutEvents` rejects the source `aws.cloudwatch` from clients, as
in AWS. It uses the function that the emulator's own services use. After that it is a normal event: the deployed rule matches it, and
the rule's target gets it.

The event's shape: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

from __future__ import annotations

import inspect
import json
import re
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

DETAIL_TYPE = "CloudWatch Alarm State Change"
# The journal's name in the emulator's directory.
JOURNAL = "bridge.jsonl"
# The emulator's reason for a metric alarm's change: statistic, value.
THRESHOLD_CROSSED = re.compile(r"^Threshold Crossed: (\S+) (-?[0-9.]+) ")


class Bridge:
    """Turns recorded changes of state into events, and writes each to a journal, one JSON object per line."""

    def __init__(self, cloudwatch: Any, eventbridge: Any, journal: Path) -> None:
        self.cloudwatch = cloudwatch
        self.eventbridge = eventbridge
        self.journal = journal
        # An event also has the previous state, which the emulator has already overwritten.
        self.previous: dict[str, dict[str, Any]] = {}

    def install(self) -> None:
        """Wraps the function that writes an alarm's history, which every change calls."""
        record = self.cloudwatch._record_history
        parameters = list(inspect.signature(record).parameters)
        if parameters[:4] != ["alarm_name", "old_state", "new_state", "reason"]:
            raise RuntimeError(f"this emulator records alarm history differently: {parameters}")
        if "allow_aws_source" not in inspect.signature(self.eventbridge._put_events).parameters:
            raise RuntimeError("this emulator takes no events of aws.* sources")

        def record_and_send(
            alarm_name: str, old_state: str, new_state: str, reason: str, *rest: Any, **named: Any
        ) -> None:
            record(alarm_name, old_state, new_state, reason, *rest, **named)
            self.changed(alarm_name, old_state, new_state)

        self.cloudwatch._record_history = record_and_send

    def changed(self, name: str, old_state: str, new_state: str) -> None:
        alarm = self.cloudwatch._alarms.get(name) or self.cloudwatch._composite_alarms.get(name)
        now = datetime.now(timezone.utc)
        state = alarm_state(alarm, new_state, now)
        previous = self.previous.get(alarm["AlarmArn"], {"value": old_state, "timestamp": state["timestamp"]})
        self.previous[alarm["AlarmArn"]] = state
        # The history also has the creation of an alarm, which is not a change.
        if old_state == new_state:
            return
        detail = {
            "alarmName": name,
            "configuration": configuration(alarm),
            "previousState": previous,
            "state": state,
        }
        entry = {
            "Source": "aws.cloudwatch",
            "DetailType": DETAIL_TYPE,
            "Resources": [alarm["AlarmArn"]],
            "Detail": json.dumps(detail),
        }
        _, _, body = self.eventbridge._put_events({"Entries": [entry]}, allow_aws_source=True)
        self.note(name, old_state, state, json.loads(body)["Entries"][0])

    def note(self, name: str, old_state: str, state: dict[str, Any], sent: dict[str, Any]) -> None:
        line = {
            "alarm": name,
            "from": old_state,
            "to": state["value"],
            "reason": state["reason"],
            "event": sent.get("EventId"),
            "error": sent.get("ErrorCode"),
        }
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(line) + "\n")


def alarm_state(alarm: dict[str, Any], value: str, now: datetime) -> dict[str, Any]:
    """Returns `state` or `previousState` of the event."""
    reason = alarm.get("StateReason", "")
    # The format of AWS: milliseconds, and an offset without a colon.
    timestamp = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}+0000"
    state = {"value": value, "reason": reason, "timestamp": timestamp}
    data = alarm.get("StateReasonData") or reason_data(alarm, reason, timestamp)
    # A state that was set with SetAlarmState has no data.
    return {**state, "reasonData": data} if data else state


def reason_data(alarm: dict[str, Any], reason: str, timestamp: str) -> str | None:
    """Returns the data of a metric alarm's evaluation, as JSON text within the JSON."""
    crossed = THRESHOLD_CROSSED.match(reason)
    if not crossed:
        return None
    return json.dumps(
        {
            "version": "1.0",
            "queryDate": timestamp,
            "statistic": crossed[1],
            "period": alarm.get("Period"),
            "recentDatapoints": [float(crossed[2])],
            "threshold": alarm.get("Threshold"),
        }
    )


def configuration(alarm: dict[str, Any]) -> dict[str, Any]:
    """Returns `configuration` of the event: the rule of a composite alarm, or the one metric of a metric alarm."""
    common = {"description": alarm["AlarmDescription"]} if alarm.get("AlarmDescription") else {}
    if "AlarmRule" in alarm:
        return {**common, "alarmRule": alarm["AlarmRule"]}
    metric = {
        "dimensions": {dimension["Name"]: dimension["Value"] for dimension in alarm.get("Dimensions") or []},
        "name": alarm["MetricName"],
        "namespace": alarm["Namespace"],
    }
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic")
    query = {
        # CloudWatch invents the id for an alarm on a single metric.
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, alarm["AlarmArn"])),
        "metricStat": {"metric": metric, "period": alarm.get("Period"), "stat": statistic},
        "returnData": True,
    }
    return {**common, "metrics": [query]}

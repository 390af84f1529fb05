"""Tests that the emulator's pipes filter, enrich, send, retry and give up as AWS's do, and that a pipe without enrichment is as before."""

from __future__ import annotations

import json
import logging
import types
import unittest
from typing import Any
from unittest import mock

import pipe_bridge
from iam_gaps import GapClosed
from iam_roles import Denied
from pipe_bridge import KIND, PipeBridge

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/ledger/stream/1"
BUS = "arn:aws:events:us-east-1:000000000000:event-bus/default"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:notify"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:dead"
PATTERN = '{"dynamodb":{"NewImage":{"sk":{"S":["RUN"]}}}}'
SOURCE = {
    "DynamoDBStreamParameters": {"MaximumRetryAttempts": 2, "DeadLetterConfig": {"Arn": QUEUE}},
    "FilterCriteria": {"Filters": [{"Pattern": PATTERN}]},
}
TARGET = {"EventBridgeEventBusParameters": {"Source": "snapback", "DetailType": "$.type"}}
SETTINGS = {"Enrichment": FUNCTION, "SourceParameters": SOURCE, "TargetParameters": TARGET}


def record(number: int, sk: str = "RUN") -> dict[str, Any]:
    return {"dynamodb": {"NewImage": {"sk": {"S": sk}}, "SequenceNumber": str(number)}}


class PipeBridgeTest(unittest.TestCase):
    def setUp(self) -> None:
        from ministack.services import eventbridge

        # Each failure that these tests cause is a warning.
        pipe_bridge.LOG.setLevel(logging.ERROR)
        self.sent: list[dict[str, Any]] = []
        self.letters: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.calls: list[str] = []
        self.denied = ""
        self.plain: list[int] = []

        def put_events(data: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
            self.sent += data["Entries"]
            return 200, {}, b'{"FailedEntryCount": 0}'

        def dispatch_to_sqs(spec: Any, payload: str, sqs_parameters: Any = None) -> None:
            self.letters.append(json.loads(payload))

        self.bus: Any = types.SimpleNamespace(
            _compiled_pattern=eventbridge._compiled_pattern,
            _matches_detail=eventbridge._matches_detail,
            parse_arn=eventbridge.parse_arn,
            _put_events=put_events,
            _dispatch_to_sqs=dispatch_to_sqs,
        )

        def call_lambda(func_ref: str, event: list[dict[str, Any]]) -> Any:
            number = event[0]["dynamodb"]["SequenceNumber"]
            self.calls.append(number)
            if number == "2":
                raise RuntimeError("it cannot be read")
            return [] if number == "3" else [{"type": "Run Started", "id": number}]

        self.functions: Any = types.SimpleNamespace(_call_lambda=call_lambda)

        def deliver_batch(pipe: dict[str, Any], batch: list[Any]) -> bool:
            self.plain.append(len(batch))
            return True

        def create(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, dict[str, str]]:
            pipe = {"Name": "events", "Arn": "arn:pipe", "RoleArn": "role", "Source": STREAM, "Target": BUS}
            self.pipes._pipes["events"] = pipe
            return "events", {}

        def update(physical_id: str, old: Any, new: dict[str, Any], stack: str) -> tuple[str, dict[str, str]]:
            return physical_id, {}

        self.pipes: Any = types.SimpleNamespace(_pipes={}, _deliver_batch=deliver_batch)
        self.handlers = {"create": create, "update": update}
        self.roles: Any = types.SimpleNamespace(ask=self.ask)

    def ask(self, role: str, session: str, action: str, resource: str) -> None:
        self.asked.append(action)
        if action == self.denied:
            raise Denied(action)

    def install(self) -> None:
        provisioners: Any = types.SimpleNamespace(_RESOURCE_HANDLERS={KIND: self.handlers})
        with mock.patch.object(pipe_bridge.inspect, "getsource", return_value=""):
            PipeBridge(self.pipes, provisioners, self.roles, self.functions, self.bus).install()

    def deliver(self, *records: dict[str, Any]) -> bool:
        self.install()
        self.handlers["create"]("EventPipe", SETTINGS, "stack")
        return bool(self.pipes._deliver_batch(self.pipes._pipes["events"], list(records)))

    def test_events_are_sent_in_order_and_the_rest_is_filtered(self) -> None:
        self.assertTrue(self.deliver(record(1), record(7, "LOCK"), record(3), record(4)))
        self.assertEqual(self.calls, ["1", "3", "4"])
        self.assertEqual([json.loads(entry["Detail"])["id"] for entry in self.sent], ["1", "4"])
        heads = {(entry["Source"], entry["DetailType"], entry["EventBusName"]) for entry in self.sent}
        self.assertEqual(heads, {("snapback", "Run Started", BUS)})
        self.assertEqual(self.letters, [])

    def test_a_failing_record_is_given_up_and_the_next_is_sent(self) -> None:
        self.deliver(record(2), record(4))
        self.assertEqual(self.calls, ["2", "2", "2", "4"])
        self.assertEqual(len(self.sent), 1)
        self.assertEqual(self.letters[0]["DDBStreamBatchInfo"]["startSequenceNumber"], "2")
        self.assertNotIn("NewImage", json.dumps(self.letters))
        self.assertIn("sqs:SendMessage", self.asked)

    def test_a_missing_right_fails_the_record(self) -> None:
        for action in ("dynamodb:GetRecords", "lambda:InvokeFunction", "events:PutEvents"):
            self.setUp()
            self.denied = action
            self.deliver(record(1))
            self.assertEqual((len(self.sent), len(self.letters)), (0, 1), action)

    def test_an_update_keeps_the_new_settings(self) -> None:
        self.deliver()
        self.handlers["update"]("events", SETTINGS, {**SETTINGS, "Enrichment": "another"}, "stack")
        self.assertEqual(self.pipes._pipes["events"]["Enrichment"], "another")

    def test_a_pipe_without_enrichment_is_as_before(self) -> None:
        self.install()
        self.assertTrue(self.pipes._deliver_batch({"Name": "plain"}, [record(1), record(2)]))
        self.assertEqual(self.plain, [2])

    def test_another_emulator_is_refused(self) -> None:
        provisioners: Any = types.SimpleNamespace(_RESOURCE_HANDLERS={KIND: self.handlers})
        bridge = PipeBridge(self.pipes, provisioners, self.roles, self.functions, self.bus)
        with mock.patch.object(pipe_bridge.inspect, "getsource", return_value="pipe['Enrichment']"):
            self.assertRaises(GapClosed, bridge.install)


if __name__ == "__main__":
    unittest.main()

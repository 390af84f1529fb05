"""Gives the emulator's pipes a filter, an enrichment, an event bus as their target, retries and a dead-letter queue.

ministack polls a DynamoDB stream for a pipe, and keeps the pipe's position in it. But it forgets these settings, and delivers only
to topics and state machines. Here each record is filtered, enriched and sent by itself, in order, under the pipe's role. The filter
is that of the emulator's own rules. What AWS does: eventbridge/latest/userguide/eb-pipes-dynamodb and the pages about pipes
beside it.
"""

from __future__ import annotations

import inspect
import json
import logging
import time
from datetime import datetime, timezone
from typing import Any, Callable

from iam_gaps import prove
from iam_roles import Denied, Roles
from taking import taking

LOG = logging.getLogger("lab")
KIND = "AWS::Pipes::Pipe"
SETTINGS = ("Enrichment", "SourceParameters", "TargetParameters")
# eventbridge/latest/userguide/eb-pipes-permissions
READ_STREAM = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
# AWS backs off for longer. No test needs to wait for that.
RETRY_SECONDS = 0.05


class Failed(Exception):
    """A record was not enriched or not sent."""


class PipeBridge:
    """Wraps the emulator's pipes, which deliver through its other services."""

    def __init__(self, pipes: Any, provisioners: Any, roles: Roles, stepfunctions: Any, eventbridge: Any) -> None:
        self.pipes = pipes
        self.provisioners = provisioners
        self.roles = roles
        self.eventbridge = eventbridge
        # Before iam_roles wraps it: a pipe has another role than an execution.
        self.call_lambda = taking(stepfunctions._call_lambda, "func_ref", "event")

    def install(self) -> None:
        handlers = self.provisioners._RESOURCE_HANDLERS[KIND]
        deliver = taking(self.pipes._deliver_batch, "pipe", "batch")
        source = "".join(inspect.getsource(each) for each in (handlers["create"], handlers["update"], deliver))
        for setting in ("Enrichment", "FilterCriteria", "TargetParameters", "DeadLetterConfig"):
            prove(f"{setting} of a pipe", setting in source, False)
        taking(self.eventbridge._matches_detail, "detail", "pattern")
        taking(self.eventbridge._dispatch_to_sqs, "spec", "payload", "sqs_parameters")
        handlers.update(create=self.keeping(handlers["create"], 1), update=self.keeping(handlers["update"], 2))

        def deliver_batch(pipe: dict[str, Any], batch: list[dict[str, Any]]) -> bool:
            if not pipe.get("Enrichment"):
                return bool(deliver(pipe, batch))
            for record in batch:
                self.deliver(pipe, record)
            return True

        self.pipes._deliver_batch = deliver_batch

    def keeping(self, provision: Callable[..., Any], at: int) -> Callable[..., Any]:
        """Wraps a function that creates or updates a pipe from its properties, which are argument number `at`."""

        def provision_and_keep(*arguments: Any, **options: Any) -> Any:
            made = provision(*arguments, **options)
            self.pipes._pipes[made[0]].update({name: arguments[at].get(name) for name in SETTINGS})
            return made

        return provision_and_keep

    def deliver(self, pipe: dict[str, Any], record: dict[str, Any]) -> None:
        """Sends one record's events. After the last retry, the record's position goes to the dead-letter queue (inferred: as an
        event source mapping of Lambda does it, lambda/latest/dg/services-dynamodb-errors)."""
        if not self.passes(pipe, record):
            return
        stream = pipe["SourceParameters"]["DynamoDBStreamParameters"]
        for _ in range(1 + int(stream["MaximumRetryAttempts"])):
            try:
                return self.enrich_and_send(pipe, record)
            except (Failed, Denied) as problem:
                LOG.warning("%s: %s", pipe["Name"], problem)
                time.sleep(RETRY_SECONDS)
        self.give_up(pipe, stream["DeadLetterConfig"]["Arn"], record)

    def passes(self, pipe: dict[str, Any], record: dict[str, Any]) -> bool:
        filters = pipe["SourceParameters"]["FilterCriteria"]["Filters"]
        alternatives = [each for one in filters for each in self.eventbridge._compiled_pattern(one["Pattern"])]
        return any(self.eventbridge._matches_detail(record, alternative) for alternative in alternatives)

    def enrich_and_send(self, pipe: dict[str, Any], record: dict[str, Any]) -> None:
        for action in READ_STREAM:
            self.ask(pipe, f"dynamodb:{action}", pipe["Source"])
        self.ask(pipe, "lambda:InvokeFunction", pipe["Enrichment"])
        try:
            # A batch of one is an array too (eventbridge/latest/userguide/eb-pipes-batching-concurrency).
            enriched = self.call_lambda(pipe["Enrichment"], [record])
        except Exception as failure:
            raise Failed(f"the enrichment failed: {failure}") from failure
        # An empty response invokes no target (eventbridge/latest/userguide/pipes-enrichment).
        if enriched:
            self.ask(pipe, "events:PutEvents", pipe["Target"])
            self.send(pipe, enriched)

    def send(self, pipe: dict[str, Any], enriched: list[dict[str, Any]]) -> None:
        parameters = pipe["TargetParameters"]["EventBridgeEventBusParameters"]
        entries = [
            {
                "EventBusName": pipe["Target"],
                "Source": parameters["Source"],
                # A path, as a whole (eventbridge/latest/userguide/eb-pipes-event-target).
                "DetailType": detail[parameters["DetailType"].removeprefix("$.")],
                "Detail": json.dumps(detail),
            }
            for detail in enriched
        ]
        status, _, body = self.eventbridge._put_events({"Entries": entries})
        result = json.loads(body)
        if status != 200 or result["FailedEntryCount"]:
            raise Failed(f"the bus did not take the event: {result}")

    def give_up(self, pipe: dict[str, Any], queue: str, record: dict[str, Any]) -> None:
        self.ask(pipe, "sqs:SendMessage", queue)
        number = record["dynamodb"]["SequenceNumber"]
        letter = {
            "context": {"partnerResourceArn": pipe["Arn"], "condition": "RetryAttemptsExhausted"},
            "version": "1.0",
            "timestamp": datetime.now(timezone.utc).isoformat(),
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000000000000000000-00000000",
                "startSequenceNumber": number,
                "endSequenceNumber": number,
                "batchSize": 1,
                "streamArn": pipe["Source"],
            },
        }
        self.eventbridge._dispatch_to_sqs(self.eventbridge.parse_arn(queue), json.dumps(letter))

    def ask(self, pipe: dict[str, Any], action: str, resource: str) -> None:
        self.roles.ask(pipe["RoleArn"], pipe["Name"], action, resource)

"""Delivers the starts of schedules as EventBridge Scheduler does, under the role of each schedule.

ministack evaluates schedules, but delivers only to templated targets. This file adds what `snapback schedule` needs: the
universal target for StartExecution, the scheduler's keywords in its input, the dead-letter queue with its metric, and the
schedule's group in the resource of a request. Each gap is proven to exist before it is closed, as in iam_gaps.py.

EventBridge Scheduler delivers at least once (scheduler/latest/UserGuide/what-is-scheduler). Here it delivers each start twice.
"""

from __future__ import annotations

import inspect
import json
import logging
import re
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from iam_gaps import ACCOUNT, REGION, SAMPLE, prove
from iam_roles import Denied, Roles
from taking import taking

LOG = logging.getLogger("lab")
START_EXECUTION = ":scheduler:::aws-sdk:sfn:startExecution"
DELIVERIES = 2
# ministack looks every ten seconds whether a schedule is due.
TICK_SECONDS = 1
SCHEDULE_PATH = re.compile(r"/schedules/([^/]+)/?")


class NotStarted(Exception):
    """Step Functions refused a start; the text is that of AWS."""


@dataclass(frozen=True)
class Services:
    """The modules of ministack that take part."""

    actions: Any
    evaluator: Any
    scheduler: Any
    eventbridge: Any
    stepfunctions: Any
    sqs: Any
    cloudwatch: Any
    iam: Any


def install(roles: Roles, services: Services) -> None:
    """Closes the gaps. iam_roles.py must be installed, because this wraps what it wraps."""
    scheduler, eventbridge = services.scheduler, services.eventbridge
    taking(services.stepfunctions._start_execution, "data")
    prove("universal targets", "aws-sdk" in inspect.getsource(eventbridge), False)
    prove("the scheduler's keywords", "aws.scheduler." in inspect.getsource(scheduler), False)
    prove("the scheduler's dead-letter queue", "DeadLetter" in inspect.getsource(scheduler), False)
    prove("the metrics of queues", "ApproximateNumberOfMessagesVisible" in inspect.getsource(services.sqs), False)
    started_twice = inspect.getsource(services.stepfunctions._start_execution).split("Reject duplicate execution names")[1]
    prove("a start that is repeated", "input" in started_twice.split("error_response_json")[0], False)
    invoke = taking(eventbridge._invoke_target, "target", "event", "rule", "view")
    deliveries = Deliveries(roles, services)

    def invoke_target(target: dict[str, Any], event: Any, rule: dict[str, Any], view: Any = None) -> None:
        if target.get("Arn", "").endswith(START_EXECUTION):
            deliveries.deliver(target, rule)
        else:
            invoke(target, event, rule, view)

    eventbridge._invoke_target = invoke_target
    scheduler._SCHEDULE_TICK_INTERVAL = TICK_SECONDS
    ask_for_the_group(services.actions)


class Deliveries:
    """Delivers starts, and puts those that fail into the dead-letter queue."""

    def __init__(self, roles: Roles, services: Services) -> None:
        self.roles = roles
        self.services = services

    def deliver(self, target: dict[str, Any], schedule: dict[str, Any]) -> None:
        text = filled(target["Input"], schedule)
        try:
            self.take_on(target["RoleArn"], schedule)
            for _ in range(DELIVERIES):
                self.start(target["RoleArn"], json.loads(text))
        except (Denied, NotStarted) as failure:
            LOG.warning("not delivered: %s", failure)
            self.bury(target, text)

    def take_on(self, role: str, schedule: dict[str, Any]) -> None:
        """Raises Denied unless the role trusts the scheduler for this schedule's group."""
        action, service = "sts:AssumeRole", "scheduler.amazonaws.com"
        found = self.services.iam._roles.get(role.rsplit("/", 1)[-1])
        trust = found["AssumeRolePolicyDocument"] if found else {"Statement": []}
        trust = json.loads(trust) if isinstance(trust, str) else trust
        # The policy of a role names no resource, because it is about the role.
        statements = [{**statement, "Resource": "*"} for statement in trust["Statement"]]
        account = role.split(":")[4]
        context = self.roles.context(service, "Service", account, action, role)
        group = schedule["Arn"].replace(":schedule/", ":schedule-group/").rpartition("/")[0]
        context.service_context = {"aws:sourcearn": group, "aws:sourceaccount": account}
        policy = {**trust, "Statement": statements}
        if self.services.evaluator.evaluate_resource_policy(policy, context, service=service).decision != "Allow":
            raise Denied(f"{service} is not authorized to perform: {action} on resource: {role} for {group}")

    def start(self, role: str, parameters: dict[str, Any]) -> None:
        """Starts an execution. One of the same name and input that still runs is the same start (API_StartExecution)."""
        machine, name, given = parameters["StateMachineArn"], parameters["Name"], parameters["Input"]
        self.roles.ask(role, "scheduler", "states:StartExecution", machine)
        running = self.services.stepfunctions._executions.get(f"{machine.replace(':stateMachine:', ':execution:')}:{name}")
        if running and (running["status"], running["input"]) == ("RUNNING", given):
            return
        status, _, body = self.services.stepfunctions._start_execution(
            {"stateMachineArn": machine, "name": name, "input": given}
        )
        if status != 200:
            raise NotStarted(body if isinstance(body, str) else body.decode())

    def bury(self, target: dict[str, Any], text: str) -> None:
        """Sends a start to the dead-letter queue, and the queue's length to CloudWatch, as SQS does each minute."""
        from ministack.core.arn import parse_arn

        arn = target.get("DeadLetterConfig", {}).get("Arn", "")
        try:
            self.roles.ask(target["RoleArn"], "scheduler", "sqs:SendMessage", arn)
        except Denied as denied:
            LOG.warning("lost: %s", denied)
            return
        self.services.eventbridge._dispatch_to_sqs(parse_arn(arn), text)
        length = len(self.services.sqs._queue_by_arn(arn)["messages"])
        dimensions = {"QueueName": arn.rpartition(":")[2]}
        self.services.cloudwatch.record_metric(
            "AWS/SQS", "ApproximateNumberOfMessagesVisible", length, "Count", dimensions
        )


def filled(text: str, schedule: dict[str, Any]) -> str:
    """Replaces the keywords of scheduler/latest/UserGuide/managing-schedule-context-attributes. All deliveries share an ID."""
    values = {
        "schedule-arn": schedule["Arn"],
        "scheduled-time": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "execution-id": str(uuid.uuid4()),
        "attempt-number": "1",
    }
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def ask_for_the_group(actions: Any) -> None:
    """The resource of a request about a schedule has its group, which is in the body or in the query."""
    resource_of = actions.extract_resource_arn
    call: tuple[Any, ...] = ("scheduler", "GET", f"/schedules/{SAMPLE}", {}, b"", {"groupName": ["group"]})
    default = f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{SAMPLE}"
    prove("the group of a schedule", resource_of(*call, REGION, ACCOUNT), default)

    def extract_resource_arn(
        service: str, method: str, path: str, headers: Any, body: bytes, query: dict[str, Any], region: str, account: str
    ) -> str:
        found = SCHEDULE_PATH.fullmatch(path)
        if service != "scheduler" or not found:
            return str(resource_of(service, method, path, headers, body, query, region, account))
        group = (query.get("groupName") or [None])[0] or json.loads(body or b"{}").get("GroupName") or "default"
        return f"arn:aws:scheduler:{region}:{account}:schedule/{group}/{found[1]}"

    actions.extract_resource_arn = extract_resource_arn

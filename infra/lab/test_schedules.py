"""Tests how the lab delivers the starts of schedules."""

from __future__ import annotations

import json
import types
import unittest
import unittest.mock
from typing import Any

import iam_roles
import schedules
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_region
from ministack.services import cloudwatch, eventbridge, iam, scheduler, sqs, stepfunctions

ACCOUNT = "000000000000"
MACHINE = f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:machine"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/schedules"
QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:dead"
SCHEDULE = {"Arn": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule/snapback/nightly"}
INPUT = {"StateMachineArn": MACHINE, "Name": "nightly_<aws.scheduler.execution-id>", "Input": "{}"}
TARGET = {
    "Arn": "arn:aws:scheduler:::aws-sdk:sfn:startExecution",
    "RoleArn": ROLE,
    "Input": json.dumps(INPUT),
    "DeadLetterConfig": {"Arn": QUEUE},
}


class World:
    """ministack's modules with a role that trusts the group of SCHEDULE, and with everything that was delivered."""

    def __init__(self, group: str = "snapback", allows: tuple[str, ...] = ("states:StartExecution", "sqs:SendMessage")) -> None:
        self.started: list[dict[str, Any]] = []
        self.dead: list[str] = []
        self.lengths: list[float] = []
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": "scheduler.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"aws:SourceArn": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/{group}"}},
        }
        policy = {"Statement": [{"Effect": "Allow", "Action": list(allows), "Resource": "*"}], "Version": "2012-10-17"}
        role = {"AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [trust]}}
        self.policies = [iam_evaluator.parse_policy_document(policy)]
        evaluator = types.SimpleNamespace(**vars(iam_evaluator))
        evaluator._gather_role_policies = lambda name, account: self.policies
        self.actions = types.SimpleNamespace(**vars(iam_actions))
        services = schedules.Services(
            self.actions,
            evaluator,
            scheduler,
            self.copy(eventbridge, _dispatch_to_sqs=lambda spec, text: self.dead.append(text)),
            self.copy(stepfunctions, _executions={}),
            self.copy(sqs, _queue_by_arn=lambda arn: {"messages": self.dead}),
            self.copy(cloudwatch, record_metric=lambda space, name, value, *rest: self.lengths.append(value)),
            self.copy(iam, _roles={"schedules": role}),
        )
        self.deliveries = schedules.Deliveries(iam_roles.Roles(evaluator, get_region), services)
        services.stepfunctions._start_execution = self.start

    @staticmethod
    def copy(module: Any, **changed: Any) -> Any:
        return types.SimpleNamespace(**{**vars(module), **changed})

    def start(self, data: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        if data["stateMachineArn"] != MACHINE:
            return 400, {}, b"StateMachineDoesNotExist"
        self.started.append(data)
        name = f"{MACHINE.replace(':stateMachine:', ':execution:')}:{data['name']}"
        self.deliveries.services.stepfunctions._executions[name] = {"status": "RUNNING", "input": data["input"]}
        return 200, {}, b""


class Delivery(unittest.TestCase):
    def test_each_start_is_delivered_twice_and_runs_once(self) -> None:
        world = World()
        world.deliveries.deliver(TARGET, SCHEDULE)
        self.assertEqual(len(world.started), 1)
        self.assertRegex(world.started[0]["name"], "^nightly_[0-9a-f-]{36}$")
        self.assertEqual(world.dead, [])

    def test_a_start_that_fails_is_a_dead_letter(self) -> None:
        world = World()
        gone = {**TARGET, "Input": TARGET["Input"].replace("stateMachine:machine", "stateMachine:gone")}
        world.deliveries.deliver(gone, SCHEDULE)
        self.assertEqual((world.started, len(world.dead), world.lengths), ([], 1, [1]))

    def test_the_role_must_trust_the_group_and_allow_both_calls(self) -> None:
        for world, dead in (
            (World(group="other"), 1),
            (World(allows=("sqs:SendMessage",)), 1),
            (World(allows=("states:ListExecutions",)), 0),
        ):
            world.deliveries.deliver(TARGET, SCHEDULE)
            self.assertEqual((world.started, len(world.dead)), ([], dead))

    def test_the_keywords_are_replaced(self) -> None:
        keywords = "<aws.scheduler.schedule-arn> <aws.scheduler.attempt-number> <aws.scheduler.other>"
        self.assertEqual(schedules.filled(keywords, SCHEDULE), f"{SCHEDULE['Arn']} 1 <aws.scheduler.other>")


class Gaps(unittest.TestCase):
    def test_this_ministack_has_each_gap(self) -> None:
        world = World()
        copies = [World.copy(module) for module in (scheduler, eventbridge)]
        services = schedules.Services(
            world.actions, iam_evaluator, *copies, stepfunctions, sqs, cloudwatch, iam
        )
        # inspect reads the source of modules only.
        with unittest.mock.patch.object(schedules.inspect, "getsource", self.source(copies)):
            schedules.install(iam_roles.Roles(iam_evaluator, get_region), services)
        self.assertEqual(services.scheduler._SCHEDULE_TICK_INTERVAL, 1)
        for method, body, query in (
            ("POST", b'{"GroupName": "snapback"}', {}),
            ("GET", b"", {"groupName": ["snapback"]}),
        ):
            call = ("scheduler", method, "/schedules/nightly", {}, body, query)
            self.assertEqual(world.actions.extract_resource_arn(*call, "us-east-1", ACCOUNT), SCHEDULE["Arn"])

    @staticmethod
    def source(copies: list[Any]) -> Any:
        read = schedules.inspect.getsource
        real = dict(zip(map(id, copies), (scheduler, eventbridge), strict=True))
        return lambda thing: read(real.get(id(thing), thing))


if __name__ == "__main__":
    unittest.main()

"""A stack of a lab with its own targets, alarm and queue, so that several can lose rights at the same time."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2] / "infra" / "lab"), str(Path(__file__).parents[1])]

import archive  # noqa: E402
import comparison  # noqa: E402
from account import Account  # noqa: E402
from deployment import CLI, ROOT, make_deploy  # noqa: E402
from emulator import Emulator  # noqa: E402
from functions import ROLE, RUNTIME  # noqa: E402
from lab_parts import CLOSED, PATIENCE_SECONDS, create_alarm, eventually, layer_version, set_alarm  # noqa: E402
from rights import RIGHTS  # noqa: E402

HANDLER = Path(__file__).with_name("app.py")


@dataclass
class Site:
    """One stack. `first` has a reserved concurrency, `second` has none."""

    emulated: Emulator
    number: int
    before: dict[str, Any] = field(default_factory=dict)
    mappings: dict[str, str] = field(default_factory=dict)
    # The documents of the stack's roles, by the role's logical name and the policy's name.
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)

    @property
    def account(self) -> Account:
        return self.emulated.account

    @property
    def prefix(self) -> str:
        return f"site{self.number}"

    @property
    def stack(self) -> str:
        return f"rights-{self.number}"

    @property
    def tag(self) -> dict[str, str]:
        return {"chaos": self.prefix}

    @property
    def first(self) -> str:
        return f"{self.prefix}-first"

    @property
    def second(self) -> str:
        return f"{self.prefix}-second"

    @property
    def alarm(self) -> str:
        """The alarm that stops the runs."""
        return f"{self.prefix}-stop"

    @property
    def steady(self) -> str:
        """The alarm of the steady state."""
        return f"{self.prefix}-steady"

    def set_up(self, more: str = "") -> None:
        """Deploys the stack, with more parameters if there are any, and creates the targets."""
        # Without reserved concurrency, prepare reads the account's. tests/stack/outbox.rs checks the rights of events.
        parameters = f"Prefix={self.prefix} OptInTag=chaos={self.prefix} RollbackReservedConcurrency=0 EventBusName= {more}"
        code, said = make_deploy(self.account, self.stack, parameters)
        assert code == 0, said
        # The reaper runs when a scenario calls it, so that it restores nothing before the check has seen it. An alarm's event
        # would reach the rollback functions of all these stacks, which would use their rights in other scenarios.
        for rule in ("reaper", "alarm"):
            self.account.client("events").disable_rule(Name=f"{self.prefix}-{rule}")
        self.create(self.first)
        self.create(self.second)
        self.account.client("lambda").put_function_concurrency(
            FunctionName=self.first, ReservedConcurrentExecutions=5
        )
        for alarm in (self.alarm, self.steady):
            create_alarm(self.account, alarm)
        self.read_policies()
        self.before = self.look()

    def create(self, name: str) -> None:
        """Creates a function with a mapping from a queue."""
        lambdas, queues = self.account.client("lambda"), self.account.client("sqs")
        role = self.account.client("iam").get_role(RoleName=ROLE)["Role"]["Arn"]
        lambdas.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Handler="app.handler",
            Role=role,
            Code={"ZipFile": archive.of_file(HANDLER, "app.py")},
            Layers=[self.layer("lab-money")],
            # Unlike AWS, the emulator tells an environment without variables from no environment.
            Environment={"Variables": {"SERVICE_NAME": name}},
            Tags=self.tag,
        )
        lambdas.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        queue = queues.create_queue(QueueName=name)["QueueUrl"]
        arn = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        made = lambdas.create_event_source_mapping(FunctionName=name, EventSourceArn=arn, Tags=self.tag)
        self.mappings[name] = made["UUID"]

    def layer(self, name: str) -> str:
        return layer_version(self.account, name)

    def set_alarm(self, name: str, state: str) -> None:
        set_alarm(self.account, name, state)

    # ------------------------------------------------------------------------------------------------- rights

    def read_policies(self) -> None:
        iam = self.account.client("iam")
        for role in iam.list_roles()["Roles"]:
            name = role["RoleName"]
            if not name.startswith(f"{self.stack}-"):
                continue
            logical = name.removeprefix(f"{self.stack}-").rpartition("-")[0]
            self.names[logical] = name
            self.policies[logical] = {
                policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
                for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]
            }

    def allowed(self) -> set[tuple[str, str]]:
        """Returns each role's actions, as deployed from the template."""
        return {
            (role, action)
            for role, documents in self.policies.items()
            for document in documents.values()
            for statement in document["Statement"]
            for action in actions(statement)
        }

    def take(self, role: str, action: str) -> None:
        """Takes the action out of the role."""
        for name, document in self.policies[role].items():
            kept = copy.deepcopy(document)
            for statement in kept["Statement"]:
                statement["Action"] = [each for each in actions(statement) if each != action]
            kept["Statement"] = [statement for statement in kept["Statement"] if statement["Action"]]
            self.put(role, name, kept)

    def give_back(self, role: str) -> None:
        for name, document in self.policies[role].items():
            self.put(role, name, document)

    def put(self, role: str, name: str, document: dict[str, Any]) -> None:
        iam = self.account.client("iam")
        if document["Statement"]:
            iam.put_role_policy(RoleName=self.names[role], PolicyName=name, PolicyDocument=json.dumps(document))
        else:
            iam.delete_role_policy(RoleName=self.names[role], PolicyName=name)

    def used(self, since: int = 0) -> set[tuple[str, str]]:
        """Returns each right that a role of this stack has used since this position of the record."""
        logical = {name: role for role, name in self.names.items()}
        with (self.emulated.directory / RIGHTS).open() as file:
            file.seek(since)
            text = file.read()
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return {(logical[each["role"]], each["action"]) for each in lines if each["role"] in logical and each["allowed"]}

    def record(self, since: int) -> list[dict[str, Any]]:
        """Returns what happened to functions since this position of the emulator's record (infra/lab/record.py)."""
        with self.emulated.record.open() as file:
            file.seek(since)
            text = file.read()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def position(self) -> int:
        """Returns the end of the record of rights."""
        return (self.emulated.directory / RIGHTS).stat().st_size

    # ------------------------------------------------------------------------------------------ what is and was

    def look(self) -> dict[str, Any]:
        """Returns the whole configuration of the targets, with their mappings."""
        lambdas = self.account.client("lambda")
        return {
            name: {
                **comparison.read(self.account, name),
                "mapping": lambdas.get_event_source_mapping(UUID=self.mappings[name])["State"],
            }
            for name in (self.first, self.second)
        }

    def output(self, name: str) -> str:
        """Returns an output of the stack."""
        described = self.account.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"][0]
        return next(str(each["OutputValue"]) for each in described["Outputs"] if each["OutputKey"] == name)

    def is_restored(self) -> bool:
        return self.look() == self.before

    def is_free(self) -> bool:
        """Returns whether no run is active and no target is locked."""
        status = self.status()
        return all(run["status"] in CLOSED for run in status["runs"]) and not status["armed"]

    def runs(self) -> list[dict[str, Any]]:
        """Returns the latest runs."""
        return list(self.status()["runs"])

    def status(self) -> dict[str, Any]:
        """Returns what `snapback status` reports."""
        _, said = self.snapback("status", "--json")
        return dict(json.loads(said))

    # -------------------------------------------------------------------------------------------------- calls

    def snapback(self, *arguments: str) -> tuple[int, str]:
        """Returns the exit code of the command line, and what it has printed."""
        began = self.begin(*arguments)
        said, _ = began.communicate(timeout=PATIENCE_SECONDS)
        return began.returncode, said

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts the command line."""
        return subprocess.Popen(
            [str(CLI), *arguments, "--stack", self.stack],
            cwd=ROOT,
            env=self.account.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def invoke(self, task: str, payload: Any) -> tuple[bool, Any]:
        """Invokes a function of the stack as the state machine does. Returns whether it succeeded, and its result."""
        response = self.account.client("lambda").invoke(
            FunctionName=f"{self.prefix}-{task}", Payload=json.dumps(payload).encode()
        )
        return "FunctionError" not in response, json.loads(response["Payload"].read() or b"null")

    def heal(self) -> None:
        """Lets the reaper restore what is left, as it does each minute. A run that could not be stopped is rolled back again."""
        if "running" in (run["status"] for run in self.runs()):
            self.invoke("rollback", {"all": True})

        def restored() -> bool:
            self.invoke("reaper", {})
            return self.is_restored() and self.is_free()

        eventually(f"{self.prefix} is restored", restored)


def actions(statement: dict[str, Any]) -> list[str]:
    listed = statement["Action"]
    return [listed] if isinstance(listed, str) else list(listed)

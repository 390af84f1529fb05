"""Takes on the roles of the deployed stack, as the services do that the roles trust."""

from __future__ import annotations

import json
import os
import threading
from dataclasses import dataclass, field
from typing import Any

from account import REGION, Account

# The calls that FIS makes to set up its logs (fis/latest/userguide/monitoring-logging).
LOG_DELIVERY = ("CreateLogDelivery", "PutResourcePolicy", "DescribeResourcePolicies", "DescribeLogGroups")
# What each service says about itself when it takes on a role.
SOURCES = {"fis.amazonaws.com": "arn:aws:fis:{}:experiment/*", "ssm.amazonaws.com": "arn:aws:ssm:{}:automation-execution/*"}


@dataclass(frozen=True)
class Session:
    """Credentials of a role, for at most an hour."""

    account: Account
    variables: dict[str, str]
    clients: dict[str, Any] = field(default_factory=dict)
    creating: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        import boto3

        with self.creating:
            if service not in self.clients:
                names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
                made = boto3.session.Session(region_name=REGION, **{name: self.variables[name.upper()] for name in names})
                self.clients[service] = made.client(service, endpoint_url=self.account.endpoint)
            return self.clients[service]

    def environment(self) -> dict[str, str]:
        """Returns the environment of a script that runs with this role."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**kept, **self.account.exports(), **self.variables}


class Roles:
    """The roles of a stack. Their trust is checked, and then given to the test too for as long as it runs."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.sessions: dict[str, Session] = {}
        self.lock = threading.Lock()

    def session(self, role: str, service: str) -> Session:
        """Returns a session of the role, if the role trusts the service."""
        with self.lock:
            if role not in self.sessions:
                self.sessions[role] = self.assume(role, service)
            return self.sessions[role]

    def assume(self, role: str, service: str) -> Session:
        iam, sts = self.account.client("iam"), self.account.client("sts")
        name, owner = role.rpartition("/")[2], role.split(":")[4]
        trust = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]
        expected = {
            "Effect": "Allow",
            "Principal": {"Service": service},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": owner},
                "ArnLike": {"aws:SourceArn": SOURCES[service].format(f"{REGION}:{owner}")},
            },
        }
        assert trust["Statement"] == [expected], trust
        here = {"Effect": "Allow", "Principal": {"AWS": owner}, "Action": "sts:AssumeRole"}
        changed = json.dumps({**trust, "Statement": [expected, here]})
        iam.update_assume_role_policy(RoleName=name, PolicyDocument=changed)
        try:
            made = sts.assume_role(RoleArn=role, RoleSessionName="played")["Credentials"]
        finally:
            iam.update_assume_role_policy(RoleName=name, PolicyDocument=json.dumps(trust))
        return Session(self.account, {
            "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
            "AWS_SESSION_TOKEN": made["SessionToken"],
        })  # fmt: skip

    def may_deliver_logs(self, role: str) -> None:
        """Checks in the role's policy that it may set up log delivery, which the emulator does not have."""
        iam, name = self.account.client("iam"), role.rpartition("/")[2]
        (policy,) = iam.list_role_policies(RoleName=name)["PolicyNames"]
        document = iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
        allowed = {action for each in document["Statement"] if each["Resource"] == "*" for action in each["Action"]}
        assert allowed == {f"logs:{action}" for action in LOG_DELIVERY}, allowed

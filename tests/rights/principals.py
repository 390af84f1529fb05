"""Checks what principals can do with the credentials of a role or of a user, called directly.

    principals.py LAB

LAB is the name of a lab that is up.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import traceback
from datetime import datetime, timedelta, timezone
from typing import Any, Callable

import scenarios
from stack import CLI, ROOT, Site

from account import REGION  # noqa: E402
from lab_parts import eventually, found_lab  # noqa: E402

PERMISSIONS = ROOT / "infra" / "README.md"
ANY = "arn:aws:lambda:*:*:"


class Caller:
    """A principal with its own credentials."""

    def __init__(self, site: Site, key: dict[str, str]) -> None:
        self.site = site
        self.variables = {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
            **({"AWS_SESSION_TOKEN": key["SessionToken"]} if "SessionToken" in key else {}),
        }

    def client(self, service: str) -> Any:
        import boto3

        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        values = (self.variables.get(name.upper()) for name in names)
        made = boto3.session.Session(region_name=REGION, **dict(zip(names, values, strict=True)))
        return made.client(service, endpoint_url=self.site.account.endpoint)

    def snapback(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            [str(CLI), *arguments, "--stack", self.site.stack],
            cwd=ROOT,
            env={**self.site.account.environment(), **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout


def assume(site: Site, role: str) -> Caller:
    """Takes on a role, as an administrator can who changes whom the role trusts."""
    iam = site.account.client("iam")
    found = iam.get_role(RoleName=role)["Role"]
    trust = found["AssumeRolePolicyDocument"]
    here = {"Effect": "Allow", "Principal": {"AWS": found["Arn"].split(":")[4]}, "Action": "sts:AssumeRole"}
    changed = json.dumps({**trust, "Statement": [*trust["Statement"], here]})
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=changed)
    try:
        sts = site.account.client("sts")
        made = sts.assume_role(RoleArn=found["Arn"], RoleSessionName="check")
    finally:
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
    return Caller(site, made["Credentials"])


def denied(call: Callable[..., Any], action: str, **arguments: Any) -> None:
    """Expects AWS to deny the call, and to name the action."""
    from botocore.exceptions import ClientError

    try:
        call(**arguments)
    except ClientError as error:
        assert "AccessDenied" in error.response["Error"]["Code"] and action in str(error), error
        return
    raise AssertionError(f"{action} is allowed on {arguments}")


# ------------------------------------------------------------------------------------------------------ inject's role


def inject_changes_only_what_is_allowed(site: Site) -> None:
    """Inject's role changes no function and no mapping without the opt-in tag, and none of snapback's own with it."""
    caller = assume(site, site.names["InjectRole"])
    lambdas, administrator = caller.client("lambda"), site.account.client("lambda")
    own = f"{site.prefix}-arm"
    own_arn = administrator.get_function(FunctionName=own)["Configuration"]["FunctionArn"]
    queue = site.account.client("sqs").create_queue(QueueName=f"{site.prefix}-own")["QueueUrl"]
    source = site.account.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    administrator.tag_resource(Resource=own_arn, Tags=site.tag)
    own_mapping = administrator.create_event_source_mapping(
        FunctionName=own, EventSourceArn=source["Attributes"]["QueueArn"], Tags=site.tag, Enabled=False
    )["UUID"]
    first_arn = administrator.get_function(FunctionName=site.first)["Configuration"]["FunctionArn"]
    mapping = site.mappings[site.first]
    mapping_arn = f"{first_arn.partition(':function:')[0]}:event-source-mapping:{mapping}"

    def change_function(name: str) -> None:
        lambdas.update_function_configuration(FunctionName=name, Description="changed")

    def reserve(name: str) -> None:
        lambdas.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)

    def change_mapping(uuid: str) -> None:
        lambdas.update_event_source_mapping(UUID=uuid, BatchSize=5)

    try:
        denied(change_function, "lambda:UpdateFunctionConfiguration", name="lab-search")
        denied(reserve, "lambda:PutFunctionConcurrency", name="lab-search")
        denied(change_function, "lambda:UpdateFunctionConfiguration", name=own)
        denied(reserve, "lambda:PutFunctionConcurrency", name=own)
        denied(change_mapping, "lambda:UpdateEventSourceMapping", uuid=own_mapping)
        denied(lambdas.delete_function, "lambda:DeleteFunction", FunctionName=site.first)
        administrator.untag_resource(Resource=mapping_arn, TagKeys=list(site.tag))
        denied(change_mapping, "lambda:UpdateEventSourceMapping", uuid=mapping)
        administrator.tag_resource(Resource=mapping_arn, Tags=site.tag)
        # With the tag, it can: so the denials above are not for another reason.
        change_function(site.first)
        reserve(site.first)
        change_mapping(mapping)
    finally:
        administrator.tag_resource(Resource=mapping_arn, Tags=site.tag)
        administrator.delete_event_source_mapping(UUID=own_mapping)
        administrator.untag_resource(Resource=own_arn, TagKeys=list(site.tag))
        administrator.update_function_configuration(FunctionName=site.first, Description="")
        administrator.put_function_concurrency(FunctionName=site.first, ReservedConcurrentExecutions=5)
        administrator.update_event_source_mapping(UUID=mapping, BatchSize=10)
        administrator.get_waiter("function_updated_v2").wait(FunctionName=site.first, WaiterConfig={"Delay": 1})


# --------------------------------------------------------------------------------------- a user of the command line


def users_need_the_documented_rights_only(site: Site) -> None:
    """A user with the rights of infra/README.md can do what it says, and cannot write to the ledger."""
    table = site.output("LedgerTable")
    arn = f"arn:aws:dynamodb:{REGION}:*:table/{table}"
    machine = f"arn:aws:states:{REGION}:*"
    read = {
        "cloudformation:DescribeStacks": f"arn:aws:cloudformation:{REGION}:*:stack/{site.stack}/*",
        **{f"dynamodb:{action}": arn for action in ("GetItem", "Query", "Scan")},
    }
    undo = {**read, "lambda:InvokeFunction": f"{ANY}function:{site.prefix}-rollback"}
    run = {
        **undo,
        "states:StartExecution": f"{machine}:stateMachine:{site.prefix}-experiment",
        "states:DescribeExecution": f"{machine}:execution:{site.prefix}-experiment:*",
        "cloudwatch:DescribeAlarms": "*",
    }
    documented(read, "`status`, `report`, `history`, `compare`, `lever show`")
    documented(undo.keys() - read.keys(), "`rollback`, `lever engage`, `lever disengage`")
    documented(run.keys() - undo.keys(), "`run`")
    plan = {**read, **dict.fromkeys(sorted(prepare_rights(site)), "*")}
    experiment = scenarios.write(site, scenarios.every_change(site, "PT5S"))
    reader, planner = user_of(site, "reader", "ViewerPolicyArn"), user(site, "planner", plan)
    operator = user_of(site, "operator", "ViewerPolicyArn", "OperatorPolicyArn")
    undoer, runner = user(site, "undoer", undo), user_with(site, "runner", pasted_policy(site))
    for arguments in (("status",), ("lever", "show")):
        expect(reader.snapback(*arguments), 0)
    expect(planner.snapback("plan", experiment), 0)
    expect(operator.snapback("plan", experiment), 0)
    expect(runner.snapback("run", experiment, "--name", f"{site.prefix}-user"), 0)
    expect(reader.snapback("report", f"{site.prefix}-user"), 0)
    active, process = scenarios.injected(site, scenarios.every_change(site, scenarios.LONG))
    code, said = reader.snapback("rollback", active)
    assert code != 0 and "lambda:InvokeFunction" in said, f"{code}: {said}"
    expect(undoer.snapback("rollback", active), 0)
    scenarios.finished(site, process)
    expect(undoer.snapback("lever", "engage", "--reason", "a check"), 0)
    expect(undoer.snapback("lever", "disengage"), 0)
    # A user with fewer rights hears which one is missing.
    for caller, arguments, action in (
        (reader, ("run", experiment), "states:StartExecution"),
        (undoer, ("run", experiment), "states:StartExecution"),
        (reader, ("plan", experiment), "tag:GetResources"),
    ):
        code, said = caller.snapback(*arguments)
        assert code != 0 and action in said, f"{arguments}: {code} without {action}: {said}"
    item = {"pk": {"S": "RUN#forged"}, "sk": {"S": "RUN"}}
    for caller in (reader, planner, undoer, runner, operator):
        denied(caller.client("dynamodb").put_item, "dynamodb:PutItem", TableName=table, Item=item)
    # Not even with a policy that allows it, because the table's own policy denies it.
    powerful = user(site, "powerful", {"dynamodb:*": "*"})
    denied(powerful.client("dynamodb").put_item, "dynamodb:PutItem", TableName=table, Item=item)
    denied(powerful.client("dynamodb").transact_write_items, "dynamodb:PutItem",
           TransactItems=[{"Put": {"TableName": table, "Item": item}}])  # fmt: skip
    assert site.is_restored() and site.is_free()


def prepare_rights(site: Site) -> set[str]:
    of_prepare = {action for role, action in site.allowed() if role == "PrepareRole"}
    return {action for action in of_prepare if not action.startswith(("logs:", "xray:", "dynamodb:"))}


def documented(rights: Any, row: str) -> None:
    """Checks that the row of infra/README.md has these rights."""
    found = re.search(rf"^\| {re.escape(row)} \| (.*) \|$", PERMISSIONS.read_text(), re.MULTILINE)
    assert found, f"{PERMISSIONS} has no row {row}"
    for right in rights:
        assert right.partition(":")[2] in found[1], f"{PERMISSIONS}: {row} does not name {right}"


def pasted_policy(site: Site) -> str:
    """Returns the policy that README.md has for users who run experiments, with the names of this stack."""
    found = re.search(r"^ *```json\n(.*?\"Statement\".*?)^ *```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found, "README.md has no policy"
    text = found[1].replace("REGION", REGION).replace("ACCOUNT", "*").replace("TABLE", site.output("LedgerTable"))
    return text.replace("stack/snapback/", f"stack/{site.stack}/").replace("snapback-", f"{site.prefix}-")


def user(site: Site, name: str, rights: dict[str, str]) -> Caller:
    statements = [{"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in rights.items()]
    return user_with(site, name, json.dumps({"Version": "2012-10-17", "Statement": statements}))


def user_of(site: Site, name: str, *outputs: str) -> Caller:
    """Creates a user with the stack's managed policies."""
    iam = site.account.client("iam")
    name = f"{site.prefix}-{name}"
    iam.create_user(UserName=name)
    for output in outputs:
        iam.attach_user_policy(UserName=name, PolicyArn=site.output(output))
    return Caller(site, iam.create_access_key(UserName=name)["AccessKey"])


def user_with(site: Site, name: str, document: str) -> Caller:
    iam = site.account.client("iam")
    name = f"{site.prefix}-{name}"
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="documented", PolicyDocument=document)
    return Caller(site, iam.create_access_key(UserName=name)["AccessKey"])


def expect(result: tuple[int, str], code: int) -> None:
    assert result[0] == code, f"exit code {result[0]} instead of {code}: {result[1]}"


# ------------------------------------------------------------------------------------- the scheduler, and LedgerWriters


def the_schedules_role_starts_the_machine_and_nothing_else(site: Site) -> None:
    """A schedule starts an experiment under the role of the schedules, which may do nothing else."""
    caller = assume(site, site.names["ScheduleRole"])
    machine = site.output("StateMachineArn")
    states = caller.client("stepfunctions")
    denied(states.list_executions, "states:ListExecutions", stateMachineArn=machine)
    denied(states.describe_state_machine, "states:DescribeStateMachine", stateMachineArn=machine)
    denied(caller.client("scheduler").list_schedules, "scheduler:ListSchedules")
    denied(caller.client("lambda").invoke, "lambda:InvokeFunction", FunctionName=f"{site.prefix}-rollback")
    denied(caller.client("dynamodb").scan, "dynamodb:Scan", TableName=site.output("LedgerTable"))
    started = states.start_execution(stateMachineArn=machine, input='{"name": "not an experiment"}')["executionArn"]
    denied(states.stop_execution, "states:StopExecution", executionArn=started)
    administrator = site.account.client("stepfunctions")
    expect(site.snapback("schedule", "add", "soon", absent(site), "--at", later(5)), 0)

    def has_started() -> bool:
        found = administrator.list_executions(stateMachineArn=machine)["executions"]
        return any(each["name"].startswith("soon_") for each in found)

    eventually("the schedule starts an execution", has_started)


def users_of_schedules_need_the_documented_rights_only(site: Site) -> None:
    """A user with the rights of infra/README.md manages schedules, and another user hears which right is missing."""
    stack = {"cloudformation:DescribeStacks": f"arn:aws:cloudformation:{REGION}:*:stack/{site.stack}/*"}
    schedule = f"arn:aws:scheduler:{REGION}:*:schedule/{site.prefix}/*"
    changes = ("CreateSchedule", "GetSchedule", "UpdateSchedule", "DeleteSchedule")
    rights = {
        **stack,
        **{f"scheduler:{action}": schedule for action in changes},
        "scheduler:ListSchedules": "*",
        "iam:PassRole": site.output("ScheduleRoleArn"),
        "states:ListExecutions": site.output("StateMachineArn"),
        "states:DescribeExecution": f"arn:aws:states:{REGION}:*:execution:{site.prefix}-experiment:*",
    }
    documented(rights, "`schedule`")
    owner, other = user_of(site, "owner", "ViewerPolicyArn", "OperatorPolicyArn"), user(site, "other-stack", stack)
    add = ("schedule", "add", "daily", absent(site), "--rate", "1 day")
    for arguments in (add, (*add, "--replace"), ("schedule", "list"), ("schedule", "pause", "daily")):
        expect(owner.snapback(*arguments), 0)
    for arguments, action in (
        (("schedule", "add", "more", absent(site), "--rate", "1 day"), "scheduler:CreateSchedule"),
        (("schedule", "list"), "scheduler:ListSchedules"),
        (("schedule", "show", "daily"), "scheduler:GetSchedule"),
        (("schedule", "remove", "daily"), "scheduler:DeleteSchedule"),
    ):
        code, said = other.snapback(*arguments)
        assert code == 1 and action in said, f"{arguments}: {code} without {action}: {said}"
    for arguments in (("schedule", "resume", "daily"), ("schedule", "show", "daily"), ("schedule", "remove", "daily")):
        expect(owner.snapback(*arguments), 0)


def absent(site: Site) -> str:
    """Writes an experiment without any function, which is refused without a trace."""
    return scenarios.write(site, {**scenarios.every_change(site, "PT5S"), "targets": [{"function": "absent"}]})


def later(seconds: int) -> str:
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


def a_rule_needs_the_functions_permission(site: Site) -> None:
    """An alarm's event reaches the rollback function only while the function's policy lets the rule invoke it."""
    lambdas = site.account.client("lambda")
    function = f"{site.prefix}-rollback"
    granted = json.loads(lambdas.get_policy(FunctionName=function)["Policy"])["Statement"][0]
    log, before = site.emulated.log, site.emulated.record.stat().st_size

    def rolled_back() -> bool:
        site.set_alarm(site.alarm, "OK")
        site.set_alarm(site.alarm, "ALARM")
        return any(each.get("invoked") == function for each in site.record(before))

    site.account.client("events").enable_rule(Name=f"{site.prefix}-alarm")
    lambdas.remove_permission(FunctionName=function, StatementId=granted["Sid"])
    site.set_alarm(site.alarm, "ALARM")
    eventually("the event is not delivered", lambda: "not delivered: events.amazonaws.com" in log.read_text())
    assert not any(each.get("invoked") == function for each in site.record(before))
    lambdas.add_permission(
        FunctionName=function,
        StatementId="again",
        Action="lambda:InvokeFunction",
        Principal="events.amazonaws.com",
        SourceArn=granted["Condition"]["ArnLike"]["AWS:SourceArn"],
    )
    eventually("the event is delivered", rolled_back)
    site.set_alarm(site.alarm, "OK")
    site.account.client("events").disable_rule(Name=f"{site.prefix}-alarm")


def ledger_writers_restore_from_their_machine(site: Site) -> None:
    """A role of LedgerWriters can restore with `--direct`, and no other principal can."""
    iam = site.account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    documents = {name: site.policies["UndoRole"][name] for name in site.policies["UndoRole"]}
    statements = [statement for document in documents.values() for statement in document["Statement"]]
    for name in ("break-glass", "other"):
        trusted = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trusted)
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="undo", PolicyDocument=policy)
    run, process = scenarios.injected(site, scenarios.every_change(site, scenarios.LONG))
    direct = ("rollback", run, "--direct", "--table", site.output("LedgerTable"))
    code, said = assume(site, "other").snapback(*direct)
    assert code != 0 and "resource-based policy" in said, f"{code}: {said}"
    assert not site.is_restored()
    expect(assume(site, "break-glass").snapback(*direct), 0)
    assert site.is_restored()
    scenarios.finished(site, process)


CHECKS = (
    inject_changes_only_what_is_allowed,
    a_rule_needs_the_functions_permission,
    users_need_the_documented_rights_only,
    ledger_writers_restore_from_their_machine,
    users_of_schedules_need_the_documented_rights_only,
    the_schedules_role_starts_the_machine_and_nothing_else,
)


def main() -> int:
    emulated = found_lab(sys.argv[1])
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    site = Site(emulated, 9)
    site.set_up("LedgerWriters=arn:aws:iam::*:role/break-glass")
    failures = 0
    for check in CHECKS:
        try:
            check(site)
            print(f"    ok  {check.__name__}", flush=True)
        except Exception:
            failures += 1
            print(f"FAILED  {check.__name__}\n{traceback.format_exc()}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

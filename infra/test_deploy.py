"""Tests deploy.py and destroy.py against fake command lines, which record every call."""

from __future__ import annotations

import contextlib
import io
import json
import re
import unittest
from typing import Any
from unittest import mock

import deploy
import destroy
from deployed import CommandFailed, Tools

ARN = "arn:aws:iam::123456789012:role"
ARMED = "orders (injected, run r)"
# As `snapback status --json` prints it.
ARMED_ENTRY = {"text": ARMED, "runId": "r", "function": "orders", "status": "injected"}


class Account:
    """A fake account with one stack or none."""

    def __init__(self, status: str | None = None, **parameters: str) -> None:
        self.status = status
        self.parameters = {"Prefix": "snapback", "RollbackReservedConcurrency": "0", **parameters}
        self.tags = {"aws:cloudformation:stack-name": "snapback"}
        self.has_outputs = status is not None and ("COMPLETE" in status and status != "ROLLBACK_COMPLETE")
        self.table: str | None = "snapback-LedgerTable-1"
        self.armed: list[list[object]] = [[]]
        self.lever = False
        # Engaging the lever rolls back a run, so the command line exits with 4.
        self.lever_fails = False
        self.unreserved: int | None = 1000
        self.functions_reserve: dict[str, int] = {}
        self.failing = ""
        # The opt-in tags of other snapback stacks, by their names; None if the stacks cannot be listed.
        self.neighbors: dict[str, str] | None = {}
        # The names of the stack's schedules; None for a stack of a release without them.
        self.schedules: list[str] | None = None
        self.calls: list[str] = []
        # The command line's calls with all their arguments.
        self.typed: list[str] = []
        self.overrides: dict[str, str] = {}

    def tools(self) -> Tools:
        return Tools(self.aws, self.snapback)

    def aws(self, *arguments: str, **_: Any) -> str:
        name = " ".join(arguments[:2])
        self.calls.append(name if name != "cloudformation wait" else " ".join(arguments[:3]))
        if name == self.failing:
            raise CommandFailed(f"{name}: An error occurred")
        handler = getattr(self, re.sub(r"\W", "_", arguments[1]), lambda _: "")
        return str(handler(arguments))

    def describe_stacks(self, arguments: tuple[str, ...]) -> str:
        if "--stack-name" not in arguments:
            return self.list_stacks()
        if self.status is None:
            raise CommandFailed(f"aws: Stack with id {arguments[3]} does not exist")
        outputs = [{"OutputKey": "LedgerTable", "OutputValue": self.table}] if self.has_outputs else []
        if self.has_outputs and self.schedules is not None:
            outputs.append({"OutputKey": "ScheduleGroup", "OutputValue": "snapback"})
        parameters = [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()]
        tags = [{"Key": key, "Value": value} for key, value in self.tags.items()]
        return json.dumps({"Stacks": [{"StackStatus": self.status, "Outputs": outputs, "Parameters": parameters, "Tags": tags}]})

    def list_stacks(self) -> str:
        if self.neighbors is None:
            raise CommandFailed("aws: AccessDenied")
        keys = ("LedgerTable", "RollbackFunction", "StateMachineArn")
        stacks: list[dict[str, Any]] = [{"StackName": "a-web-site"}]
        for name, tag in {"snapback": "chaos=allowed", **self.neighbors}.items():
            outputs = {**dict.fromkeys(keys, "x"), "OptInTag": tag}
            stacks.append({"StackName": name, "Outputs": [{"OutputKey": k, "OutputValue": v} for k, v in outputs.items()]})
        return json.dumps({"Stacks": stacks})

    def describe_stack_resources(self, _: tuple[str, ...]) -> str:
        resource = {"LogicalResourceId": "LedgerTable", "ResourceStatus": "DELETE_SKIPPED", "PhysicalResourceId": self.table}
        return json.dumps({"StackResources": [resource] if self.table else []})

    def describe_table(self, _: tuple[str, ...]) -> str:
        return "{}"

    def describe_stack_events(self, _: tuple[str, ...]) -> str:
        reasons = [
            ("CREATE_FAILED", "Resource creation cancelled"),
            ("CREATE_FAILED", "its minimum value of [100]"),
            ("CREATE_IN_PROGRESS", "User Initiated"),
            ("CREATE_FAILED", "of the try before"),
        ]
        return json.dumps(
            {"StackEvents": [{"LogicalResourceId": "R", "ResourceStatus": s, "ResourceStatusReason": r} for s, r in reasons]}
        )

    def get_account_settings(self, _: tuple[str, ...]) -> str:
        if self.unreserved is None:
            raise CommandFailed("aws: AccessDeniedException")
        return json.dumps({"AccountLimit": {"UnreservedConcurrentExecutions": self.unreserved}})

    def get_function_concurrency(self, arguments: tuple[str, ...]) -> str:
        reserved = self.functions_reserve.get(arguments[3])
        return "" if reserved is None else json.dumps({"ReservedConcurrentExecutions": reserved})

    def deploy(self, arguments: tuple[str, ...]) -> str:
        given = arguments[arguments.index("--parameter-overrides") + 1 :]
        self.overrides = dict(each.split("=", 1) for each in given)
        at = arguments.index("--tags") + 1 if "--tags" in arguments else None
        tags = [] if at is None else arguments[at : arguments.index("--parameter-overrides")]
        self.tags = dict(each.split("=", 1) for each in tags)
        self.status, self.has_outputs = "UPDATE_COMPLETE", True
        return ""

    def delete_stack(self, _: tuple[str, ...]) -> str:
        self.status = None
        return ""

    def snapback(self, *arguments: str, **_: Any) -> str:
        name = " ".join(arguments[: 2 if arguments[0] in ("lever", "schedule") else 1])
        self.calls.append(name)
        self.typed.append(" ".join(arguments))
        if name == self.failing:
            raise CommandFailed(f"{name}: no")
        if name == "status":
            return json.dumps({"armed": self.armed.pop(0) if len(self.armed) > 1 else self.armed[0]})
        if name == "schedule list":
            return json.dumps({"schedules": [{"name": schedule} for schedule in self.schedules or []]})
        if name == "lever show":
            return json.dumps({"engaged": self.lever})
        self.lever = {"lever engage": True, "lever disengage": False}.get(name, self.lever)
        if name == "lever engage" and self.lever_fails:
            raise CommandFailed("lever engage: run r: ended early: the safety lever was engaged; restored exactly")
        return ""


class Case(unittest.TestCase):
    def deploy(self, account: Account, *parameters: str) -> str:
        """Returns the output; raises a refusal."""
        with contextlib.redirect_stdout(io.StringIO()) as said:
            deploy.deploy(account.tools(), "snapback", "bucket", deploy.parse_parameters(list(parameters), deploy.declared_parameters()))
        return said.getvalue()

    def destroy(self, account: Account, *_: str) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
            return destroy.destroy(account.tools(), "snapback"), said.getvalue()

    def assert_untouched(self, account: Account) -> None:
        for call in ("package", "deploy", "delete-stack"):
            self.assertNotIn(f"cloudformation {call}", account.calls)


class Neighbors(Case):
    def test_a_new_stack_needs_its_own_opt_in_tag(self) -> None:
        account = Account()
        account.neighbors = {"snapback-other": "chaos=allowed"}
        with self.assertRaisesRegex(deploy.Refused, "snapback-other has the opt-in tag chaos=allowed too"):
            self.deploy(account)
        self.assert_untouched(account)
        self.deploy(account, "OptInTag=chaos=here")
        self.assertIn("cloudformation deploy", account.calls)

    def test_an_existing_stack_is_warned_and_takes_no_used_tag(self) -> None:
        account = Account("UPDATE_COMPLETE", OptInTag="chaos=allowed")
        account.neighbors = {"one": "chaos=allowed", "two": "chaos=two"}
        self.assertIn("the stack one has the opt-in tag chaos=allowed too", self.deploy(account))
        with self.assertRaisesRegex(deploy.Refused, "the stack two has the opt-in tag chaos=two too"):
            self.deploy(account, "OptInTag=chaos=two")

    def test_unlistable_stacks_are_a_warning_only(self) -> None:
        account = Account()
        account.neighbors = None
        self.assertIn("whether another stack has the opt-in tag chaos=allowed is unknown", self.deploy(account))


class Parameters(Case):
    def test_a_bad_parameter_is_refused_with_name_value_and_fix(self) -> None:
        for word, says in (
            ("Prefix", "`Prefix` is not a parameter; write Key=Value"),
            ("TargetLimt=5", "there is no parameter TargetLimt; write TargetLimit"),
            ("Prefix=Chaos", "Prefix=`Chaos`: write 2 to 40 lower-case letters"),
            ("TargetLimit=0", "TargetLimit=`0`: write a whole number, 1 to 1000"),
            ("TargetLimit=ten", "TargetLimit=`ten`: write a whole number, 1 to 1000"),
            ("RollbackReservedConcurrency=-1", "write a whole number, 0 or more"),
            ("Architecture=arm", "write one of arm64, x86_64"),
            ("LogRetentionDays=2", "write one of 1, 3, 5"),
            ("OptInTag=chaos", "write one key, one equals sign, one value"),
            (f"LedgerWriters={ARN}/a,{ARN.replace('role', 'user')}/b", "write ARNs of IAM roles"),
            ("TargetKeyArns=arn:aws:kms:eu-west-1:123456789012:alias/orders", "write ARNs of keys (not of aliases)"),
            ("AlarmTopicArn=topic", "write the ARN of an SNS topic"),
            ("ScheduleExpression=rate(1 day)", "no longer a parameter; use: snapback schedule add NAME"),
        ):
            with self.subTest(word), self.assertRaisesRegex(deploy.InvalidParameter, re.escape(says)):
                deploy.parse_parameters([word], deploy.declared_parameters())

    def test_a_parameter_that_is_given_twice_is_refused(self) -> None:
        with self.assertRaisesRegex(deploy.InvalidParameter, "Prefix is given twice"):
            deploy.parse_parameters(["Prefix=aa", "Prefix=bb"], deploy.declared_parameters())

    def test_good_parameters_pass(self) -> None:
        words = ["Prefix=chaos", "OptInTag=chaos=allowed", "AlarmTopicArn=",
                 f"LedgerWriters={ARN}/aws-reserved/sso.amazonaws.com/*/AWSReservedSSO_Break_*,{ARN}/ops", "LedgerWriters2="]  # fmt: skip
        self.assertEqual(len(deploy.parse_parameters(words[:-1], deploy.declared_parameters())), 4)


class Tags(Case):
    def test_a_stack_keeps_its_tags_and_gets_new_ones(self) -> None:
        account = Account("UPDATE_COMPLETE")
        account.tags.update(team="shop", stage="test")
        with contextlib.redirect_stdout(io.StringIO()):
            deploy.deploy(account.tools(), "snapback", "bucket", {}, deploy.parse_tags(["stage=prod", "note=a=b"]))
        self.assertEqual(account.tags, {"team": "shop", "stage": "prod", "note": "a=b"})

    def test_a_bad_tag_is_refused_with_the_fix(self) -> None:
        for word, says in (
            ("team", "`team` is not a tag; write Key=Value"),
            ("=shop", "`=shop` is not a tag"),
            ("aws:team=shop", "the key aws:team is used by AWS"),
            ("snapback=mine", "the key snapback is used by AWS or by snapback itself"),
            ("team=" + "x" * 257, "a value 256"),
        ):
            with self.subTest(word), self.assertRaisesRegex(deploy.InvalidParameter, re.escape(says)):
                deploy.parse_tags([word])

    def test_the_command_line_tells_tags_from_parameters(self) -> None:
        for words, code in ((["TargetLimit=5", "--tags", "TargetLimit=x"], 0), (["TargetLimit=x", "--tags"], 2), (["--tags", "x"], 2)):
            with contextlib.redirect_stderr(io.StringIO()):
                self.assertEqual(deploy.main(["--check", "snapback", "bucket", *words]), code, words)


class Documents(Case):
    def test_the_page_lists_each_parameter_with_its_default(self) -> None:
        page = (deploy.TEMPLATE.parent / "README.md").read_text(encoding="utf-8")
        table = page.split("\n## Parameters\n")[1].split("\n## ")[0]
        listed = dict(re.findall(r"^\| `(\w+)` \| `?([^`|(]*?)`? (?:\([^|]*)?\|", table, re.MULTILINE))
        declared = {name: str(each["Default"]) or "none" for name, each in deploy.declared_parameters().items()}
        self.assertEqual(listed, declared)


class Events(Case):
    def test_a_topic_without_events_is_refused(self) -> None:
        account = Account()
        with self.assertRaisesRegex(deploy.InvalidParameter, "NotificationTopicArn needs events"):
            self.deploy(account, "EventBusName=", "NotificationTopicArn=arn:aws:sns:eu-west-1:123456789012:chat")
        self.assert_untouched(account)

    def test_a_bus_that_does_not_exist_is_refused(self) -> None:
        account = Account()
        with mock.patch.object(account, "describe_event_bus", missing_bus, create=True):
            with self.assertRaisesRegex(deploy.InvalidParameter, "EventBusName=`chaos`: there is no such bus; create it"):
                self.deploy(account, "EventBusName=chaos")
        self.assert_untouched(account)

    def test_a_bus_that_cannot_be_read_is_a_warning(self) -> None:
        account = Account()
        account.failing = "events describe-event-bus"
        self.assertIn("the event bus chaos cannot be read", self.deploy(account, "EventBusName=chaos"))

    def test_no_bus_and_the_own_bus_are_not_looked_up(self) -> None:
        for given in ("EventBusName=", "EventBusName=default", "OptInTag=chaos=allowed"):
            account = Account()
            self.deploy(account, given)
            self.assertNotIn("events describe-event-bus", account.calls)

    def test_a_topic_and_a_bus_have_a_form(self) -> None:
        fifo = "NotificationTopicArn=arn:aws:sns:eu-west-1:123456789012:chat.fifo"
        for word in ("EventBusName=a bus", "NotificationTopicArn=chat", fifo):
            self.assertRaises(deploy.InvalidParameter, deploy.parse_parameters, [word], deploy.declared_parameters())


def missing_bus(_: tuple[str, ...]) -> str:
    raise CommandFailed("aws: An error occurred (ResourceNotFoundException) when calling the DescribeEventBus operation")


class Concurrency(Case):
    def test_the_proposal_fits_the_account(self) -> None:
        for unreserved, targets, chosen in (
            (10, 10, 0), (100, 10, 0), (104, 10, 0), (105, 10, 2), (110, 10, 4), (121, 10, 10), (1000, 10, 10),
            (1000, 1, 10), (1000, 25, 25), (1000, 1000, 40), (150, 1000, 24),
        ):  # fmt: skip
            with self.subTest(unreserved=unreserved, targets=targets):
                proposal = deploy.propose_concurrency(unreserved, targets)
                self.assertEqual(proposal.concurrency, chosen)
                self.assertIn(str(unreserved), proposal.why)
                # Never one, because then a slow rollback would delay the rollback of the next alarm.
                self.assertNotEqual(chosen, 1)
                self.assertLessEqual(2 * chosen + bool(chosen), max(0, unreserved - deploy.FLOOR))

    def test_a_new_stack_gets_the_proposal_with_the_reason(self) -> None:
        account = Account()
        self.assertIn("RollbackReservedConcurrency=10: the account has 1000 unreserved", self.deploy(account))
        self.assertEqual(account.overrides["RollbackReservedConcurrency"], "10")

    def test_a_small_account_gets_none_with_the_reason(self) -> None:
        account = Account()
        account.unreserved = 10
        self.assertIn("snapback cannot reserve any", self.deploy(account))
        self.assertEqual(account.overrides["RollbackReservedConcurrency"], "0")

    def test_an_unreadable_account_gets_no_reservation(self) -> None:
        account = Account()
        account.unreserved = None
        self.assertIn("cannot be read", self.deploy(account))
        self.assertEqual(account.overrides["RollbackReservedConcurrency"], "0")

    def test_a_given_value_is_kept(self) -> None:
        for value in ("0", "1", "50"):
            account = Account()
            self.deploy(account, f"RollbackReservedConcurrency={value}")
            self.assertEqual(account.overrides["RollbackReservedConcurrency"], value)

    def test_the_value_of_a_stack_is_kept(self) -> None:
        account = Account("CREATE_COMPLETE", RollbackReservedConcurrency="0")
        self.assertIn("stays 0; consider 10", self.deploy(account))
        self.assertNotIn("RollbackReservedConcurrency", account.overrides)
        # A value below what its targets could use.
        account = Account("CREATE_COMPLETE", RollbackReservedConcurrency="10")
        self.assertIn("stays 10; consider 30", self.deploy(account, "TargetLimit=30"))
        self.assertNotIn("RollbackReservedConcurrency", account.overrides)

    def test_more_than_the_account_has_is_refused(self) -> None:
        account = Account()
        account.unreserved = 150
        with self.assertRaisesRegex(deploy.InvalidParameter, "only 150 unreserved concurrent executions; write 24"):
            self.deploy(account, "RollbackReservedConcurrency=75")
        self.assert_untouched(account)
        self.assertIn("AWS may refuse it", self.deploy(account, "RollbackReservedConcurrency=30"))

    def test_an_update_reuses_what_the_stack_has_reserved(self) -> None:
        account = Account("CREATE_COMPLETE", RollbackReservedConcurrency="40")
        account.unreserved = 110
        account.functions_reserve = {"snapback-rollback": 40, "snapback-reaper": 40}
        self.assertNotIn("may refuse", self.deploy(account, "RollbackReservedConcurrency=40"))


class ExistingStack(Case):
    def test_a_failed_first_deploy_is_replaced(self) -> None:
        account = Account("ROLLBACK_COMPLETE")
        said = self.deploy(account)
        order = [call for call in account.calls if call.startswith("cloudformation") and "describe" not in call]
        self.assertEqual(
            order,
            ["cloudformation delete-stack", "cloudformation wait stack-delete-complete",
             "cloudformation package", "cloudformation deploy"],
        )  # fmt: skip
        self.assertIn("left the table snapback-LedgerTable-1", said)

    def test_a_failed_first_deploy_without_a_table_is_replaced(self) -> None:
        account = Account("ROLLBACK_COMPLETE")
        account.table = None
        self.deploy(account)
        self.assertIn("cloudformation deploy", account.calls)

    def test_a_failed_first_deploy_with_armed_targets_stays(self) -> None:
        account = Account("ROLLBACK_COMPLETE")
        account.armed = [[ARMED_ENTRY]]
        with self.assertRaisesRegex(deploy.Refused, "snapback rollback --all --direct --table snapback-LedgerTable-1"):
            self.deploy(account)
        self.assert_untouched(account)

    def test_a_stack_in_progress_or_stuck_is_not_updated(self) -> None:
        for status, says in (
            ("UPDATE_IN_PROGRESS", "wait until that has ended"),
            ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "wait until that has ended"),
            ("UPDATE_ROLLBACK_FAILED", "continue-update-rollback"),
            ("DELETE_FAILED", "make destroy"),
        ):
            account = Account(status)
            with self.subTest(status), self.assertRaisesRegex(deploy.Refused, says):
                self.deploy(account)
            self.assert_untouched(account)

    def test_a_failed_deploy_names_the_first_failures(self) -> None:
        account = Account()
        account.failing = "cloudformation deploy"
        with self.assertRaises(CommandFailed) as failure:
            self.deploy(account)
        self.assertIn("R: its minimum value of [100]", str(failure.exception))
        self.assertNotIn("cancelled", str(failure.exception))
        self.assertNotIn("of the try before", str(failure.exception))

    def test_an_update_with_armed_targets_lists_them_and_deploys(self) -> None:
        account = Account("UPDATE_COMPLETE")
        account.armed = [[ARMED_ENTRY]]
        self.assertIn(ARMED, self.deploy(account, "TargetLimit=5"))
        self.assertEqual(account.overrides, {"TargetLimit": "5"})
        self.assertNotIn("lever engage", account.calls)

    def test_a_broken_stack_is_updated(self) -> None:
        account = Account("UPDATE_COMPLETE")
        account.failing = "status"
        self.assertIn("cannot be read", self.deploy(account))
        self.assertIn("cloudformation deploy", account.calls)

    def test_another_prefix_is_refused_while_targets_are_armed(self) -> None:
        account = Account("UPDATE_COMPLETE")
        account.armed = [[ARMED_ENTRY]]
        with self.assertRaisesRegex(deploy.Refused, "another name than snapback.*1 of the stack's targets(?s:.*)rollback --all"):
            self.deploy(account, "Prefix=chaos")
        self.assert_untouched(account)

    def test_another_prefix_is_refused_when_the_state_is_unknown(self) -> None:
        account = Account("UPDATE_COMPLETE")
        account.failing = "status"
        with self.assertRaisesRegex(deploy.Refused, "cannot be read"):
            self.deploy(account, "Prefix=chaos")
        self.assert_untouched(account)

    def test_nothing_starts_while_the_prefix_changes(self) -> None:
        account = Account("UPDATE_COMPLETE")
        self.deploy(account, "Prefix=chaos")
        order = [call for call in account.calls if call.startswith("lever") or call == "cloudformation deploy"]
        self.assertEqual(order, ["lever show", "lever engage", "cloudformation deploy", "lever disengage"])

    def test_the_lever_is_disengaged_after_a_failure_too(self) -> None:
        account = Account("UPDATE_COMPLETE")
        account.failing = "cloudformation deploy"
        with self.assertRaises(CommandFailed):
            self.deploy(account, "Prefix=chaos")
        self.assertFalse(account.lever)
        account = Account("UPDATE_COMPLETE")
        account.lever = True
        self.deploy(account, "Prefix=chaos")
        self.assertTrue(account.lever)

    def test_a_run_that_starts_between_the_reads_prevents_it(self) -> None:
        account = Account("UPDATE_COMPLETE")
        account.armed = [[], [ARMED_ENTRY]]
        with self.assertRaisesRegex(deploy.Refused, "1 of the stack's targets"):
            self.deploy(account, "Prefix=chaos")
        self.assert_untouched(account)
        self.assertFalse(account.lever)

    def test_a_run_that_the_lever_ends_does_not_fail_the_command(self) -> None:
        for command, ends in ((self.deploy, "cloudformation deploy"), (self.destroy, "cloudformation delete-stack")):
            account = Account("UPDATE_COMPLETE")
            account.lever_fails = True
            command(account, *(["Prefix=chaos"] if command == self.deploy else []))
            self.assertIn(ends, account.calls)

    def test_replacing_the_table_is_refused_while_targets_are_armed(self) -> None:
        account = Account("UPDATE_COMPLETE")
        account.table = "snapback-ledger"
        account.armed = [[ARMED_ENTRY]]
        with self.assertRaisesRegex(deploy.Refused, "this update replaces the ledger's table"):
            self.deploy(account)


class Destroy(Case):
    def test_a_stack_is_deleted_and_its_table_named(self) -> None:
        account = Account("UPDATE_COMPLETE")
        code, said = self.destroy(account)
        self.assertEqual(code, 0)
        self.assertIn("delete-table --table-name snapback-LedgerTable-1", said)
        self.assertEqual(account.calls.index("lever engage") < account.calls.index("cloudformation delete-stack"), True)

    def test_an_armed_target_prevents_the_deletion(self) -> None:
        for armed in ([[ARMED_ENTRY]], [[], [ARMED_ENTRY]], [[ARMED]]):  # the last one is of an earlier command line
            account = Account("UPDATE_COMPLETE")
            account.armed = armed
            code, said = self.destroy(account)
            self.assertEqual(code, 3)
            self.assertIn(ARMED, said)
            self.assert_untouched(account)
            self.assertFalse(account.lever)

    def test_nothing_is_deleted_when_the_state_is_unknown(self) -> None:
        for failing in ("status", "lever engage", "cloudformation describe-stacks"):
            account = Account("UPDATE_COMPLETE")
            account.failing = failing
            self.assertEqual(self.destroy(account)[0], 1)
            self.assert_untouched(account)

    def test_a_stack_without_outputs_is_deleted_too(self) -> None:
        for table in ("snapback-LedgerTable-1", None):
            account = Account("ROLLBACK_COMPLETE")
            account.table = table
            self.assertEqual(self.destroy(account)[0], 0)
            self.assertIn("cloudformation delete-stack", account.calls)
            self.assertNotIn("lever engage", account.calls)
        account = Account("ROLLBACK_COMPLETE")
        account.armed = [[ARMED_ENTRY]]
        self.assertEqual(self.destroy(account)[0], 3)

    def test_a_stack_that_is_not_snapbacks_stays(self) -> None:
        account = Account("CREATE_COMPLETE")
        account.has_outputs = False
        code, said = self.destroy(account)
        self.assertEqual(code, 1)
        self.assertIn("not a snapback stack", said)
        self.assert_untouched(account)

    def test_a_missing_stack_is_no_error(self) -> None:
        self.assertEqual(self.destroy(Account())[0], 0)


if __name__ == "__main__":
    unittest.main()

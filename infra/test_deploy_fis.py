"""Tests deploy_fis.py against fake command lines, which record every call."""

from __future__ import annotations

import contextlib
import io
import json
import re
import tempfile
import unittest
from pathlib import Path
from typing import Any

import botocore.loaders
import botocore.model
import botocore.validate
import deploy_fis
from deploy import InvalidParameter, Refused
from deployed import CommandFailed, Tools

NEEDED = ("TargetFunction=checkout", "StopAlarm=checkout-errors")


class Account:
    """A fake account with a snapback stack and perhaps a FIS stack. Both are given by their status."""

    def __init__(self, main: str | None = "CREATE_COMPLETE", fis: str | None = None, **parameters: str) -> None:
        self.statuses = {"snapback": main, "snapback-fis": fis}
        self.parameters = parameters
        self.of_main = {"Prefix": "chaos", "StateMachineArn": "arn", "RecordsActors": "true"}
        self.invalid = False
        self.calls: list[str] = []
        self.overrides: dict[str, str] = {}

    def tools(self) -> Tools:
        return Tools(self.aws, self.snapback)

    def aws(self, *arguments: str, **_: Any) -> str:
        if arguments[1] == "describe-stacks":
            return self.describe(arguments[3])
        self.calls.append(" ".join(arguments[1:3]) if arguments[1] == "wait" else arguments[1])
        if arguments[1] == "deploy":
            words = arguments[arguments.index("--parameter-overrides") + 1 :]
            self.overrides = dict(word.split("=", 1) for word in words)
            self.statuses["snapback-fis"] = "CREATE_COMPLETE"
        return ""

    def describe(self, name: str) -> str:
        if self.statuses[name] is None:
            raise CommandFailed(f"aws: Stack with id {name} does not exist")
        outputs = self.of_main if name == "snapback" else {"ConcurrencyTemplateId": "EXT1"}
        return json.dumps({"Stacks": [{
            "StackStatus": self.statuses[name],
            "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in outputs.items()],
            "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in self.parameters.items()],
        }]})  # fmt: skip

    def snapback(self, *_: str, **__: Any) -> str:
        if self.invalid:
            raise CommandFailed("snapback check -: duration: missing")
        return ""


def deploy(account: Account, *words: str, experiment: str = "") -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        deploy_fis.deploy(account.tools(), "snapback", deploy_fis.parse(list(words), experiment))
    return out.getvalue()


class Deployment(unittest.TestCase):
    def test_a_new_stack_gets_the_prefix_of_the_snapback_stack(self) -> None:
        account = Account()
        said = deploy(account, *NEEDED)
        self.assertEqual(
            account.overrides, {"Prefix": "chaos", "TargetFunction": "checkout", "StopAlarm": "checkout-errors"}
        )
        self.assertIn("aws fis start-experiment --experiment-template-id EXT1   # Concurrency", said)

    def test_an_update_needs_no_parameters(self) -> None:
        account = Account(fis="UPDATE_COMPLETE", TargetFunction="checkout", StopAlarm="checkout-errors")
        deploy(account)
        self.assertEqual(account.overrides, {"Prefix": "chaos"})

    def test_a_stack_whose_creation_failed_is_replaced(self) -> None:
        account = Account(fis="ROLLBACK_COMPLETE")
        deploy(account, *NEEDED)
        self.assertEqual(account.calls, ["delete-stack", "wait stack-delete-complete", "deploy"])

    def test_nothing_is_deployed_without_a_snapback_stack(self) -> None:
        self.refused(Account(main=None), Refused, "there is no snapback stack snapback; deploy it first: make deploy", *NEEDED)

    def test_a_snapback_stack_of_an_earlier_release_is_updated_first(self) -> None:
        account = Account()
        del account.of_main["RecordsActors"]
        self.refused(account, Refused, "the stack snapback is of an earlier release; update it first: make deploy", *NEEDED)

    def test_a_stack_in_progress_is_left_alone(self) -> None:
        self.refused(Account(fis="UPDATE_IN_PROGRESS"), Refused, "wait until that has ended", *NEEDED)

    def test_a_bad_parameter_is_refused_with_name_value_and_fix(self) -> None:
        for words, says in (
            ((), 'a new stack needs TargetFunction and StopAlarm; write PARAMETERS="TargetFunction=... StopAlarm=..."'),
            ((NEEDED[0],), "a new stack needs StopAlarm"),
            (("TargetFunction=arn:aws:lambda:x", NEEDED[1]), "TargetFunction=`arn:aws:lambda:x`: write the name of a function"),
            ((*NEEDED, "DemoDuration=5m"), "DemoDuration=`5m`: write an ISO 8601 duration"),
            ((*NEEDED, "Prefix=x"), "there is no parameter Prefix"),
            ((*NEEDED, "HandlerLayer=arn:aws:lambda:eu-west-1:123456789012:layer:a:1"), "there is no Handler"),
        ):
            with self.subTest(says):
                self.refused(Account(), InvalidParameter, says, *words)

    def test_an_experiment_is_checked_before_the_upload(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "experiment.json")
            self.refused(Account(), InvalidParameter, "it cannot be read: No such file", *NEEDED, experiment=str(file))
            file.write_text("name: yaml\n")
            self.refused(Account(), InvalidParameter, "it is not JSON", *NEEDED, experiment=str(file))
            file.write_text(json.dumps({"name": "x" * 4096}))
            self.refused(Account(), InvalidParameter, "it has 4108 bytes, and Parameter Store takes 4096", *NEEDED, experiment=str(file))
            file.write_text('{\n  "name": "é"\n}\n')
            account = Account()
            account.invalid = True
            self.refused(account, InvalidParameter, "EXPERIMENT is not a valid experiment", *NEEDED, experiment=str(file))
            account.invalid = False
            deploy(account, *NEEDED, experiment=str(file))
            self.assertEqual(account.overrides["Experiment"], '{"name": "é"}')

    def refused(self, account: Account, kind: type[Exception], says: str, *words: str, experiment: str = "") -> None:
        with self.assertRaisesRegex(kind, re.escape(says)):
            deploy(account, *words, experiment=experiment)
        self.assertEqual(account.calls, [])


class Documentation(unittest.TestCase):
    def test_the_documented_template_is_what_the_api_takes(self) -> None:
        page = (deploy_fis.TEMPLATE.parents[1] / "docs" / "fis.md").read_text(encoding="utf-8")
        found = re.search(r"create-experiment-template --cli-input-json '(.*?)'", page, re.DOTALL)
        assert found is not None
        made = json.loads(found[1])
        service = botocore.loaders.Loader().load_service_model("fis", "service-2")
        shape = botocore.model.ServiceModel(service).operation_model("CreateExperimentTemplate").input_shape
        # The AWS command line adds the token.
        report = botocore.validate.ParamValidator().validate({**made, "clientToken": "t"}, shape)
        self.assertFalse(report.has_errors(), report.generate_report())
        (action,) = made["actions"].values()
        self.assertEqual(json.loads(action["parameters"]["documentParameters"]), {"Experiment": "/snapback/experiments/search-is-slow"})


if __name__ == "__main__":
    unittest.main()

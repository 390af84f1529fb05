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
import yaml
from deploy import InvalidParameter, Refused
from deployed import CommandFailed, Tools

NEEDED = ("TargetFunction=checkout", "StopAlarm=checkout-errors")


class Intrinsic(yaml.SafeLoader):
    """Reads `!Name value` as {"Name": value}."""


def read_intrinsic(loader: Intrinsic, name: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {name: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_mapping(node, deep=True)}


Intrinsic.add_multi_constructor("!", read_intrinsic)


def demo_faults(resource: str, **given: str) -> Any:
    """Returns the faults of a demo's experiment, as CloudFormation writes it with these parameters."""
    # Intrinsic is a SafeLoader, which creates no objects.
    template = yaml.load(deploy_fis.TEMPLATE.read_text(encoding="utf-8"), Loader=Intrinsic)  # noqa: S506
    defaults = {name: str(each.get("Default", "x")) for name, each in template["Parameters"].items()}
    names = {**defaults, "TargetFunction": "checkout", "StopAlarm": "errors", **given}
    text = evaluated(template["Resources"][resource]["Properties"]["Value"], names, template["Conditions"])
    return json.loads(text)["faults"]


def evaluated(value: Any, names: dict[str, str], conditions: dict[str, Any]) -> Any:
    """Evaluates the intrinsic functions that the experiments use: Sub, If, Not, Equals and Ref."""

    def inner(each: Any) -> Any:
        return evaluated(each, names, conditions)

    match value:
        case {"Sub": [str(text), dict(more)]}:
            return replaced(text, {**names, **{name: inner(each) for name, each in more.items()}})
        case {"Sub": str(text)}:
            return replaced(text, names)
        case {"If": [condition, then, otherwise]}:
            return inner(then if inner(conditions[condition]) else otherwise)
        case {"Not": [negated]}:
            return not inner(negated)
        case {"Equals": [left, right]}:
            return inner(left) == inner(right)
        case {"Ref": name}:
            return names[name]
        case _:
            return value


def replaced(text: str, names: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda found: names[found[1]], text)


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

    def snapback(self, *arguments: str, stdin: str = "") -> str:
        """Prints YAML as JSON, in several lines."""
        assert arguments == ("check", "-", "--print-json"), arguments
        if self.invalid:
            raise CommandFailed("snapback check -: duration: missing")
        return json.dumps(yaml.safe_load(stdin), indent=2)


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

    def test_the_handler_demo_is_the_chaos_handler_or_the_users(self) -> None:
        layer = "arn:aws:lambda:eu-west-1:123456789012:layer:a:1"
        for given, handler in (
            ({}, {"exception": {"message": "injected by snapback"}}),
            ({"Handler": "a.b"}, {"handler": "a.b", "layers": []}),
            ({"Handler": "a.b", "HandlerLayer": layer}, {"handler": "a.b", "layers": [layer]}),
        ):
            with self.subTest(given):
                self.assertEqual(demo_faults("HandlerExperiment", **given), [{"handler": handler}])

    def test_an_experiment_is_checked_before_the_upload(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "experiment.json")
            self.refused(Account(), InvalidParameter, "it cannot be read: No such file", *NEEDED, experiment=str(file))
            file.write_bytes(b"name: \xff\n")
            self.refused(Account(), InvalidParameter, "it is not text in UTF-8; save it as UTF-8", *NEEDED, experiment=str(file))
            for text in (json.dumps({"name": "x" * 4096}), f"name: {'x' * 4096}"):
                file.write_text(text)
                too_long = "it has 4108 bytes as JSON, and Parameter Store takes 4096; name fewer targets"
                self.refused(Account(), InvalidParameter, too_long, *NEEDED, experiment=str(file))
            file.write_text('{\n  "name": "é"\n}\n')
            account = Account()
            account.invalid = True
            self.refused(account, InvalidParameter, "EXPERIMENT is not a valid experiment", *NEEDED, experiment=str(file))
            account.invalid = False
            deploy(account, *NEEDED, experiment=str(file))
            self.assertEqual(account.overrides["Experiment"], '{"name": "é"}')

    def test_an_experiment_in_yaml_is_uploaded_as_json(self) -> None:
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "experiment.yaml")
            file.write_text("# a comment\nname: é\ntargets:\n  - function: checkout\n", encoding="utf-8")
            account = Account()
            deploy(account, *NEEDED, experiment=str(file))
            self.assertEqual(account.overrides["Experiment"], '{"name": "é", "targets": [{"function": "checkout"}]}')
            account = Account()
            account.invalid = True
            says = "EXPERIMENT is not a valid experiment: snapback check -: duration: missing"
            self.refused(account, InvalidParameter, says, *NEEDED, experiment=str(file))

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

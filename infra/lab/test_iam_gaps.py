"""Tests the mended IAM evaluation of the emulator against AWS's models of the requests."""

from __future__ import annotations

import re
import types
import unittest
from pathlib import Path
from typing import Any

import botocore.session
import iam_gaps
import iam_roles
import iam_tables
from ministack.core import iam_actions, iam_evaluator
from ministack.services import lambda_svc, tagging
from ministack.services.cloudformation import provisioners

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
# Operations whose IAM action has another name (service-authorization/latest/reference/list_awslambda).
OPERATIONS = {"GetLayerVersion": "GetLayerVersionByArn", "InvokeFunction": "Invoke"}


def closed() -> tuple[Any, Any]:
    """Returns copies of ministack's modules without the gaps."""
    actions = types.SimpleNamespace(**vars(iam_actions))
    evaluator = types.SimpleNamespace(**vars(iam_evaluator))
    iam_gaps.close(actions, evaluator, tagging, lambda_svc)
    return actions, evaluator


def allowed(service: str) -> set[str]:
    """Returns the actions of a service that the template's roles allow."""
    return set(re.findall(rf"\b{service}:([A-Z]\w+)\b", TEMPLATE.read_text())) - {"FunctionArn"}


class GapsTest(unittest.TestCase):
    def test_each_action_of_the_template_is_asked_for(self) -> None:
        actions, _ = closed()
        model = botocore.session.get_session().get_service_model("lambda")
        self.assertIn("UpdateEventSourceMapping", allowed("lambda"))
        for action in allowed("lambda"):
            with self.subTest(action):
                http = model.operation_model(OPERATIONS.get(action, action)).http
                path, _, query = re.sub(r"{\w+}", "sample", http["requestUri"]).partition("?")
                names = {"Arn": ["sample"]} if query else {}
                asked = actions.extract_iam_action("lambda", http["method"], path, {}, b"", names)
                self.assertEqual(asked, f"lambda:{action}")

    def test_cloudwatch_calls_in_cbor_are_evaluated(self) -> None:
        actions, _ = closed()
        for action in allowed("cloudwatch"):
            call = ("monitoring", "POST", f"/service/GraniteServiceVersion20100801/operation/{action}", {}, b"\xbf", {})
            self.assertEqual(actions.extract_iam_action(*call), f"cloudwatch:{action}")
            self.assertEqual(actions.extract_resource_arn(*call, "us-east-1", "000000000000"), "*")

    def test_a_layer_version_is_the_resource_of_its_read(self) -> None:
        actions, _ = closed()
        layer = "arn:aws:lambda:us-east-1:000000000000:layer:money:3"
        call = ("lambda", "GET", "/2018-10-31/layers", {}, b"", {"find": ["LayerVersion"], "Arn": [layer]})
        self.assertEqual(actions.extract_resource_arn(*call, "us-east-1", "000000000000"), layer)
        # Without an ARN, it is the list of layers.
        self.assertEqual(actions.extract_iam_action("lambda", "GET", "/2018-10-31/layers", {}, b"", {}), "lambda:ListLayers")

    def test_a_table_gap_that_is_closed_is_refused_by_its_name(self) -> None:
        evaluator = types.SimpleNamespace(**{**vars(iam_evaluator), "_RESOURCE_POLICY_LOOKUPS": {}})
        table = types.SimpleNamespace(_resource_policies={})
        handlers = {name: dict(handler) for name, handler in provisioners._RESOURCE_HANDLERS.items()}
        iam_tables.close(evaluator, table, types.SimpleNamespace(_RESOURCE_HANDLERS=handlers))
        with self.assertRaisesRegex(iam_gaps.GapClosed, "aws:PrincipalArn of a session"):
            iam_tables.compare_the_role(evaluator)
        with self.assertRaisesRegex(iam_gaps.GapClosed, "the policies of tables"):
            iam_tables.evaluate_policies(evaluator, table)

        def create_table(properties: Any) -> Any:
            return properties["ResourcePolicy"]

        handlers["AWS::DynamoDB::Table"].update(create=create_table, update=create_table)
        with self.assertRaisesRegex(iam_gaps.GapClosed, "the ResourcePolicy of AWS::DynamoDB::Table"):
            iam_tables.take_policies_from_templates(table, types.SimpleNamespace(_RESOURCE_HANDLERS=handlers))

    def test_a_service_with_other_parameters_is_refused_by_its_name(self) -> None:
        def _call_lambda(func_ref: str, event: Any, role: str) -> None: ...

        with self.assertRaisesRegex(RuntimeError, "_call_lambda takes other parameters"):
            iam_roles.taking(_call_lambda, "func_ref", "event")

    def test_a_closed_gap_is_refused_by_its_name(self) -> None:
        actions, evaluator = closed()
        with self.assertRaisesRegex(iam_gaps.GapClosed, "layers: .*GetLayerVersion.* correct or remove the gap"):
            iam_gaps.close(actions, evaluator, tagging, lambda_svc)


if __name__ == "__main__":
    unittest.main()

"""Makes the emulator evaluate the policies of tables.

ministack ignores a table's policy in a template, and stores one from PutResourcePolicy without evaluating it. It also compares
aws:PrincipalArn with the session's ARN, where AWS compares the role's (IAM/latest/UserGuide/reference_policies_condition-keys).
"""

from __future__ import annotations

import inspect
import json
from typing import Any, Callable

from iam_gaps import ACCOUNT, REGION, prove

SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/sample/session"


def close(evaluator: Any, dynamodb: Any, provisioners: Any) -> None:
    """Closes these gaps in the modules of ministack."""
    compare_the_role(evaluator)
    evaluate_policies(evaluator, dynamodb)
    take_policies_from_templates(dynamodb, provisioners)


def compare_the_role(evaluator: Any) -> None:
    resolve = evaluator._resolve_condition_key
    sample = evaluator.EvalContext(SESSION, "AssumedRole", ACCOUNT, "dynamodb:PutItem", "*", REGION)
    prove("aws:PrincipalArn of a session", resolve("aws:PrincipalArn", sample), SESSION)

    def resolve_condition_key(key: str, context: Any) -> Any:
        if key.lower() == "aws:principalarn" and context.principal_type == "AssumedRole":
            name = context.principal_arn.split("/")[1]
            return f"arn:aws:iam::{context.principal_account}:role/{name}"
        return resolve(key, context)

    evaluator._resolve_condition_key = resolve_condition_key


def evaluate_policies(evaluator: Any, dynamodb: Any) -> None:
    lookups = evaluator._RESOURCE_POLICY_LOOKUPS
    prove("the policies of tables", lookups.get("dynamodb"), None)

    def table_policy_for_arn(arn: str) -> tuple[str, str] | None:
        # A table's indexes have its policy.
        stored = dynamodb._resource_policies.get(arn.partition("/index/")[0])
        return (stored["Policy"], arn.split(":")[4]) if stored else None

    dynamodb.table_policy_for_arn = table_policy_for_arn
    lookups["dynamodb"] = ("dynamodb", "table_policy_for_arn")


def take_policies_from_templates(dynamodb: Any, provisioners: Any) -> None:
    kind = "AWS::DynamoDB::Table"
    handlers = provisioners._RESOURCE_HANDLERS[kind]
    source = inspect.getsource(handlers["create"]) + inspect.getsource(handlers["update"])
    prove(f"the ResourcePolicy of {kind}", "ResourcePolicy" in source, False)

    def put(physical_id: str, properties: dict[str, Any]) -> None:
        policy = properties.get("ResourcePolicy")
        if policy:
            table = dynamodb._tables[physical_id]["TableArn"]
            dynamodb._put_resource_policy({"ResourceArn": table, "Policy": json.dumps(policy["PolicyDocument"])})

    create: Callable[..., Any] = handlers["create"]
    update: Callable[..., Any] = handlers["update"]

    def create_with_policy(logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        made = create(logical_id, properties, stack)
        put(made[0], properties)
        return made

    def update_with_policy(physical_id: str, old: Any, new: dict[str, Any], *rest: Any, **more: Any) -> Any:
        made = update(physical_id, old, new, *rest, **more)
        put(made[0], new)
        return made

    handlers.update(create=create_with_policy, update=update_with_policy)

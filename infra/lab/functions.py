"""Creates the lab's target functions, which are configured like functions in production, with nothing only for chaos.

Each has a reserved concurrency, two layers whose code it imports, an environment with a wrapper, a log level and a secret, tags, its
own log group and its own alarm.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import archive
import network
from account import Account
from deployment import architecture

CODE = Path(__file__).parent
RUNTIME = "python3.12"
NODE_RUNTIME = "nodejs24.x"
ROLE = "lab-target"
RESERVED_CONCURRENCY = 5
GREETING = "lab-greeting"
LAYERS = {
    "lab-money": "money",
    "lab-telemetry": "telemetry",
    # Experiments add this one; no function has it.
    "lab-chaos-wrapper": "chaos_wrapper",
    # A deployment adds this one during an experiment.
    GREETING: "greeting",
}


class FunctionFailed(Exception):
    """A function of the lab responded with an error that no experiment has injected."""


@dataclass(frozen=True)
class Alarm:
    """An alarm on one of the metrics that Lambda writes for the function."""

    suffix: str
    metric: str
    statistic: str
    threshold: float


@dataclass(frozen=True)
class Target:
    """A function of the lab."""

    name: str
    code: str
    layers: tuple[str, str]
    alarm: Alarm
    description: str
    environment: dict[str, str] = field(default_factory=dict)
    runtime: str = RUNTIME
    # The DynamoDB table that it writes to, if any.
    table: str = ""

    @property
    def file(self) -> str:
        """The name of its code's file, in the folder of the targets with the target's name for `app`."""
        return "app.py" if self.runtime == RUNTIME else "app.mjs"

    @property
    def alarm_name(self) -> str:
        return f"{self.name}-{self.alarm.suffix}"

    @property
    def log_group(self) -> str:
        return f"/lab/{self.code}"


CHECKOUT = Target(
    "lab-checkout",
    "checkout",
    ("lab-money", "lab-telemetry"),
    Alarm("throttles", "Throttles", "Sum", 20),
    "Adds up a basket",
    {"SHIPPING_FEE": "4.90"},
)
PAYMENT = Target(
    "lab-payment",
    "payment",
    # In reverse order, because a restore has to keep the order.
    ("lab-telemetry", "lab-money"),
    Alarm("errors", "Errors", "Sum", 10),
    "Takes a payment",
)
SEARCH = Target(
    "lab-search",
    "search",
    ("lab-money", "lab-telemetry"),
    Alarm("errors", "Errors", "Sum", 10),
    "Finds products by price",
)
STOCK = Target(
    "lab-stock",
    "stock",
    ("lab-telemetry", "lab-money"),
    Alarm("slow", "Duration", "Maximum", 8000),
    "Reserves stock",
)
RECEIPT = Target(
    "lab-receipt",
    "receipt",
    ("lab-money", "lab-telemetry"),
    Alarm("slow", "Duration", "Maximum", 8000),
    "Writes a receipt",
)
INVOICE = Target(
    "lab-invoice",
    "invoice",
    ("lab-telemetry", "lab-money"),
    Alarm("errors", "Errors", "Sum", 10),
    "Sends an invoice",
    runtime=NODE_RUNTIME,
)
ORDERS = Target(
    "lab-orders",
    "orders",
    ("lab-money", "lab-telemetry"),
    Alarm("errors", "Errors", "Sum", 3),
    "Writes an order into a table",
    {"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "3"},
    table="lab-orders",
)
TARGETS = (CHECKOUT, PAYMENT, INVOICE, SEARCH, STOCK, RECEIPT)
if network.is_separate():
    # Only there does DynamoDB's name lead to the emulator.
    TARGETS = (*TARGETS, ORDERS)


def create_all(account: Account) -> None:
    """Creates layers, functions and alarms, and waits until the functions are active."""
    role = create_role(account)
    layers = {name: publish_layer(account, name, directory) for name, directory in LAYERS.items()}
    for target in TARGETS:
        create(account, target, role, layers)
    waiter = account.client("lambda").get_waiter("function_active_v2")
    for target in TARGETS:
        waiter.wait(FunctionName=target.name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})


def create_role(account: Account) -> str:
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
    iam = account.client("iam")
    created = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=json.dumps(trust))
    logs = {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": "arn:aws:logs:*:*:log-group:/lab/*",
    }
    orders = {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": f"arn:aws:dynamodb:*:*:table/{ORDERS.table}"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [logs, orders]})
    iam.put_role_policy(RoleName=ROLE, PolicyName="functions", PolicyDocument=policy)
    return str(created["Role"]["Arn"])


def publish_layer(account: Account, name: str, directory: str) -> str:
    published = account.client("lambda").publish_layer_version(
        LayerName=name,
        Content={"ZipFile": archive.of_directory(CODE / "layers" / directory)},
        CompatibleRuntimes=[RUNTIME, NODE_RUNTIME],
        CompatibleArchitectures=["x86_64", "arm64"],
    )
    return str(published["LayerVersionArn"])


def create(account: Account, target: Target, role: str, layers: dict[str, str]) -> None:
    if target.table:
        create_table(account, target.table)
    create_log_group(account, target)
    create_function(account, target, role, layers)
    create_alarm(account, target)


def create_function(account: Account, target: Target, role: str, layers: dict[str, str]) -> None:
    functions = account.client("lambda")
    functions.create_function(
        FunctionName=target.name,
        Description=target.description,
        Runtime=target.runtime,
        Architectures=[architecture()],
        Handler="app.handler",
        Role=role,
        Code={"ZipFile": archive.of_file((CODE / "targets" / target.code).with_suffix(Path(target.file).suffix), target.file)},
        Layers=[layers[name] for name in target.layers],
        Environment={"Variables": environment(target, account)},
        Timeout=30,
        MemorySize=256,
        EphemeralStorage={"Size": 1024},
        TracingConfig={"Mode": "Active"},
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "LogGroup": target.log_group},
        Tags={"chaos": "allowed", "team": "shop", "service": target.code},
    )
    functions.put_function_concurrency(FunctionName=target.name, ReservedConcurrentExecutions=RESERVED_CONCURRENCY)


def environment(target: Target, account: Account) -> dict[str, str]:
    variables = {
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/telemetry-wrapper",
        "RUST_LOG": "info",
        "SERVICE_NAME": target.code,
        # Random each time, so that no file contains anything that looks like a key.
        "PROVIDER_API_KEY": f"key-{secrets.token_urlsafe(32)}",
        **target.environment,
    }
    if target.table:
        variables |= {"TABLE": target.table, "AWS_ENDPOINT_URL_DYNAMODB": f"http://{network.TABLES}:{account.port}"}
    return variables


def create_table(account: Account, name: str) -> None:
    account.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def create_log_group(account: Account, target: Target) -> None:
    logs = account.client("logs")
    logs.create_log_group(logGroupName=target.log_group)
    logs.put_retention_policy(logGroupName=target.log_group, retentionInDays=14)


def create_alarm(account: Account, target: Target) -> None:
    account.client("cloudwatch").put_metric_alarm(
        AlarmName=target.alarm_name,
        AlarmDescription=f"{target.name}: {target.alarm.metric}",
        Namespace="AWS/Lambda",
        MetricName=target.alarm.metric,
        Dimensions=[{"Name": "FunctionName", "Value": target.name}],
        Statistic=target.alarm.statistic,
        Period=60,
        EvaluationPeriods=1,
        Threshold=target.alarm.threshold,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )


def invoke(account: Account, target: Target) -> dict[str, Any]:
    """Returns the function's response to an empty event. An error inside the function raises a FunctionFailed."""
    response = account.client("lambda").invoke(FunctionName=target.name, Payload=b"{}")
    payload = json.loads(response["Payload"].read())
    if "FunctionError" in response:
        raise FunctionFailed(f"{target.name} failed: {payload.get('errorMessage')}")
    return dict(payload)

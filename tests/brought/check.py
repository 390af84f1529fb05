"""Runs events/handler-chaos-lambda.json: the `handler` fault with a layer that contains chaos_lambda from PyPI.

    check.py LAB

LAB is the name of a lab that is up. The package reads its configuration from SSM with the function's role, so the test gives the role
this right for as long as it runs.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent / "infra" / "lab"), str(TESTS)]

import archive  # noqa: E402
import comparison  # noqa: E402
import functions  # noqa: E402
from account import Account  # noqa: E402
from deployment import CLI, ROOT, STACK  # noqa: E402
from lab_parts import PATIENCE_SECONDS, eventually, found_lab, layer_version  # noqa: E402
from stage import STOPPED  # noqa: E402
from traffic import Traffic, count  # noqa: E402

SAMPLE = ROOT / "events" / "handler-chaos-lambda.json"
PACKAGE = Path(sys.prefix) / "chaos-lambda"
ORDERS = replace(functions.PAYMENT, name="brought-orders", code="payment")
LAYER, PARAMETER, RIGHT = "chaos-lambda", "chaoslambda.config", "chaos-lambda"
MESSAGE = "chaos_lambda has raised this"
CLEAN_REQUESTS = 12


def main() -> int:
    emulated = found_lab(sys.argv[1])
    made = emulated.account
    layer = publish_layer(made)
    create_function(made)
    before = comparison.read(made, ORDERS.name)
    experiment = emulated.directory / SAMPLE.name
    experiment.write_text(json.dumps(sample(layer)))
    with configured(made), Traffic(made, ORDERS.name, senders=4, per_second=8) as traffic:
        eventually("the alarm is OK", lambda: state(made) == "OK")
        command = [str(CLI), "run", str(experiment), "--name", "chaos-lambda", "--stack", STACK]
        done = subprocess.run(
            command, env=made.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS
        )
        assert done.returncode == STOPPED, f"{done.returncode}: {done.stdout}{done.stderr}"
        eventually("the function responds again", lambda: count(traffic.responses[-CLEAN_REQUESTS:]).answered == CLEAN_REQUESTS)
    check_log(made, traffic.counts.failed)
    eventually("the last update", lambda: comparison.is_updated(made, ORDERS.name))
    differences = comparison.differences(before, comparison.read(made, ORDERS.name))
    assert not differences, f"not as before: {[difference.field for difference in differences]}"
    print(f"{traffic.counts}; restored exactly")
    return 0


def publish_layer(made: Account) -> str:
    """Publishes a layer with the package, as `pip install --target` has laid it, and with the handler for it."""
    assert PACKAGE.exists(), f"{PACKAGE} is not installed; run `make tools-lab`"
    folders = (PACKAGE, Path(__file__).parent / "layer")
    files = [(str(file.relative_to(folder)), file) for folder in folders for file in sorted(folder.rglob("*.py"))]
    made.client("lambda").publish_layer_version(
        LayerName=LAYER, Content={"ZipFile": archive.pack(files)}, CompatibleRuntimes=[functions.RUNTIME]
    )
    return layer_version(made, LAYER)


def create_function(made: Account) -> None:
    """Creates a function like the lab's, and its alarm."""
    role = made.client("iam").get_role(RoleName=functions.ROLE)["Role"]["Arn"]
    functions.create_function(made, ORDERS, role, {name: layer_version(made, name) for name in ORDERS.layers})
    functions.create_alarm(made, ORDERS)
    waiter = made.client("lambda").get_waiter("function_active_v2")
    waiter.wait(FunctionName=ORDERS.name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})


def sample(layer: str) -> dict[str, Any]:
    """Returns the sample with the names of this lab."""
    experiment = dict(json.loads(SAMPLE.read_text()))
    experiment["targets"] = [{"function": ORDERS.name}]
    experiment["faults"][0]["handler"]["layers"] = [layer]
    experiment["stopConditions"] = [{"alarm": ORDERS.alarm_name}]
    return experiment


@contextlib.contextmanager
def configured(made: Account) -> Iterator[None]:
    """Writes the package's parameter, and lets the function's role read it."""
    value = {"fault_type": "exception", "is_enabled": True, "exception_msg": MESSAGE, "rate": 0.5}
    made.client("ssm").put_parameter(Name=PARAMETER, Type="String", Value=json.dumps(value))
    # The emulator asks for this right on every resource, where AWS asks for it on the parameter.
    right = {"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [right]})
    made.client("iam").put_role_policy(RoleName=functions.ROLE, PolicyName=RIGHT, PolicyDocument=policy)
    try:
        yield
    finally:
        made.client("iam").delete_role_policy(RoleName=functions.ROLE, PolicyName=RIGHT)
        made.client("ssm").delete_parameter(Name=PARAMETER)


def state(made: Account) -> str:
    return str(made.client("cloudwatch").describe_alarms(AlarmNames=[ORDERS.alarm_name])["MetricAlarms"][0]["StateValue"])


def check_log(made: Account, failed: int) -> None:
    """Checks that every failure that the traffic saw is an exception of the package, raised in its own file."""
    pages = made.client("logs").get_paginator("filter_log_events").paginate(logGroupName=ORDERS.log_group)
    lines = [event["message"] for page in pages for event in page["events"] if MESSAGE in event["message"]]
    errors = [json.loads(line) for line in lines if line.startswith("{") and '"stackTrace"' in line]
    assert 0 < failed == len(errors), f"{failed} requests failed, and the log has {len(errors)} errors: {lines[:3]}"
    assert all("/opt/python/chaos_lambda.py" in error["stackTrace"][-1] for error in errors), errors[0]


if __name__ == "__main__":
    sys.exit(main())

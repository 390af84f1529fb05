"""Runs every common failure of events/failures as `snapback init` writes it: all at the same time, each on its own function.

    check.py LAB

LAB is the name of a lab that is up. Requests and messages must meet each failure, and after one rollback of all of them, each function
must work and have the configuration that it had before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent / "infra" / "lab"), str(TESTS)]

import archive  # noqa: E402
import comparison  # noqa: E402
import functions  # noqa: E402
from account import Account  # noqa: E402
from deployment import CLI, ROOT, STACK, architecture  # noqa: E402
from scenarios import MEMORY_MB, SCENARIOS, Scenario, Shop  # noqa: E402

from lab_parts import PATIENCE_SECONDS, eventually, found_lab  # noqa: E402

PREFIX = "failures-"
TABLE = f"{PREFIX}orders"
FILES = ROOT / "events" / "failures"


def main() -> int:
    files = {file.stem for file in FILES.glob("*.yaml")}
    assert files == set(SCENARIOS), f"add a scenario, or delete one: {files ^ set(SCENARIOS)}"
    emulated = found_lab(sys.argv[1])
    made = emulated.account
    began = time.monotonic()
    create_table(made)
    role = create_role(made)
    shops = each(lambda name: create(made, name, role))
    before = {name: comparison.read(made, shop.function) for name, shop in shops.items()}
    report(began, "the functions are created")
    each(lambda name: feel(shops[name], SCENARIOS[name], name, emulated.directory))
    report(began, "all failures are felt")
    for name, shop in shops.items():
        SCENARIOS[name].remains(shop)
    code, said = snapback(made, "rollback", "--all")
    assert code == 0, said
    report(began, "all are rolled back")
    each(lambda name: check_restored(shops[name], SCENARIOS[name], before[name]))
    report(began, f"{len(shops)} failures")
    return 0


def report(began: float, what: str) -> None:
    print(f"{time.monotonic() - began:5.1f} s  {what}", flush=True)


def each(act: Callable[[str], Any]) -> dict[str, Any]:
    """Does something for all failures at the same time, and returns the results. Every failed one is printed."""

    def tried(name: str) -> tuple[bool, Any]:
        try:
            return True, act(name)
        except Exception:  # noqa: BLE001
            return False, print(f"FAILED {name}\n{traceback.format_exc()}", flush=True)

    with ThreadPoolExecutor(len(SCENARIOS)) as pool:
        results = dict(zip(SCENARIOS, pool.map(tried, SCENARIOS)))
    failed = [name for name, (succeeded, _) in results.items() if not succeeded]
    assert not failed, failed
    return {name: result for name, (_, result) in results.items()}


def feel(shop: Shop, scenario: Scenario, name: str, directory: Path) -> None:
    """Starts the experiment, and checks what requests meet as soon as its fault is in place."""
    code, experiment = snapback(shop.account, "init", name, "--function", shop.function)
    assert code == 0, experiment
    file = directory / f"{name}.yaml"
    file.write_text(experiment)
    code, said = snapback(shop.account, "run", str(file), "--name", shop.function, "--detach")
    assert code == 0, said
    scenario.felt(shop)


def check_restored(shop: Shop, scenario: Scenario, before: dict[str, Any]) -> None:
    _, said = snapback(shop.account, "report", shop.function, "--json")
    [target] = json.loads(said)["targets"]
    assert target["status"] == "restored", target
    eventually(f"the last update of {shop.function}", lambda: comparison.is_updated(shop.account, shop.function))
    differences = comparison.differences(before, comparison.read(shop.account, shop.function))
    assert not differences, [difference.field for difference in differences]
    scenario.works(shop)


def snapback(made: Account, *arguments: str) -> tuple[int, str]:
    """Returns the exit code of the command line and its output; if that is empty, its errors."""
    stack = () if arguments[0] == "init" else ("--stack", STACK)
    command = [str(CLI), *arguments, *stack]
    done = subprocess.run(
        command, env=made.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE_SECONDS
    )
    return done.returncode, done.stdout or done.stderr


# ----------------------------------------------------------------------------------------------------- what it needs


def create_table(made: Account) -> None:
    made.client("dynamodb").create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "number", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "number", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def create_role(made: Account) -> str:
    """Creates the functions' role. It may read any table, so that a wrong name is not hidden by a missing right."""
    lambda_service = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    reads = ["dynamodb:GetItem", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    logs = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    rights = {"Effect": "Allow", "Action": reads + logs, "Resource": "*"}
    iam = made.client("iam")
    role = iam.create_role(RoleName=TABLE, AssumeRolePolicyDocument=policy(lambda_service))["Role"]
    iam.put_role_policy(RoleName=TABLE, PolicyName="shop", PolicyDocument=policy(rights))
    return str(role["Arn"])


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def create(made: Account, name: str, role: str) -> Shop:
    """Creates the function of a failure, and the queue that it reads if the failure is about one."""
    shop = Shop(made, f"{PREFIX}{name}")
    lambdas = made.client("lambda")
    lambdas.create_function(
        FunctionName=shop.function,
        Runtime=functions.RUNTIME,
        Architectures=[architecture()],
        Handler="shop.handler",
        Role=role,
        Code={"ZipFile": archive.of_file(Path(__file__).with_name("shop.py"), "shop.py")},
        Environment={"Variables": {"TABLE_NAME": TABLE}},
        Timeout=30,
        MemorySize=MEMORY_MB,
        Tags={"chaos": "allowed"},
    )
    lambdas.get_waiter("function_active_v2").wait(FunctionName=shop.function, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    if SCENARIOS[name].visibility_seconds:
        create_queues(shop, SCENARIOS[name])
    return shop


def create_queues(shop: Shop, scenario: Scenario) -> None:
    sqs = shop.account.client("sqs")

    def create_queue(suffix: str, attributes: dict[str, str]) -> str:
        shop.queues.append(sqs.create_queue(QueueName=f"{shop.function}{suffix}", Attributes=attributes)["QueueUrl"])
        asked = sqs.get_queue_attributes(QueueUrl=shop.queues[-1], AttributeNames=["QueueArn"])
        return str(asked["Attributes"]["QueueArn"])

    attributes = {"VisibilityTimeout": str(scenario.visibility_seconds)}
    if scenario.dead_letters:
        redrive = {"deadLetterTargetArn": create_queue("-dead", {}), "maxReceiveCount": 1}
        attributes["RedrivePolicy"] = json.dumps(redrive)
    arn = create_queue("", attributes)
    shop.queues.reverse()
    mapping = shop.account.client("lambda").create_event_source_mapping(
        EventSourceArn=arn, FunctionName=shop.function, BatchSize=1, Tags={"chaos": "allowed"}
    )
    shop.mapping = mapping["UUID"]


if __name__ == "__main__":
    sys.exit(main())

"""Deploys a release's template from the CDK construct and from the Terraform module, and runs an experiment on each stack.

    check.py LAB

LAB is the name of a lab that is up.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "infra"), str(ROOT / "infra" / "lab"), str(ROOT / "tests")]

import archive  # noqa: E402
import release  # noqa: E402
from account import REGION, Account  # noqa: E402
from deployment import CLI, LAYERS, PACKAGE, architecture  # noqa: E402
from functions import ROLE, RUNTIME  # noqa: E402
from lab_parts import eventually, found_lab  # noqa: E402

BUCKET = "snapback-release"
NODE = ROOT / ".tools" / "cdk" / "bin" / "node"
MODULES = ROOT / ".tools" / "cdk" / "cdk" / "node_modules"
# checkov's parser of HCL.
HCL_PYTHON = ROOT / ".tools" / "validate" / "bin" / "python"
MODULE = ROOT / "infra" / "terraform" / "main.tf"
HANDLER = ROOT / "tests" / "rights" / "app.py"
BOUNDARY = "arn:aws:iam::aws:policy/AdministratorAccess"
NODE_SECONDS = 300


def main() -> int:
    emulated = found_lab(sys.argv[1])
    folder = emulated.directory / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    template = publish(emulated.account, folder)
    tasks: list[Callable[[], None]] = [
        lambda: from_the_cdk(emulated.account, folder, template),
        lambda: from_terraform(emulated.account),
    ]
    with ThreadPoolExecutor(len(tasks)) as pool:
        return 1 if any(pool.map(has_failed, tasks)) else 0


def has_failed(task: Callable[[], None]) -> bool:
    try:
        task()
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        return True
    return False


def publish(lab: Account, folder: Path) -> Path:
    """Copies the code to a bucket under the names of a release, and returns its template."""
    store = lab.client("s3")
    store.create_bucket(Bucket=BUCKET)
    by_name = {
        f"bootstrap-{architecture()}.zip": PACKAGE,
        **{f"proxy-{layer.name}": layer for layer in LAYERS if layer.stem != "handler"},
        **{layer.name: layer for layer in LAYERS if layer.stem == "handler"},
        release.STATE_MACHINE.name: release.STATE_MACHINE,
    }
    for name, file in by_name.items():
        store.upload_file(str(file), BUCKET, f"v{release.version()}/{name}")
    template = folder / "snapback.yaml"
    template.write_text(release.release_template(release.TEMPLATE.read_text(), release.version(), ""))
    store.upload_file(str(template), BUCKET, "snapback.yaml")
    return template


def parameters(prefix: str) -> dict[str, str]:
    return {
        "CodeBucket": BUCKET,
        "Prefix": prefix,
        "OptInTag": f"chaos={prefix}",
        "Architecture": architecture(),
        "EventBusName": "",
    }


# -------------------------------------------------------------------------------------------------------- the CDK


def from_the_cdk(lab: Account, folder: Path, template: Path) -> None:
    """Compiles the package, synthesizes an app with a stack, and deploys that."""
    package = folder / "cdk"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "infra" / "cdk", package)
    (package / "node_modules").symlink_to(MODULES)
    node(package, str(MODULES / "typescript" / "bin" / "tsc"), "-p", ".")
    given = parameters("by-cdk")
    node(package, "test/app.js", str(template), "out", "by-cdk", *(f"{name}={value}" for name, value in given.items()))
    text = (package / "out" / "by-cdk.template.json").read_text()
    synthesized = json.loads(text)
    # The construct has the template's parameters, except for those that have a value, and no others.
    own = re.findall(r"^  (\w+):$", template.read_text().split("\nParameters:\n")[1].split("\nConditions:\n")[0], re.MULTILINE)
    assert set(synthesized["Parameters"]) - {"BootstrapVersion"} == set(own) - set(given), synthesized["Parameters"]
    wrong = subprocess.run([str(NODE), "test/app.js", str(template), "wrong", "wrong", "TargetLimt=5"], cwd=package,
                           capture_output=True, text=True, timeout=NODE_SECONDS, check=False)  # fmt: skip
    assert wrong.returncode != 0 and "TargetLimt" in wrong.stderr, wrong.stderr[-500:]
    lab.client("s3").put_object(Bucket=BUCKET, Key="by-cdk.json", Body=text.encode())
    lab.client("ssm").put_parameter(Name="/cdk-bootstrap/hnb659fds/version", Type="String", Value="30", Overwrite=True)
    outputs = create(lab, "by-cdk", TemplateURL=url(lab, "by-cdk.json"), Capabilities=["CAPABILITY_IAM"])
    assert outputs["Machine"] == outputs["StateMachineArn"] and outputs["ViewerPolicyArn"] in outputs["Policies"], outputs
    tags = lab.client("lambda").get_function(FunctionName="by-cdk-rollback")["Tags"]
    assert tags["team"] == "platform" and tags["snapback"] == "control-plane", tags
    run(lab, "by-cdk")


def node(package: Path, *arguments: str) -> None:
    done = subprocess.run([str(NODE), *arguments], cwd=package, capture_output=True, text=True, timeout=NODE_SECONDS, check=False)
    assert done.returncode == 0, f"node {' '.join(arguments[:1])}: {done.stdout}{done.stderr}"


# ------------------------------------------------------------------------------------------------------- Terraform


def from_terraform(lab: Account) -> None:
    """Reads the module, and makes the call that its one resource describes."""
    command = "import hcl2, json, sys; print(json.dumps(hcl2.load(sys.stdin)))"
    with MODULE.open() as source:
        read = subprocess.run([str(HCL_PYTHON), "-c", command], stdin=source, capture_output=True, text=True, check=True)
    module = json.loads(read.stdout)
    defaults = {name: first(body.get("default")) for each in module["variable"] for name, body in each.items()}
    # The emulator creates the stack with both, and uses neither the key nor the boundary.
    key = lab.client("kms").create_key()["KeyMetadata"]["Arn"]
    given = {
        "name": "by-terraform",
        "template_url": url(lab, "snapback.yaml"),
        "parameters": {**parameters("by-terraform"), "DataKeyArn": key, "PermissionsBoundaryArn": BOUNDARY},
        "tags": {"team": "platform"},
        "notification_arns": [],
    }
    assert given.keys() == defaults.keys(), f"the test does not know the variables {sorted(defaults)}"
    [resource] = [body for each in module["resource"] for body in each["aws_cloudformation_stack"].values()]
    value = {name: resolved(first(each), {**defaults, **given}) for name, each in resource.items() if not name.startswith("__")}
    assert value.keys() == {*given, "capabilities"}, value.keys()
    outputs = create(
        lab,
        value["name"],
        TemplateURL=value["template_url"],
        Parameters=[{"ParameterKey": name, "ParameterValue": each} for name, each in value["parameters"].items()],
        Tags=[{"Key": key, "Value": each} for key, each in value["tags"].items()],
        NotificationARNs=value["notification_arns"],
        Capabilities=value["capabilities"],
    )
    [output] = [body for each in module["output"] for body in each.values()]
    assert "aws_cloudformation_stack.snapback.outputs" in first(output["value"]), output
    assert outputs["OperatorPolicyArn"], outputs
    run(lab, "by-terraform")


def first(value: Any) -> Any:
    """The parser puts each value into a list of one, which a list of texts already is."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def resolved(value: Any, variables: dict[str, Any]) -> Any:
    """Replaces `${var.NAME}`, which is all that the module's resource uses."""
    if isinstance(value, str) and (found := re.fullmatch(r"\$\{var\.(\w+)\}", value)):
        return variables[found[1]]
    return [value] if isinstance(value, str) and value.startswith("CAPABILITY_") else value


# ---------------------------------------------------------------------------------------------------------- stacks


def url(lab: Account, key: str) -> str:
    return f"{lab.endpoint}/{BUCKET}/{key}"


def create(lab: Account, name: str, **arguments: Any) -> dict[str, str]:
    """Creates a stack, and returns its outputs."""
    formation = lab.client("cloudformation")
    formation.create_stack(StackName=name, **arguments)

    def ended() -> Any:
        [stack] = formation.describe_stacks(StackName=name)["Stacks"]
        return None if stack["StackStatus"].endswith("_IN_PROGRESS") else stack

    stack = eventually(f"the stack {name} is created", ended)
    if stack["StackStatus"] != "CREATE_COMPLETE":
        events = formation.describe_stack_events(StackName=name)["StackEvents"]
        raise AssertionError([event.get("ResourceStatusReason") for event in events if "FAILED" in event["ResourceStatus"]])
    return {each["OutputKey"]: each["OutputValue"] for each in stack["Outputs"]}


def run(lab: Account, prefix: str) -> None:
    """Runs an experiment on a function, and checks that it is as before."""
    lambdas, name = lab.client("lambda"), f"{prefix}-target"
    lambdas.create_function(
        FunctionName=name,
        Runtime=RUNTIME,
        Handler="app.handler",
        Role=lab.client("iam").get_role(RoleName=ROLE)["Role"]["Arn"],
        Code={"ZipFile": archive.of_file(HANDLER, "app.py")},
        Tags={"chaos": prefix},
    )
    lambdas.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    experiment = {
        "name": prefix, "targets": [{"function": name}], "faults": [{"memory": {"megabytes": 256}}], "duration": "PT5S"
    }  # fmt: skip
    command = [str(CLI), "run", "-", "--stack", prefix, "--json"]
    environment = {**os.environ, **lab.environment(), "AWS_REGION": REGION}
    done = subprocess.run(command, input=json.dumps(experiment), capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, f"{done.returncode}: {done.stdout}{done.stderr}"
    memory = lambdas.get_function_configuration(FunctionName=name)["MemorySize"]
    assert memory == 128, f"{memory} MB"
    print(f"ok  {prefix}: deployed, and an experiment was restored")


if __name__ == "__main__":
    sys.exit(main())

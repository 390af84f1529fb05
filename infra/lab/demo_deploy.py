"""Demo 5: a release is deployed while the fault is in place. It survives the restore, and the report names it."""

from __future__ import annotations

import archive
import comparison
from functions import CODE, GREETING, RECEIPT
from runner import Run
from stage import DRIFTED, PROXY_FIELDS, Demo, Stage, configuration, show_response
from traffic import Traffic

DEMO = Demo(
    "demo 5: new code, a variable and a layer are deployed in the middle",
    "demo-5-deploy.json",
    RECEIPT,
    DRIFTED,
    PROXY_FIELDS,
)
RELEASE = ("RELEASE", "2")


def run(stage: Stage) -> None:
    target = DEMO.target
    stage.timeline.title(DEMO.title)
    before = show_response(stage, target, "before")
    released = {}
    with Traffic(stage.account, target.name) as traffic, Run(stage, DEMO) as run:
        # A change during the injection would end the run.
        if run.wait_for_fault() and run.wait_until(lambda: any("observing until" in line for line in run.output)):
            show_response(stage, target, "during")
            deploy(stage)
            released = show_response(stage, target, "released")
        run.finish()
    after = show_response(stage, target, "after")
    counts = traffic.counts
    stage.timeline.line("traffic", f"{target.name}: {counts.total} requests: {counts}")
    run.check_outcome()
    greets = "greeting" in after["body"] and "greeting" not in before["body"]
    stage.check(greets and after == released, "the release responds, during the run and after it")
    stage.check(counts.answered == counts.total, "no request failed, during the deployment and the restore")
    stage.check(any(" drift layers: " in line for line in run.output), "the report names the layers that were deployed")


def deploy(stage: Stage) -> None:
    """Deploys as a tool that reads the configuration, adds to it and writes it: the variable and the layer, then the code."""
    functions, name = stage.account.client("lambda"), DEMO.target.name
    now = configuration(stage, DEMO.target)
    layer = functions.list_layer_versions(LayerName=GREETING)["LayerVersions"][0]["LayerVersionArn"]
    functions.update_function_configuration(
        FunctionName=name,
        Environment={"Variables": {**now["Environment"]["Variables"], RELEASE[0]: RELEASE[1]}},
        Layers=[*(each["Arn"] for each in now["Layers"]), layer],
        RevisionId=now["RevisionId"],
    )
    updated = functions.get_waiter("function_updated_v2")
    updated.wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    code = archive.of_file(CODE / "targets" / f"{DEMO.target.code}_next.py", "app.py")
    functions.update_function_code(FunctionName=name, ZipFile=code)
    updated.wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    stage.timeline.line("lab", f"deployed: new code, the variable {RELEASE[0]}, the layer {GREETING}")
    expect(stage, comparison.read(stage.account, name))


def expect(stage: Stage, released: dict[str, object]) -> None:
    """Adds what was deployed to what the function must be at the end. Without the fault's layer, the new one moves up."""
    deployed = {
        "Configuration.CodeSha256": released["Configuration.CodeSha256"],
        "Configuration.CodeSize": released["Configuration.CodeSize"],
        f"Configuration.Environment.Variables.{RELEASE[0]}": RELEASE[1],
        "Configuration.Layers[2].Arn": released["Configuration.Layers[3].Arn"],
        "Configuration.Layers[2].CodeSize": released["Configuration.Layers[3].CodeSize"],
    }
    stage.expected[DEMO.target.name].update(deployed)
    stage.deployed[DEMO.target.name] = set(deployed)

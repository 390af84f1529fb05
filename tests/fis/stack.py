"""The stack of infra/fis.yaml in a lab, with a function, an alarm and a template for each scenario."""

from __future__ import annotations

import copy
import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from experiments import Fis
from roles import Roles

import archive
import comparison
import fis
import lab_parts
from deployment import CLI, ROOT, STACK, make_deploy_fis
from emulator import Emulator
from functions import ROLE, RUNTIME
from rights import RIGHTS

HANDLER = Path(__file__).parents[1] / "rights" / "app.py"
PREFIX = "snapback"
# A layer with a handler of the user, for the other scenarios: the demos use the chaos handler.
HANDLER_LAYER = "fis-handler"
# The function and the alarm of the template's three demos.
DEMO = "fis-demo"
# The experiment of the parameter Experiment.
OWN = "fis-own"


def eventually(what: str, look: Callable[[], Any]) -> Any:
    """Polls often: a scenario begins in the middle of a step."""
    return lab_parts.eventually(what, look, poll_seconds=0.3)


@dataclass
class Site:
    """The deployed stack of a lab."""

    emulated: Emulator
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes_before: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.account = self.emulated.account
        self.store = fis.Store(self.emulated.directory)
        self.roles = Roles(self.account)
        self.fis = Fis(self.store, self.roles)

    def set_up(self, names: list[str]) -> None:
        """Creates the functions and alarms of the scenarios, and deploys the stack with `make deploy-fis`."""
        content = {"ZipFile": archive.of_file(HANDLER, "python/other.py")}
        self.account.client("lambda").publish_layer_version(LayerName=HANDLER_LAYER, Content=content)
        with ThreadPoolExecutor(4) as pool:
            deployed = pool.submit(self.deploy)
            list(pool.map(self.create, names))
            deployed.result()
        self.before = {name: self.look(name) for name in names}
        self.changes_before = {name: self.changes(name) for name in names}

    def deploy(self) -> None:
        own = Path(self.emulated.directory) / "own.json"
        own.write_text(json.dumps(self.experiment(OWN, "PT5S"), indent=2))
        code, said = make_deploy_fis(self.account, STACK, f"TargetFunction={DEMO} StopAlarm={DEMO} DemoDuration=PT5S", str(own))
        assert code == 0, said

    def create(self, name: str) -> None:
        """Creates a function with an environment, two layers and a reserved concurrency, and an alarm of the same name."""
        lambdas = self.account.client("lambda")
        lambdas.create_function(
            FunctionName=name,
            Runtime=RUNTIME,
            Handler="app.handler",
            Role=self.account.client("iam").get_role(RoleName=ROLE)["Role"]["Arn"],
            Code={"ZipFile": archive.of_file(HANDLER, "app.py")},
            Layers=[self.layer("lab-money"), self.layer("lab-telemetry")],
            Environment={"Variables": {"SERVICE_NAME": name}},
            Tags={"chaos": "allowed"},
            # The proxy counts its faults in the log, and the role may write only here.
            LoggingConfig={"LogGroup": f"/lab/{name}"},
        )
        lab_parts.create_alarm(self.account, name)
        lambdas.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        lambdas.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)

    def layer(self, name: str) -> str:
        return lab_parts.layer_version(self.account, name)

    def set_alarm(self, name: str, state: str) -> None:
        lab_parts.set_alarm(self.account, name, state)

    # ------------------------------------------------------------------------------------- experiments and templates

    def experiment(self, name: str, duration: str, **more: Any) -> dict[str, Any]:
        """Returns an experiment on the function of this name that changes several of its fields."""
        return {
            "name": f"experiment on {name}",
            "targets": [{"function": name}],
            "faults": [
                {"reservedConcurrency": {"limit": 0}},
                {"handler": {"handler": "other.handler", "layers": [self.layer(HANDLER_LAYER)]}},
                {"environment": {"set": {"SERVICE_NAME": "other"}}},
            ],
            "duration": duration,
            "stopConditions": [{"alarm": name}],
            "steadyState": [{"alarm": name}],
            **more,
        }

    def parameter(self, name: str) -> str:
        return f"/{PREFIX}/experiments/{name}"

    def template(self, name: str, experiment: dict[str, Any] | str | None) -> str:
        """Stores an experiment, and creates a template for it as docs/fis.md tells a user to: a copy of a deployed one."""
        if experiment is not None:
            value = experiment if isinstance(experiment, str) else json.dumps(experiment)
            self.account.client("ssm").put_parameter(Name=self.parameter(name), Value=value, Type="String")
        made = copy.deepcopy(self.store.get("templates", self.output("ConcurrencyTemplateId")))
        assert made is not None
        (action,) = made["Actions"].values()
        action["Parameters"]["documentParameters"] = json.dumps({"Experiment": self.parameter(name)}, separators=(",", ":"))
        made["StopConditions"][0]["Value"] = f"arn:aws:cloudwatch:{fis.REGION}:{fis.ACCOUNT}:alarm:{name}"
        fis.check_template(made)
        self.store.put("templates", f"EXT-{name}", made)
        return f"EXT-{name}"

    def output(self, name: str) -> str:
        """Returns an output of the stack."""
        described = self.account.client("cloudformation").describe_stacks(StackName=f"{STACK}-fis")["Stacks"][0]
        return next(str(each["OutputValue"]) for each in described["Outputs"] if each["OutputKey"] == name)

    # ------------------------------------------------------------------------------------------ what is and was

    def look(self, name: str) -> dict[str, Any]:
        return comparison.read(self.account, name)

    def is_restored(self, name: str) -> bool:
        return self.look(name) == self.before[name]

    def changes(self, name: str) -> int:
        """Counts the changes of a function so far."""
        text = self.emulated.record.read_text()
        return sum(json.loads(line).get("changed") == name for line in text[: text.rfind("\n") + 1].splitlines())

    def report(self, run: str) -> dict[str, Any] | None:
        """Returns the report of a run, or None if there is no run of this name."""
        done = self.snapback("report", run, "--json")
        report = dict(json.loads(done)) if done.startswith("{") else {}
        return report if "status" in report else None

    def snapback(self, *arguments: str) -> str:
        """Returns the output of the command line."""
        done = subprocess.run(
            [str(CLI), *arguments, "--stack", STACK],
            cwd=ROOT,
            env=self.account.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=lab_parts.PATIENCE_SECONDS,
            check=False,
        )
        return done.stdout

    def is_injected(self, name: str) -> bool:
        """Returns whether the experiment's faults are in place: a run makes one change for the concurrency and one for the rest."""
        return self.changes(name) == self.changes_before[name] + 2

    def execution_status(self, run: str) -> str:
        machines = self.account.client("stepfunctions")
        try:
            return str(machines.describe_execution(executionArn=self.execution(run))["status"])
        except machines.exceptions.ExecutionDoesNotExist:
            return ""

    def execution(self, run: str) -> str:
        return f"arn:aws:states:{fis.REGION}:{fis.ACCOUNT}:execution:{PREFIX}-experiment:{run}"

    # ------------------------------------------------------------------------------------------------- rights

    def policies(self) -> dict[str, set[str]]:
        """Returns the actions that each role of the stack allows, by the role's name."""
        iam = self.account.client("iam")
        found: dict[str, set[str]] = {}
        for role in (self.output("FisRoleArn"), self.output("AutomationRoleArn")):
            name = role.rpartition("/")[2]
            found[name] = set()
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                for statement in iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]["Statement"]:
                    action = statement["Action"]
                    found[name] |= {action} if isinstance(action, str) else set(action)
        return found

    def used(self) -> dict[str, dict[str, bool]]:
        """Returns the rights for which each role was asked, and whether all of those requests were allowed."""
        found: dict[str, dict[str, bool]] = {}
        for line in (self.emulated.directory / RIGHTS).read_text().splitlines():
            each = json.loads(line)
            role = found.setdefault(each["role"], {})
            role[each["action"]] = role.get(each["action"], True) and each["allowed"]
        return found

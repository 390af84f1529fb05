"""Plays AWS FIS: starts experiments from the deployed templates, stops them, and watches their stop conditions.

It does so with the rights of the template's role, through the lab's API of SSM (infra/lab/fis.py). Only what this stack's templates use
is played: one action, aws:ssm:start-automation-execution. Pages of fis/latest/userguide: experiments, stop-conditions, stop-experiment,
monitoring-logging. No page names the API call with which FIS stops an automation; its managed policy for automations allows
ssm:StopAutomationExecution, whose default type is Cancel (inferred).
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Callable

from automation import Automation, Moment, Outcome
from roles import Roles

import fis
import runbook

POLL_SECONDS = 1.0
ACTION = "aws:ssm:start-automation-execution"
# An experiment ends as its only action does.
ENDINGS = {"Success": "completed", "Cancelled": "stopped", "Failed": "failed", "TimedOut": "failed"}
Hook = Callable[["Experiment", Moment, str], None]


def no_hook(*_: Any) -> None:
    """Stops nothing."""


@dataclass
class Experiment:
    """One FIS experiment that runs in a thread."""

    identifier: str
    record: dict[str, Any]
    automation: str = ""
    outcome: Outcome = field(default_factory=Outcome)
    error: BaseException | None = None
    thread: threading.Thread | None = None

    @property
    def status(self) -> str:
        return str(self.record["state"]["status"])

    @property
    def reason(self) -> str:
        return str(self.record["state"].get("reason", ""))

    @property
    def run(self) -> str:
        """The name of the run of snapback."""
        return self.outcome.outputs.get("prepareRun.Name", "")

    def wait(self) -> None:
        assert self.thread is not None
        self.thread.join()
        if self.error is not None:
            raise self.error


class Fis:
    """FIS in the lab's account."""

    def __init__(self, store: fis.Store, roles: Roles) -> None:
        self.store = store
        self.roles = roles

    def start(self, template: str, hook: Hook = no_hook) -> Experiment:
        """Does what StartExperiment does. `hook` is called at each moment of each step of the automation."""
        made = self.store.get("templates", template)
        assert made is not None, f"there is no template {template}"
        (name, action), *others = made["Actions"].items()
        assert not others and action["ActionId"] == ACTION, made["Actions"]
        identifier = f"EXP{uuid.uuid4().hex[:15]}"
        experiment = Experiment(identifier, {
            "id": identifier,
            "arn": f"arn:aws:fis:{fis.REGION}:{fis.ACCOUNT}:experiment/{identifier}",
            "experimentTemplateId": template,
            "roleArn": made["RoleArn"],
            "state": {"status": "running"},
            "actions": {name: {"actionId": ACTION, "parameters": action["Parameters"], "state": {"status": "initiating"}}},
        })  # fmt: skip
        self.show(experiment)
        self.roles.may_deliver_logs(made["RoleArn"])
        alarms = [each["Value"] for each in made["StopConditions"] if each["Source"] == "aws:cloudwatch:alarm"]
        experiment.thread = threading.Thread(target=self.play, args=(experiment, action["Parameters"], hook))
        experiment.thread.start()
        threading.Thread(target=self.watch, args=(experiment, alarms), daemon=True).start()
        return experiment

    def play(self, experiment: Experiment, parameters: dict[str, str], hook: Hook) -> None:
        from botocore.exceptions import ClientError

        try:
            session = self.roles.session(experiment.record["roleArn"], "fis.amazonaws.com")
            given = json.loads(parameters["documentParameters"])
            experiment.automation = session.client("ssm").start_automation_execution(
                DocumentName=parameters["documentArn"], Parameters={key: [value] for key, value in given.items()}
            )["AutomationExecutionId"]
            self.run_automation(experiment, given, hook)
            read = session.client("ssm").get_automation_execution(AutomationExecutionId=experiment.automation)
            status = read["AutomationExecution"]["AutomationExecutionStatus"]
            self.finish(experiment, ENDINGS[status], experiment.outcome.failure)
        except ClientError as error:
            self.finish(experiment, "failed", str(error))
        except BaseException as error:  # noqa: BLE001
            experiment.error = error
            self.finish(experiment, "failed", repr(error))

    def run_by_hand(self, document: str, parameters: dict[str, str]) -> Experiment:
        """Does what a user does who starts the document without FIS, and waits for its end."""
        given = {key: [value] for key, value in parameters.items()}
        ssm = self.roles.account.client("ssm")
        started = ssm.start_automation_execution(DocumentName=document, Parameters=given)
        experiment = Experiment("", {}, started["AutomationExecutionId"])
        self.run_automation(experiment, parameters, no_hook)
        return experiment

    def run_automation(self, experiment: Experiment, parameters: dict[str, str], hook: Hook) -> None:
        """Runs the automation, as SSM does."""
        record = self.store.get("automations", experiment.automation)
        assert record is not None
        document = self.store.get("documents", record["DocumentName"])
        assert document is not None
        parsed = runbook.parse(document["content"])
        automation = Automation(
            experiment.automation,
            parsed,
            parameters,
            self.roles.session(parsed.assume_role, "ssm.amazonaws.com"),
            lambda: self.store.get("stops", experiment.automation) is not None,
            lambda moment, step: hook(experiment, moment, step),
            experiment.outcome,
        )
        automation.run()
        self.store.put("automations", experiment.automation, record | {"AutomationExecutionStatus": experiment.outcome.status})

    def stop(self, experiment: Experiment) -> None:
        """Does what StopExperiment does."""
        session = self.roles.session(experiment.record["roleArn"], "fis.amazonaws.com")
        session.client("ssm").stop_automation_execution(AutomationExecutionId=experiment.automation)

    def watch(self, experiment: Experiment, alarms: list[str]) -> None:
        """Stops the experiment when one of its alarms is in ALARM."""
        names = [alarm.partition(":alarm:")[2] for alarm in alarms]
        cloudwatch = self.roles.account.client("cloudwatch")
        while experiment.status == "running":
            if experiment.automation:
                seen = cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"]
                if any(each["StateValue"] == "ALARM" for each in seen):
                    self.stop(experiment)
                    return
            time.sleep(POLL_SECONDS)

    def finish(self, experiment: Experiment, status: str, reason: str) -> None:
        experiment.record["state"] = {"status": status, "reason": reason}
        for action in experiment.record["actions"].values():
            action["state"] = {"status": status, "reason": reason}
        self.show(experiment)

    def show(self, experiment: Experiment) -> None:
        self.store.put("experiments", experiment.identifier, experiment.record)

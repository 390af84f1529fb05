"""Runs the steps of a runbook as SSM Automation is documented to, on the services of the lab.

It knows the actions and properties that infra/runbook.py knows, and fails on any other. Pages of systems-manager/latest/userguide:
automation-actions ("Properties shared by all actions") for the order of steps, failures, cancellation and the final status;
automation-handling-timeouts for timeouts; one page per action. Where no page says what happens, both possibilities are played: see
Moment.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Callable, Protocol

sys.path[:0] = [str(Path(__file__).parents[2] / "infra"), str(Path(__file__).parents[2] / "infra" / "lab")]

from runbook import EXECUTION_ID, OUTPUT, REFERENCE, Runbook, Step  # noqa: E402
from scripts import ScriptFailed, ScriptTimedOut, execute  # noqa: E402

# "Automation runs the cancellation workflow for a maximum of two minutes."
CANCELLATION_SECONDS = 120.0
# No page has the interval of aws:waitForAwsResourceProperty.
POLL_SECONDS = 0.5
# No page says how a value with other characters is quoted inside a longer text.
PLAIN = re.compile(r"[A-Za-z0-9_./:-]*")


class Moment(Enum):
    """The moments of a step at which the automation can be canceled.

    No page says whether the step before or the step after handles a cancellation between two of them, so the tests play both.
    Nor does one say what becomes of a call that is under way.
    """

    BEFORE = "before"
    # The step has had its effect, and its outputs are lost.
    IN = "in"
    AFTER = "after"
    # The step's effect comes after the steps of the cancellation have begun.
    LATE = "late"


class StepFailed(Exception):
    """A step failed; the text is its failure message."""


class StepTimedOut(StepFailed):
    """A step took longer than its timeoutSeconds."""


class Canceled(Exception):
    """The automation was canceled during a step."""


class Session(Protocol):
    """The session of the automation's role."""

    def client(self, service: str) -> Any: ...

    def environment(self) -> dict[str, str]: ...


@dataclass
class Outcome:
    """The end of an automation: its status, the first failure message, and the names of the steps that began."""

    status: str = "InProgress"
    failure: str = ""
    steps: list[str] = field(default_factory=list)
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Automation:
    """One automation. `hook` is called at each moment of each step, and may cancel it; `is_canceled` tells whether it was."""

    identifier: str
    runbook: Runbook
    parameters: dict[str, str]
    session: Session
    is_canceled: Callable[[], bool]
    hook: Callable[[Moment, str], None]
    outcome: Outcome = field(default_factory=Outcome)
    # What a call that is under way does when the cancellation has begun.
    late: Callable[[], Any] | None = None
    deadline: float = float("inf")

    def run(self) -> Outcome:
        """Runs all steps and returns the end."""
        step: Step | None = self.runbook.first
        while step is not None:
            self.outcome.steps.append(step.name)
            try:
                if self.hooked(Moment.BEFORE, step):
                    raise Canceled
                self.perform(step)
                if self.hooked(Moment.AFTER, step):
                    raise Canceled
                step = self.runbook.steps[step.next_step] if step.next_step else None
            except Canceled:
                step = self.cancel(step)
            except StepFailed as failed:
                step = self.fail(step, failed)
        if self.outcome.status == "InProgress":
            self.outcome.status = "Success"
        elif self.outcome.status == "Cancelling":
            self.outcome.status = "Cancelled"
        return self.outcome

    def cancel(self, step: Step) -> Step | None:
        """Returns the step to which onCancel leads."""
        self.outcome.status = "Cancelling"
        self.deadline = time.monotonic() + CANCELLATION_SECONDS
        return self.runbook.steps.get(step.on_cancel)

    def fail(self, step: Step, failed: StepFailed) -> Step | None:
        """Returns the step to which onFailure leads. A failed critical step decides the final status."""
        self.outcome.failure = self.outcome.failure or f"{step.name}: {failed}"
        if step.is_critical and self.outcome.status == "InProgress":
            self.outcome.status = "TimedOut" if isinstance(failed, StepTimedOut) else "Failed"
        if step.on_failure == "Continue":
            return self.runbook.steps[step.next_step] if step.next_step else None
        return self.runbook.steps.get(step.on_failure)

    def hooked(self, moment: Moment, step: Step) -> bool:
        """Calls the hook; returns whether the automation is canceled for the first time."""
        self.hook(moment, step.name)
        return self.outcome.status != "Cancelling" and self.is_canceled()

    # ------------------------------------------------------------------------------------------------------ steps

    def perform(self, step: Step) -> None:
        """Performs the step's action, up to maxAttempts times."""
        act = {
            "aws:executeScript": self.execute_script,
            "aws:invokeLambdaFunction": self.invoke_function,
            "aws:waitForAwsResourceProperty": self.wait_for_property,
        }[step.action]
        inputs = self.resolved({key: value for key, value in step.inputs.items() if key != "Script"})
        for attempt in range(1, step.max_attempts + 1):
            try:
                act(step, inputs)
                break
            except StepFailed:
                if attempt == step.max_attempts:
                    raise
        if self.late is not None and step.name.startswith("rollBack"):
            # The call that was under way lands now.
            threading.Thread(target=self.late).start()
            self.late = None

    def execute_script(self, step: Step, inputs: dict[str, Any]) -> None:
        def effect() -> dict[str, Any]:
            script, payload = step.inputs["Script"], inputs.get("InputPayload", {})
            return execute(script, inputs["Handler"], payload, self.session.environment(), self.left(step.timeout_seconds))

        if self.hooked(Moment.LATE, step):
            self.late = effect
            raise Canceled
        try:
            payload = effect()
        except ScriptTimedOut as error:
            raise StepTimedOut(str(error)) from error
        except ScriptFailed as error:
            raise StepFailed(str(error)) from error
        if self.hooked(Moment.IN, step):
            raise Canceled
        for name, selector in step.outputs.items():
            self.outcome.outputs[f"{step.name}.{name}"] = payload[selector.removeprefix("$.Payload.")]

    def invoke_function(self, step: Step, inputs: dict[str, Any]) -> None:
        assert inputs["InvocationType"] == "Event", "what a function's error does to the step is not documented"
        payload = json.dumps(inputs["InputPayload"]).encode()
        self.call("lambda", "Invoke", {**inputs, "Payload": payload}, without={"InputPayload"})
        if self.hooked(Moment.IN, step):
            raise Canceled

    def wait_for_property(self, step: Step, inputs: dict[str, Any]) -> None:
        """Polls until the property has a desired value. An error of the API does not end the wait: no page says that it does."""
        known = {"Service", "Api", "PropertySelector", "DesiredValues"}
        name = re.fullmatch(r"\$\.(\w+)", inputs["PropertySelector"])
        assert name is not None, inputs["PropertySelector"]
        until = time.monotonic() + self.left(step.timeout_seconds)
        seen = ""
        while time.monotonic() < until:
            if self.hooked(Moment.IN, step):
                raise Canceled
            try:
                found = self.call(inputs["Service"], inputs["Api"], inputs, without=known)
                if (seen := found[name[1]]) in inputs["DesiredValues"]:
                    return
            except StepFailed as failed:
                seen = str(failed)
            time.sleep(POLL_SECONDS)
        raise StepTimedOut(f"timed out; last seen: {seen}")

    def call(self, service: str, operation: str, inputs: dict[str, Any], without: set[str]) -> dict[str, Any]:
        from botocore.exceptions import ClientError

        client = self.session.client(service)
        methods = {api: method for method, api in client.meta.method_to_api_mapping.items()}
        try:
            arguments = {key: value for key, value in inputs.items() if key not in without}
            return dict(getattr(client, methods[operation])(**arguments))
        except ClientError as error:
            raise StepFailed(str(error)) from error

    def left(self, seconds: float) -> float:
        """Returns how long a step of this timeout may take."""
        return max(0.0, min(seconds, self.deadline - time.monotonic()))

    # ------------------------------------------------------------------------------------------------- references

    def resolved(self, value: Any) -> Any:
        """Replaces the references in a value by what they name."""
        if isinstance(value, dict):
            return {key: self.resolved(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.resolved(each) for each in value]
        if not isinstance(value, str):
            return value
        if whole := REFERENCE.fullmatch(value):
            return self.referenced(whole)
        return REFERENCE.sub(self.inserted, value)

    def inserted(self, reference: re.Match[str]) -> str:
        value = self.referenced(reference)
        assert PLAIN.fullmatch(value), f"{reference[1]} would be inserted without quotes: {value}"
        return value

    def referenced(self, reference: re.Match[str]) -> str:
        name = reference[1]
        if name == EXECUTION_ID:
            return self.identifier
        return self.outcome.outputs[name] if OUTPUT.fullmatch(name) else self.parameters[name]

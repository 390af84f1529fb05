"""Tests runbook.py: the document of fis.yaml has no problems, and every kind of mistake in it is one."""

from __future__ import annotations

import copy
import unittest
from collections.abc import Callable
from typing import Any

import runbook
import yaml
from deploy_fis import TEMPLATE

Change = Callable[[dict[str, dict[str, Any]]], object]


def document() -> dict[str, Any]:
    return dict(yaml.safe_load(next(runbook.of_template(TEMPLATE))))


class Problems(unittest.TestCase):
    def test_the_template_has_one_runbook_without_problems(self) -> None:
        (text,) = runbook.of_template(TEMPLATE)
        self.assertEqual(list(runbook.problems(yaml.safe_load(text))), [])
        self.assertEqual(runbook.parse(text).first.name, "prepareRun")

    def test_every_mistake_is_a_problem(self) -> None:
        mistakes: list[tuple[Change, str]] = [
            (lambda steps: steps["startRun"].update(onCancle="Abort"), "startRun: unknown property onCancle"),
            (lambda steps: steps["startRun"].update(action="aws:sleep"), "startRun: unknown action aws:sleep"),
            (lambda steps: steps["startRun"].pop("onCancel"), "startRun: no onCancel"),
            (lambda steps: steps["startRun"].pop("isCritical"), "startRun: no isCritical"),
            (lambda steps: steps["startRun"].update(onCancel="step:rollback"), "onCancel: step:rollback is neither"),
            (lambda steps: steps["startRun"].update(onCancel="Continue"), "onCancel: Continue is neither"),
            (lambda steps: steps["startRun"].update(onFailure="rollBack"), "onFailure: rollBack is neither"),
            (lambda steps: steps["rollBack"].update(onCancel="step:rollBack"), "onCancel: step:rollBack is neither"),
            (lambda steps: steps["startRun"].update(nextStep="wait"), "nextStep: there is no step wait"),
            (lambda steps: steps["startRun"].pop("nextStep"), "startRun: write either isEnd or nextStep"),
            (lambda steps: steps["startRun"].update(timeoutSeconds=601), "the action runs for 600 s at most"),
            (lambda steps: steps["startRun"].update(name="start-run"), "not a unique name"),
            (lambda steps: steps["rollBack"]["inputs"].update(Payload="{}"), "inputs: unknown property Payload"),
            (lambda steps: steps["rollBack"]["inputs"].pop("FunctionName"), "no input FunctionName"),
            (lambda steps: steps["rollBack"]["inputs"].update(InputPayload="{{ prepareRun.Run }}"), "no prepareRun.Run"),
            (lambda steps: steps["prepareRun"].update(onFailure="step:rollBack"), "does not exist on every path to it"),
            (lambda steps: steps["startRun"].update(onCancel="Abort") or steps["waitForRun"].update(onCancel="Abort")
                or steps["rollBackAfterFailure"].update(onCancel="Abort"), "rollBack: no path leads to it"),
            (lambda steps: steps["startRun"]["inputs"].update(Script="def start(events):"), "Script: "),
            (lambda steps: steps["startRun"]["inputs"].update(Handler="start"), "no function start(events, context)"),
            (lambda steps: steps["startRun"]["inputs"].update(Script="{{ Experiment }}"), "the script contains a reference"),
            (lambda steps: steps["startRun"]["inputs"].update(Runtime="python"), "unknown Runtime"),
            (lambda steps: steps["prepareRun"]["outputs"][0].update(Type="StringMap"), "unknown form of the output"),
            (lambda steps: steps["prepareRun"]["outputs"][0].update(Selector="$..Name"), "unknown selector"),
        ]  # fmt: skip
        for change, expected in mistakes:
            made = document()
            change({step["name"]: step for step in made["mainSteps"]})
            found = list(runbook.problems(made))
            with self.subTest(expected):
                self.assertTrue(any(expected in problem for problem in found), found)

    def test_a_mistake_outside_of_the_steps_is_a_problem(self) -> None:
        for key, value, expected in (
            ("files", {}, "unknown property files"),
            ("schemaVersion", "2.2", "not a runbook"),
            ("parameters", {"Experiment": {"type": "String"}}, "not a String with an allowedPattern"),
            ("parameters", {"Experiment": {"type": "String", "allowedPattern": "x", "default": ""}}, "unknown property default"),
            ("outputs", ["prepareRun.Run"], "there is no prepareRun.Run"),
        ):
            made = copy.deepcopy(document()) | {key: value}
            with self.subTest(expected), self.assertRaises(runbook.InvalidRunbook) as raised:
                runbook.parse(yaml.safe_dump(made))
            self.assertIn(expected, str(raised.exception))


if __name__ == "__main__":
    unittest.main()

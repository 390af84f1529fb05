"""Tests the expressions around the state machine's batches with the emulator's evaluation."""

from __future__ import annotations

import json
import re
import sys
import unittest
from pathlib import Path
from typing import Any

try:
    from ministack.services import stepfunctions
except ImportError:
    # Only the lab's Python has it.
    stepfunctions = None

MACHINE = json.loads((Path(__file__).parents[1] / "statemachine.asl.json").read_text(encoding="utf-8"))["States"]
SPLITS = {
    "SplitToArm": "functions",
    "SplitToRehearse": "unrehearsed",
    "SplitToInject": "functions",
    "SplitToRestore": "functions",
}
DONE = {"status": "done", "failed": 0, "failures": []}


def failed(*errors: str) -> dict[str, Any]:
    failures = [{"function": f"arn:{error}", "Error": error, "Cause": "because"} for error in errors]
    return {"status": "done", "failed": len(errors), "failures": failures}


@unittest.skipIf(stepfunctions is None, "ministack is not installed in this Python")
class Batches(unittest.TestCase):
    def evaluate(self, template: Any, given: Any, error: Any = None, **variables: Any) -> Any:
        context = {"Execution": {"Name": "the-run"}, "variables": variables}
        return stepfunctions._apply_jsonata_template(template, given, context, error_output=error)

    def test_batches_hold_every_function_once_and_the_runs_id(self) -> None:
        for count in (41, 60, 1000):
            functions = [f"arn:{number}" for number in range(count)]
            for split, field in SPLITS.items():
                given = {"functions": functions}
                batches = self.evaluate(MACHINE[split]["Output"], given, functions=functions)
                self.assertEqual([each for batch in batches for each in batch[field]], functions)
                self.assertEqual({batch["runId"] for batch in batches}, {"the-run"})
                self.assertLessEqual(max(len(batch[field]) for batch in batches), 20)
                counted = self.evaluate(MACHINE[split]["Assign"], given, functions=functions)
                self.assertEqual(counted, {"batches": len(batches)})

    def test_a_batch_of_one_target_is_an_array(self) -> None:
        # JSONata may reduce an array of one value to that value; it is not documented whether $partition keeps it.
        for split, field in SPLITS.items():
            for parts in ("[['a', 'b'], ['c']]", "[['a', 'b'], 'c']"):
                output, replaced = re.subn(r"\$partition\([^)]*\)", lambda _, parts=parts: parts, MACHINE[split]["Output"])
                self.assertEqual(replaced, 1)
                batches = self.evaluate(output, {})
                self.assertEqual([batch[field] for batch in batches], [["a", "b"], ["c"]], f"{split}: {parts}")

    def after(self, results: list[Any], failure: Any = None) -> Any:
        found = []
        for name in ("ArmedBatches", "RehearsedBatches", "InjectedBatches", "RestoredBatches"):
            found.append(self.evaluate(MACHINE[name]["Assign"], results, failure=failure, batches=3)["failure"])
        self.assertEqual(found[1:], found[:-1])
        return found[0]

    def test_the_first_failure_keeps_its_name(self) -> None:
        self.assertIsNone(self.after([DONE, DONE, DONE]))
        self.assertEqual(self.after([DONE, failed("Locked", "Refused"), failed("Other")])["Error"], "Locked")
        self.assertEqual(self.after([DONE, failed("Locked"), DONE])["Cause"], "because")
        earlier = {"Error": "Earlier", "Cause": ""}
        self.assertEqual(self.after([DONE, failed("Locked"), DONE], failure=earlier), earlier)

    def test_a_batch_without_a_result_is_a_failure(self) -> None:
        for results in ([DONE, None, DONE], [DONE, DONE], [DONE], []):
            self.assertEqual(self.after(results)["Error"], "BatchLost")

    def test_a_failed_task_fails_the_rest_of_its_batch(self) -> None:
        error = {"Error": "Lambda.Unknown", "Cause": "x" * 30_000}
        inject = {"runId": "the-run", "functions": ["a", "b"]}
        rehearse = {"runId": "the-run", "functions": [], "unrehearsed": ["a", "b"]}
        both = {"runId": "the-run", "functions": ["a"], "unrehearsed": ["b"]}
        tasks = [
            ("ArmBatches", "ArmBatch", inject),
            ("RehearseBatches", "RehearseBatch", rehearse),
            ("InjectBatches", "InjectBatch", inject),
            ("InjectBatches", "InjectBatch", both),
            ("InjectBatches", "RehearseBatchAgain", both),
            ("InjectBatches", "RehearseBatchAgain", rehearse),
            ("RestoreBatches", "RestoreBatch", inject),
        ]
        for batches, task, first in tasks:
            inside = MACHINE[batches]["ItemProcessor"]["States"]
            later = {**first, **failed("Locked"), "status": "pending", "waitSeconds": 1, "tries": {}}
            for given, count, errors in ((first, 2, ["Lambda.Unknown"]), (later, 3, ["Locked", "Lambda.Unknown"])):
                for catch in inside[task]["Catch"]:
                    caught = self.evaluate(catch["Output"], given, error)
                    done = self.evaluate(inside[catch["Next"]]["Output"], caught)
                    self.assertEqual((done["status"], done["failed"]), ("done", count))
                    self.assertEqual([failure["Error"] for failure in done["failures"]], errors)
                    self.assertLess(len(json.dumps(done)), 1000)

    def test_the_sampling_position_is_passed_to_the_next_round(self) -> None:
        payload = MACHINE["Observe"]["Arguments"]["Payload"]
        # The input of the first round is the output of the injection.
        for given in ([{"function": "a", "status": "injected", "waitSeconds": 0}], [], {}):
            self.assertEqual(self.evaluate(payload, given), {"runId": "the-run", "sampleFrom": 0})
        observed = {"status": "running", "waitSeconds": 5, "sampleFrom": 50}
        self.assertEqual(self.evaluate(payload, observed), {"runId": "the-run", "sampleFrom": 50})


if __name__ == "__main__":
    sys.exit(unittest.main())

"""The extension with a fake command line: what it calls, and how each failure is told. Run with the Chaos Toolkit's Python."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path
from typing import Any

from chaoslib.exceptions import ActivityFailed, InterruptExecution

sys.path.insert(0, str(Path(__file__).parents[1]))

from chaossnapback import actions, control, discover, probes, watcher  # noqa: E402
from chaossnapback.session import SESSION  # noqa: E402

# Notes its arguments, its standard input and its key, and does what the file for its subcommand says, one line a call.
FAKE = f"""#!{sys.executable}
import json, os, pathlib, sys, time
folder = pathlib.Path(__file__).parent
command = sys.argv[1]
call = {{"arguments": sys.argv[1:], "input": sys.stdin.read(), "key": os.environ.get("AWS_ACCESS_KEY_ID"), "via": os.environ.get("SNAPBACK_VIA")}}
with (folder / "calls").open("a") as calls:
    calls.write(json.dumps(call) + "\\n")
lines = (folder / command).read_text().splitlines()
reply = json.loads(lines[0])
if len(lines) > 1:
    (folder / command).write_text("\\n".join(lines[1:]))
time.sleep(reply.get("seconds", 0))
print(reply["out"])
print(reply.get("err", ""), file=sys.stderr)
sys.exit(reply["code"])
"""
EXPERIMENT = {"name": "checkout is slow"}


def report(outcome: str = "unfinished", status: str = "running", **more: Any) -> dict[str, Any]:
    return {"runId": "r", "status": status, "outcome": outcome, "reason": None, "targets": [], "deviations": [], **more}


def reply(value: Any, code: int = 0, **more: Any) -> dict[str, Any]:
    return {"out": json.dumps(value), "code": code, **more}


def failure(error: str, cause: str, code: int) -> dict[str, Any]:
    return reply({"error": error, "cause": cause}, code)


NO_RUN = failure("NoSuchRun", "there is no run r", 2)


class Extension(unittest.TestCase):
    """Each test has its own fake command line."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.program = self.folder / "snapback"
        self.program.write_text(FAKE)
        self.program.chmod(0o755)
        # What a start with a name asks first.
        self.on("report", NO_RUN)
        SESSION.runs.clear()
        SESSION.journal = {"status": None}
        self.addCleanup(SESSION.end_watcher)
        logging.getLogger("chaostoolkit").setLevel(logging.CRITICAL)
        actions.POLL_SECONDS = 0.01

    def on(self, command: str, *replies: dict[str, Any]) -> None:
        (self.folder / command).write_text("\n".join(map(json.dumps, replies)))

    def calls(self) -> list[dict[str, Any]]:
        """Returns the calls, without the question of each start whether its name is in use."""
        file = self.folder / "calls"
        calls = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        commands = [call["arguments"][0] for call in calls] + [""]
        return [call for at, call in enumerate(calls) if commands[at : at + 2] != ["report", "run"]]

    def start(self, experiment: Any = None, name: str = "r", **more: str) -> dict[str, Any]:
        configuration = {"snapback_path": str(self.program), **more}
        return actions.start_run(experiment or EXPERIMENT, name, configuration=configuration)

    def started(self) -> None:
        self.on("run", reply(report()))
        self.start()

    def fails(self, call: Any, *says: str) -> str:
        with self.assertRaises(ActivityFailed) as raised:
            call()
        for text in says:
            self.assertIn(text, str(raised.exception))
        return str(raised.exception)


class Start(Extension):
    def test_a_start_names_the_run_the_place_and_the_credentials(self) -> None:
        self.on("run", reply(report()))
        configuration = {
            "snapback_path": str(self.program), "snapback_stack": "s", "aws_region": "eu-west-1", "aws_profile_name": "p"
        }  # fmt: skip
        started = actions.start_run(EXPERIMENT, "r", configuration, {"aws_access_key_id": "KEY"})
        self.assertEqual(started["outcome"], "unfinished")
        [call] = self.calls()
        places = ["--stack", "s", "--profile", "p", "--region", "eu-west-1", "--json"]
        self.assertEqual(call["arguments"], ["run", "-", "--name", "r", "--detach", *places])
        self.assertEqual((json.loads(call["input"]), call["key"], call["via"]), (EXPERIMENT, "KEY", "Chaos Toolkit"))

    def test_a_run_without_a_name_gets_a_unique_one(self) -> None:
        self.on("run", reply(report()))
        for _ in range(2):
            self.start(name="")
        names = {call["arguments"][3] for call in self.calls()}
        self.assertEqual((len(names), set(SESSION.runs)), (2, names))

    def test_an_experiment_is_a_file_or_a_mapping(self) -> None:
        self.on("run", reply(report()))
        self.start(str(self.program))
        self.assertEqual(self.calls()[0]["arguments"][1], str(self.program))
        self.fails(lambda: self.start("no/such/file.yaml"), "experiment: there is no file `no/such/file.yaml`; write a path")
        self.fails(lambda: self.start(" "), "experiment: it is a str; write the path")
        self.fails(lambda: self.start([1]), "experiment: it is a list; write the path of an experiment of snapback's, or a")
        self.assertEqual(len(self.calls()), 1)

    def test_a_name_is_used_once(self) -> None:
        self.started()
        self.fails(self.start, "name: this experiment has already started a run `r`; write another name")

    def test_the_name_of_a_run_that_exists_is_never_rolled_back(self) -> None:
        SESSION.start_watcher()
        self.on("report", reply(report()))
        self.fails(self.start, "name: there is a run `r` already; write another name, or leave it out")
        watching = SESSION.watcher
        assert watching is not None and watching.stdin is not None
        watching.stdin.close()
        SESSION.watcher = None
        self.assertEqual((watching.wait(30), actions.roll_back()), (0, {"runs": []}))
        self.assertEqual([call["arguments"] for call in self.calls()], [["report", "r", "--json"]])

    def test_a_start_whose_name_cannot_be_looked_up_is_not_made(self) -> None:
        self.on("report", failure("Unavailable", "the ledger did not respond", 1))
        self.fails(self.start, "the ledger did not respond")
        self.assertEqual((SESSION.runs, len(self.calls())), ({}, 1))

    def test_a_missing_command_line_is_named_with_the_fix(self) -> None:
        missing = str(self.folder / "absent")
        self.fails(
            lambda: self.start(snapback_path=missing),
            f"snapback_path: `{missing}` cannot be started: No such file or directory; install snapback's command line",
        )
        self.assertEqual(SESSION.runs, {}, "nothing is left to roll back")
        os.chmod(self.program, 0o644)
        self.fails(self.start, "cannot be started: Permission denied")

    def test_a_refused_run_is_told_and_leaves_nothing_to_roll_back(self) -> None:
        self.on("run", failure("Refused", "refused, and nothing was changed:\n  checkout: no tag", 3))
        self.fails(self.start, "refused, and nothing was changed:\n  checkout: no tag")
        self.assertEqual((SESSION.runs, actions.roll_back()), ({}, {"runs": []}))

    def test_wrong_usage_is_told_in_the_words_of_the_command_line(self) -> None:
        wrong = "error: invalid value 'a b' for '--name <RUN>': no blanks\n\nFor more information, try '--help'."
        self.on("run", {"out": "", "err": wrong, "code": 2})
        said = self.fails(self.start, "invalid value 'a b' for '--name <RUN>': no blanks")
        self.assertNotIn("--help", said)
        self.on("run", {"out": "", "err": "error: unexpected argument '--detach' found\n\nUsage: snapback run", "code": 2})
        self.fails(self.start, "unexpected argument '--detach' found; name snapback's command line", "or a newer one")

    def test_malformed_output_is_shown(self) -> None:
        for out in ("Usage: snapback", "[]", "", '{"error": "x"}'):
            self.on("run", {"out": out, "code": 0})
            self.fails(self.start, "no JSON object in its output, and its exit code is 0", out or "it printed nothing")
            SESSION.runs.clear()
        self.on("run", reply({"runId": "r", "outcome": "unfinished"}))
        self.fails(self.start, "the report has no status and no targets; name snapback's command line")
        SESSION.runs.clear()
        self.on("run", reply(report(targets=None)))
        self.fails(self.start, "the report has no list of targets")

    def test_a_start_of_unknown_result_is_rolled_back_later(self) -> None:
        self.on("run", failure("StartUnknown", "it is not known whether the run r has started: timeout", 1))
        self.fails(self.start, "it is not known whether the run r has started")
        self.on("rollback", reply({"runs": [report("endedEarly", "failed")]}))
        actions.roll_back()
        self.assertEqual(self.calls()[-1]["arguments"], ["rollback", "r", "--prevent-start", "--json"])

    def test_another_run_of_the_same_name_is_not_rolled_back(self) -> None:
        self.on("run", failure("NotStarted", "the run r could not be started: ExecutionAlreadyExists", 1))
        self.fails(self.start, "ExecutionAlreadyExists")
        self.assertEqual((actions.roll_back(), len(self.calls())), ({"runs": []}, 1))

    def test_a_run_that_ends_before_its_faults_is_a_failure(self) -> None:
        ended = report("endedEarly", "stopped", reason="alarm checkout-errors went into ALARM")
        self.on("run", reply(ended, 4))
        self.fails(self.start, "the run r ended before all of its faults were in place: endedEarly; alarm checkout-errors")

    def test_a_role_to_assume_and_a_number_are_refused_by_name(self) -> None:
        role = "arn:aws:iam::123456789012:role/chaos"
        self.fails(lambda: self.start(aws_assume_role_arn=role), "configuration: aws_assume_role_arn is set", "aws_profile_name")
        wrong: Any = 5
        self.fails(lambda: self.start(snapback_stack=wrong), "snapback_stack: it is a int, not a text; write it in quotes")

    def test_an_interrupted_start_ends_its_command(self) -> None:
        self.on("run", reply(report(), seconds=60))
        main = threading.main_thread().ident
        threading.Timer(1.0, lambda: signal.pthread_kill(main or 0, signal.SIGINT)).start()
        began = time.monotonic()
        with self.assertRaises(KeyboardInterrupt):
            self.start()
        self.assertLess(time.monotonic() - began, 30)
        self.assertEqual(list(SESSION.runs), ["r"], "it is rolled back later")


class Wait(Extension):
    def test_a_wait_returns_the_report_of_the_run_that_is_over(self) -> None:
        self.started()
        self.on("report", reply(report(), 7), reply(report("held", "completed")))
        self.assertEqual(actions.wait_for_run()["outcome"], "held")
        self.assertEqual([call["arguments"][:2] for call in self.calls()[1:]], [["report", "r"]] * 2)

    def test_a_wait_ends_with_the_experiment(self) -> None:
        self.started()
        self.on("report", reply(report(), 7))
        SESSION.journal = {"status": "failed"}
        self.assertEqual(actions.wait_for_run("r")["outcome"], "unfinished")

    def test_a_failed_restore_is_a_failure_that_names_the_target(self) -> None:
        self.started()
        target = {"function": "checkout", "restoreError": "access denied: lambda:PutFunctionConcurrency"}
        self.on("report", reply(report("restoreFailed", "failed", targets=[target]), 6))
        self.fails(actions.wait_for_run, "the run r is not restored: restoreFailed; checkout: access denied: lambda:Put")

    def test_an_outage_is_outlasted_and_a_lasting_one_is_a_failure(self) -> None:
        self.started()
        outage = failure("Unavailable", "the stack cannot be read: AWS did not respond", 1)
        self.on("report", *[outage] * 3, reply(report("held", "completed")))
        self.assertEqual(actions.wait_for_run()["outcome"], "held")
        SESSION.runs["r"].report = report()
        self.on("report", outage)
        self.fails(actions.wait_for_run, "AWS did not respond")

    def test_activities_before_the_start_say_what_to_write(self) -> None:
        for activity in (actions.wait_for_run, probes.run_status, probes.run_outcome, probes.run_report):
            self.fails(activity, "no run was started; put the action start_run before this activity")
        self.fails(lambda: probes.run_status("x"), "run: this experiment has started no run `x`; put the action start_run")
        self.started()
        self.fails(lambda: probes.run_status("x"), "run: this experiment has started no run `x`; write one of r")

    def test_probes_read_status_and_outcome(self) -> None:
        self.started()
        self.on("report", reply(report("drifted", "completed"), 5))
        self.assertEqual((probes.run_status(), probes.run_outcome("r")), ("completed", "drifted"))


class RollBack(Extension):
    def test_a_rollback_ends_each_open_run_once(self) -> None:
        self.started()
        self.on("rollback", reply({"runs": [report("endedEarly", "stopped")]}))
        self.assertEqual(actions.roll_back()["runs"][0]["outcome"], "endedEarly")
        actions.roll_back()
        self.assertEqual(len(self.calls()), 2)

    def test_exit_6_and_7_are_failures_that_name_what_is_open(self) -> None:
        self.started()
        target = {"function": "checkout", "waitingFor": "an update of the function is in progress"}
        for outcome, code in (("restoreFailed", 6), ("unfinished", 7)):
            self.on("rollback", reply({"runs": [report(outcome, "stopping", targets=[target])]}, code))
            self.fails(actions.roll_back, f"the run r is not restored: {outcome}; checkout: an update of the function is")

    def test_a_rollback_that_fails_blocks_no_other(self) -> None:
        self.started()
        self.start(name="second")
        done = reply({"runs": [report("endedEarly", "stopped")]})
        self.on("rollback", failure("RollbackFailed", "the rollback function failed: denied", 1), done)
        self.fails(actions.roll_back, "the run r was not rolled back: the rollback function failed: denied")
        self.assertTrue(SESSION.runs["second"].is_over)
        for out in ("{}", '{"runs": []}', "nonsense"):
            self.on("rollback", {"out": out, "code": 0})
            self.fails(actions.roll_back, "the run r was not rolled back: ", "name snapback's command line")


class Control(Extension):
    def state(self, why: str, func: str = "start_run", module: str = "chaossnapback.actions") -> None:
        context = {"provider": {"type": "python", "module": module, "func": func}}
        control.after_activity_control(context, {"status": "failed", "exception": ["Traceback", why]})

    def test_a_failed_start_ends_the_experiment(self) -> None:
        failed = "chaoslib.exceptions.ActivityFailed: chaossnapback.command.CommandFailed: refused\n"
        with self.assertRaises(InterruptExecution) as raised:
            self.state(failed)
        self.assertEqual(str(raised.exception), "snapback started no run: refused")
        self.state(failed, func="wait_for_run")
        self.state(failed, module="chaosaws.awslambda.actions")
        control.after_activity_control({"provider": {"type": "http"}}, {"status": "failed"})

    def test_a_signal_ends_the_experiment_in_every_activity(self) -> None:
        with self.assertRaises(InterruptExecution) as raised:
            self.state("chaoslib.exceptions.ActivityFailed: chaoslib.exceptions.InterruptExecution: SIGTERM\n", "wait_for_run")
        self.assertEqual(str(raised.exception), "SIGTERM")

    def test_the_journal_names_run_outcome_and_drift(self) -> None:
        self.started()
        drifted = {"field": "timeout", "note": "changed outside this run"}
        target = {"function": "checkout", "status": "drifted", "drift": [drifted]}
        self.on("rollback", reply({"runs": [report("drifted", "stopped", targets=[target])]}, 5))
        journal: dict[str, Any] = {"status": "completed", "deviated": False}
        control.after_experiment_control({}, journal)
        [named] = journal["snapback"]
        self.assertEqual((named["run"], named["outcome"]), ("r", "drifted"))
        self.assertEqual(named["drift"], ["checkout: timeout: changed outside this run"])
        self.assertEqual((journal["status"], journal["deviated"]), ("failed", False))

    def test_an_outcome_counts_for_the_experiment(self) -> None:
        early = "endedEarly"
        for outcome, status, is_rolled_back, expected in (
            ("held", "completed", False, ("completed", False)),
            ("noSteadyState", "completed", False, ("completed", False)),
            ("unproven", "completed", False, ("failed", False)),
            (early, "stopped", True, ("completed", False)),
            (early, "stopped", False, ("completed", True)),
            (early, "failed", False, ("failed", True)),
            ("restoreFailed", "failed", True, ("failed", False)),
        ):
            self.started()
            SESSION.runs["r"].report = report(outcome, status)
            SESSION.runs["r"].is_rolled_back = is_rolled_back
            journal: dict[str, Any] = {"status": "completed", "deviated": False}
            control.evaluate(SESSION.runs["r"], journal)
            self.assertEqual((journal["status"], journal["deviated"]), expected, outcome)
            SESSION.runs.clear()

    def test_a_rollback_that_fails_at_the_end_is_in_the_journal(self) -> None:
        self.started()
        self.on("rollback", failure("Unavailable", "AWS did not respond", 1))
        journal: dict[str, Any] = {"status": "completed", "deviated": False}
        control.after_experiment_control({}, journal)
        self.assertEqual((journal["snapback"][0]["run"], journal["snapback"][0]["outcome"]), ("r", "unfinished"))
        self.assertEqual(journal["status"], "failed")


class Watcher(Extension):
    def begin(self) -> None:
        SESSION.start_watcher()
        self.started()

    def killed(self) -> None:
        """Closes the pipe, as the kernel does when it ends the process."""
        assert SESSION.watcher is not None and SESSION.watcher.stdin is not None
        SESSION.watcher.stdin.close()
        self.assertEqual(SESSION.watcher.wait(30), 0)
        SESSION.watcher = None

    def test_a_killed_tool_is_rolled_back_by_the_watcher(self) -> None:
        self.on("rollback", reply({"runs": [report("endedEarly", "stopped")]}))
        self.begin()
        self.killed()
        last = self.calls()[-1]
        self.assertEqual(last["arguments"], ["rollback", "r", "--prevent-start", "--json"])
        self.assertEqual(last["via"], "Chaos Toolkit")

    def test_the_watcher_outlives_the_signals_that_end_the_tool(self) -> None:
        self.on("rollback", reply({"runs": []}))
        self.begin()
        watching = SESSION.watcher
        assert watching is not None
        signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        deadline = time.monotonic() + 30
        while not all(number in ignored(watching.pid) for number in signals) and time.monotonic() < deadline:
            time.sleep(0.01)
        for number in signals:
            watching.send_signal(number)
        self.killed()
        self.assertEqual(len(self.calls()), 2)

    def test_an_experiment_that_has_ended_is_not_rolled_back(self) -> None:
        self.begin()
        watching = SESSION.watcher
        SESSION.end_watcher()
        assert watching is not None
        self.assertEqual((watching.returncode, len(self.calls())), (0, 1))

    def test_a_refused_run_is_not_rolled_back(self) -> None:
        SESSION.start_watcher()
        self.on("run", failure("Refused", "refused", 3))
        self.fails(self.start)
        self.killed()
        self.assertEqual(len(self.calls()), 1)

    def test_an_incomplete_line_hides_no_run(self) -> None:
        lines = ['{"run": "a", "command": []}\n', '{"run": "b", "comm']
        self.assertEqual(list(watcher.left(lines)), ["a"])
        self.assertEqual(watcher.left([*lines[:1], '{"end": true}\n']), {})
        self.assertIsNone(watcher.roll_back({"command": [str(self.folder / "absent")], "variables": {}}))

    def test_a_rollback_that_fails_is_tried_again(self) -> None:
        self.on("rollback", failure("Unavailable", "AWS did not respond", 1), reply({"runs": []}))
        line = json.dumps({"run": "r", "command": [str(self.program), "rollback", "r"], "variables": {}})
        program = "import watcher; watcher.PAUSE_SECONDS = 0.01; watcher.main()"
        subprocess.run([sys.executable, "-c", program], input=f"{line}\n", text=True, check=True, cwd=Path(watcher.__file__).parent)
        self.assertEqual(len(self.calls()), 2)


def ignored(process: int) -> set[int]:
    """Returns the signals that a process ignores."""
    [line] = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("SigIgn:")]
    bits = int(line.split()[1], 16)
    return {number for number in range(1, 65) if bits >> (number - 1) & 1}


class Discovery(unittest.TestCase):
    def test_every_activity_is_discovered_with_its_arguments(self) -> None:
        found = {each["name"]: each for each in discover()["activities"]}
        listed = {name for module in (actions, probes, control) for name in module.__all__}
        self.assertEqual(set(found), listed)
        self.assertEqual([each["name"] for each in found["start_run"]["arguments"]][:2], ["experiment", "name"])
        self.assertTrue(all(each["doc"] for each in found.values()))


if __name__ == "__main__":
    unittest.main()

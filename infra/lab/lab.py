#!/usr/bin/env python3
"""The lab: experiments on live functions in an AWS emulator on this machine, with no AWS account.

lab.py run [--demo NUMBER] [--verbose]
                            start everything, run the six demos or one, compare, and stop everything
lab.py up [--json] [--parameters "Key=value ..."] [--user PID]
                            start everything, and leave it running; with --user, until the process PID has ended
lab.py crowd COUNT          create COUNT more functions in a lab that is up, unless they exist; print them as JSON
lab.py deploy STACK [PARAMETERS]
                            run `make deploy` for a stack in a lab that is up
lab.py traffic FUNCTION     send requests to a function of a lab that is up
lab.py down                 stop the lab that is up

up, crowd, deploy, traffic and down take --name NAME: several labs can be up at the same time under different names.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Callable, Iterator, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

import comparison
import conclusion
import crowd
import demo_concurrency
import demo_dependency
import demos
import emulator
import functions
import network
import session
from account import Account, clear_aws_settings
from deployment import CLI, ROOT, STACK, DeploymentError, make_deploy, require_build
from emulator import Emulator, EmulatorError
from evidence import Findings
from functions import FunctionFailed
from server import is_running
from session import DIRECTORY, set_up, shorter
from stage import Stage
from timeline import Timeline
from traffic import Traffic, times

# The report of demo 1, as the command line writes it.
REPORT = ROOT / "target" / "lab-report.html"
# How often the lab checks that its emulator still runs.
EMULATOR_CHECK_SECONDS = 0.5


def main() -> int:
    arguments = parse()
    clear_aws_settings()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, exit_on_signal)
    signal.signal(signal.SIGUSR1, fail_without_emulator)
    try:
        return int(arguments.command(arguments))
    except (EmulatorError, DeploymentError, FunctionFailed, BotoCoreError, ClientError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; everything that it has started is stopped", file=sys.stderr)
        return 130


class Parser(argparse.ArgumentParser):
    """Reports bad input in one line, which is the last thing on the screen; --help has the rest."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lab: {message}; see `lab.py --help`\n")


def parse() -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    running = commands.add_parser("run")
    running.add_argument("--demo", type=between(1, len(demos.ALL)), help="run only this one")
    running.add_argument("--verbose", action="store_true", help="print every field of the comparison")
    running.set_defaults(command=run)
    starting = commands.add_parser("up")
    starting.add_argument("--json", action="store_true", help="print one JSON object")
    starting.add_argument("--parameters", default="", help="parameters of the stack; default: those of the template")
    starting.add_argument("--user", type=between(1, 2**22), metavar="PID", help="the process that uses the lab")
    starting.set_defaults(command=up)
    crowding = commands.add_parser("crowd")
    crowding.add_argument("count", type=between(1, 100), metavar="count")
    crowding.set_defaults(command=create_crowd)
    deploying = commands.add_parser("deploy")
    deploying.add_argument("stack")
    deploying.add_argument("parameters", nargs="?", default="")
    deploying.set_defaults(command=deploy_again)
    sending = commands.add_parser("traffic")
    sending.add_argument("function", choices=[target.name for target in functions.TARGETS])
    sending.add_argument("--seconds", type=between(1, 300), default=30)
    sending.set_defaults(command=traffic)
    ending = commands.add_parser("down")
    ending.set_defaults(command=down)
    for each in (starting, crowding, deploying, sending, ending):
        each.add_argument("--name", type=lab_name, default=session.DEFAULT)
    return parser.parse_args()


def between(lowest: int, highest: int) -> Callable[[str], int]:
    """Returns a parser of whole numbers within these limits."""

    def parse_number(text: str) -> int:
        if text.isascii() and text.isdigit() and lowest <= int(text) <= highest:
            return int(text)
        raise argparse.ArgumentTypeError(f"{text}: write a whole number from {lowest} to {highest}")

    return parse_number


def lab_name(text: str) -> str:
    """Returns the name if a directory can have it and no lab that runs the demos has it."""
    if not re.fullmatch(r"(?!run-)[a-z][a-z0-9_-]{0,99}", text):
        raise argparse.ArgumentTypeError("write lower-case letters, digits, - and _, beginning with a letter, but not with run-")
    return text


def exit_on_signal(number: int, _: object) -> NoReturn:
    """Exits through every `finally`, which stop what was started."""
    raise SystemExit(128 + number)


# ------------------------------------------------------------------------------------------------------------- run


def run(arguments: argparse.Namespace) -> int:
    require_build()
    network.enter()
    timeline = Timeline()
    chosen = [demos.ALL[arguments.demo]] if arguments.demo else list(demos.ALL.values())
    timeline.plain("The snapback lab: experiments on live functions, in an AWS emulator on this machine.", "bold")
    remove_finished()
    directory = DIRECTORY / f"run-{os.getpid()}"
    findings = Findings()
    with running(directory, timeline) as emulated:
        account = emulated.account
        stack = set_up(account, timeline)
        timeline.line("lab", "snapback polls once a second, so its lines come up to a second after the function's")
        expected = {target.name: comparison.read(account, target.name) for target in functions.TARGETS}
        stage = Stage(account, stack, emulated.journal, emulated.record, timeline, findings, expected)
        demos.run_all(stage, chosen)
        skipped = demo_dependency.run in chosen and not network.is_separate()
        restored = conclusion.compare_all(stage, arguments.verbose)
        conclusion.check_leftovers(stage, len(chosen) - skipped, arguments.verbose)
        report = write_report(stage) if demo_concurrency.run in chosen else None
    timeline.plain(f"\nThe lab took {timeline.elapsed():.0f} seconds.", "dim")
    timeline.plain(f"restored exactly: {restored} of {len(expected)}", "green" if restored == len(expected) else "red")
    if findings.failures:
        for failure in findings.failures:
            timeline.plain(f"failed: {failure}", "red")
        timeline.plain(f"The lab has failed. The emulator's log is kept: {shorter(emulated.log)}", "red")
        return 1
    shutil.rmtree(directory)
    if report:
        timeline.plain(f"A report of demo 1, to open in a browser: {shorter(report)}")
    return 0


def write_report(stage: Stage) -> Path | None:
    """Writes the report of demo 1, which outlives the lab."""
    command = [str(CLI), "report", demo_concurrency.DEMO.run, "--stack", STACK, "--html", str(REPORT)]
    said = subprocess.run(command, env=stage.account.environment(), capture_output=True, text=True)
    written = f"written: {REPORT}" in said.stderr
    stage.findings.check(written, f"the report of demo 1 was not written: {said.stderr.strip()}")
    return REPORT if written else None


def remove_finished() -> None:
    """Removes the logs of earlier labs that failed or were killed."""
    for directory in DIRECTORY.glob("run-*"):
        if not is_running(int(directory.name.removeprefix("run-"))):
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def running(directory: Path, timeline: Timeline) -> Iterator[Emulator]:
    emulated = emulator.start(directory)
    ending = threading.Event()
    watcher = threading.Thread(target=watch, args=(emulated, ending), daemon=True)
    watcher.start()
    try:
        timeline.line("lab", f"ministack {emulated.version()} is up at {emulated.endpoint}")
        yield emulated
    finally:
        ending.set()
        watcher.join()
        timeline.clear_live()
        emulated.stop()


def watch(emulated: Emulator, ending: threading.Event) -> None:
    """Interrupts the lab if the emulator ends first. Otherwise the lab would wait minutes for what no longer happens."""
    while not ending.wait(EMULATOR_CHECK_SECONDS):
        if emulator.has_ended(emulated.pid):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            return


def fail_without_emulator(*_: object) -> NoReturn:
    raise EmulatorError("the emulator has ended")


# ---------------------------------------------------------------------------------------- a lab that is left running


def up(arguments: argparse.Namespace) -> int:
    # With --json, standard output is the JSON alone.
    timeline = Timeline(sys.stderr if arguments.json else sys.stdout)
    emulated = session.found(arguments.name)
    if emulated is None:
        require_build()
        emulated = session.begin(arguments.name, timeline, arguments.parameters, arguments.user)
    elif arguments.parameters:
        raise EmulatorError("a lab with other parameters is up already; stop it first: make lab-down")
    else:
        timeline.line("lab", "is up already")
    description = session.describe(emulated)
    print(json.dumps(description) if arguments.json else session.instructions(description))
    return 0


def down(arguments: argparse.Namespace) -> int:
    print("lab: stopped" if session.end(arguments.name) else "lab: it was not up")
    return 0


def create_crowd(arguments: argparse.Namespace) -> int:
    print(json.dumps(crowd.ensure_fleet(account_that_is_up(arguments), arguments.count)))
    return 0


def deploy_again(arguments: argparse.Namespace) -> int:
    code, said = make_deploy(account_that_is_up(arguments), arguments.stack, arguments.parameters)
    print(said)
    return code


def account_that_is_up(arguments: argparse.Namespace) -> Account:
    emulated = session.found(arguments.name)
    if emulated is None:
        raise EmulatorError("no lab is up; start one: make lab-up")
    return emulated.account


def traffic(arguments: argparse.Namespace) -> int:
    account = account_that_is_up(arguments)
    timeline = Timeline()

    def changed(result: str) -> None:
        timeline.line("traffic", f"{arguments.function}: {result}")

    seconds = arguments.seconds
    with Traffic(account, arguments.function, changed, max_requests=5 * seconds, max_seconds=seconds) as sent:
        sent.wait()
    took = times(sent.responses)
    timeline.line("traffic", f"{arguments.function}: {sent.counts}" + (f"; answers took: {took}" if took else ""))
    return 0


if __name__ == "__main__":
    sys.exit(main())

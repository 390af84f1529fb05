#!/usr/bin/env python3
"""The lab: experiments on live functions in an AWS emulator on this machine, with no AWS account.

lab.py run                  start everything, run the three demos, compare, and stop everything
lab.py up [--json] [--parameters "Key=value ..."]
                            start everything, and leave it running
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
import sys
from pathlib import Path
from typing import Iterator, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

import comparison
import crowd
import demos
import emulator
import functions
import ledger
import session
from account import Account, clear_aws_settings
from comparison import EXCEPTED, display
from deployment import DeploymentError, make_deploy, require_build
from emulator import Emulator, EmulatorError
from evidence import Findings, Journal
from session import DIRECTORY, set_up, shorter
from stage import Stage
from timeline import Timeline
from traffic import Traffic


def main() -> int:
    arguments = parse()
    clear_aws_settings()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, exit_on_signal)
    try:
        return int(arguments.command(arguments))
    except (EmulatorError, DeploymentError, BotoCoreError, ClientError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; everything that it has started is stopped", file=sys.stderr)
        return 130


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("run").set_defaults(command=run)
    starting = commands.add_parser("up")
    starting.add_argument("--json", action="store_true", help="print one JSON object")
    starting.add_argument("--parameters", default="", help="parameters of the stack; default: those of the template")
    starting.set_defaults(command=up)
    crowding = commands.add_parser("crowd")
    crowding.add_argument("count", type=int, choices=range(1, 101), metavar="1..100")
    crowding.set_defaults(command=create_crowd)
    deploying = commands.add_parser("deploy")
    deploying.add_argument("stack")
    deploying.add_argument("parameters", nargs="?", default="")
    deploying.set_defaults(command=deploy_again)
    sending = commands.add_parser("traffic")
    sending.add_argument("function", choices=[target.name for target in functions.TARGETS])
    sending.add_argument("--seconds", type=int, default=30, choices=range(1, 301), metavar="1..300")
    sending.set_defaults(command=traffic)
    ending = commands.add_parser("down")
    ending.set_defaults(command=down)
    for each in (starting, crowding, deploying, sending, ending):
        each.add_argument("--name", type=lab_name, default=session.DEFAULT)
    return parser.parse_args()


def lab_name(text: str) -> str:
    """Returns the name if a directory can have it and no lab that runs the demos has it."""
    if not re.fullmatch(r"(?!run-)[a-z][a-z0-9_-]{0,99}", text):
        raise argparse.ArgumentTypeError("write lower-case letters, digits, - and _, beginning with a letter, but not with run-")
    return text


def exit_on_signal(number: int, _: object) -> NoReturn:
    """Exits through every `finally`, which stop what was started."""
    raise SystemExit(128 + number)


# ------------------------------------------------------------------------------------------------------------- run


def run(_: argparse.Namespace) -> int:
    require_build()
    timeline = Timeline()
    timeline.plain("The snapback lab: three experiments on live functions, in an AWS emulator on this machine.", "bold")
    remove_finished()
    directory = DIRECTORY / f"run-{os.getpid()}"
    findings = Findings()
    with running(directory, timeline) as emulated:
        account = emulated.account
        stack = set_up(account, timeline)
        before = {target.name: comparison.read(account, target.name) for target in functions.TARGETS}
        stage = Stage(account, stack, Journal(emulated.journal), emulated.record, timeline, findings)
        for run_demo in demos.ALL:
            run_demo(stage)
        restored = sum(compare(stage, name, before[name]) for name in before)
        check_leftovers(stage)
    timeline.plain(f"\nThe lab took {timeline.elapsed():.0f} seconds.", "dim")
    timeline.plain(f"restored exactly: {restored} of {len(before)}", "green" if restored == len(before) else "red")
    if findings.failures:
        for failure in findings.failures:
            timeline.plain(f"failed: {failure}", "red")
        timeline.plain(f"The lab has failed. The emulator's log is kept: {shorter(emulated.log)}", "red")
        return 1
    shutil.rmtree(directory)
    return 0


def remove_finished() -> None:
    """Removes the logs of earlier labs that failed or were killed."""
    for directory in DIRECTORY.glob("run-*"):
        if not emulator.is_running(int(directory.name.removeprefix("run-"))):
            shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def running(directory: Path, timeline: Timeline) -> Iterator[Emulator]:
    emulated = emulator.start(directory, ends_with_lab=True)
    try:
        timeline.line("lab", f"ministack {emulated.version()} is up at {emulated.endpoint}")
        yield emulated
    finally:
        timeline.clear_live()
        emulated.stop()


def compare(stage: Stage, name: str, before: dict[str, object]) -> bool:
    """Prints the whole configuration of a function, before and after. Returns whether they are the same."""
    timeline = stage.timeline
    after = comparison.read(stage.account, name)
    different = {difference.field: difference for difference in comparison.differences(before, after)}
    timeline.title(f"{name}: {len(before)} fields before and after, {len(different)} differ")
    width = max(len(field) for field in before.keys() | after.keys())
    for field in sorted(before.keys() | after.keys()):
        if field in different:
            now = f"{display(field, before.get(field))} -> {display(field, after.get(field))}"
            timeline.plain(f"  differs  {field:<{width}}  {now}", "red")
        else:
            timeline.plain(f"  same     {field:<{width}}  {display(field, before[field])}")
    stage.findings.check(not different, f"{name} is not restored exactly")
    return not different


def check_leftovers(stage: Stage) -> None:
    stage.timeline.title("not compared, because AWS writes these fields")
    for reason, fields in EXCEPTED.items():
        stage.timeline.plain(f"        {', '.join(field.split('.')[-1] for field in fields)}: {reason}")
    stage.timeline.title("what is left in the stack")
    left = ledger.leftovers(stage.account, stage.stack, len(demos.ALL))
    for sentence in left:
        stage.timeline.plain(f"        {sentence}", "red")
    stage.check(not left, "the ledger holds no lock and no armed snapshot, and the dead-letter queue is empty")


# ---------------------------------------------------------------------------------------- a lab that is left running


def up(arguments: argparse.Namespace) -> int:
    # With --json, standard output is the JSON alone.
    timeline = Timeline(sys.stderr if arguments.json else sys.stdout)
    emulated = session.found(arguments.name)
    if emulated is None:
        require_build()
        emulated = session.begin(arguments.name, timeline, arguments.parameters)
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
        sent.thread.join()
    timeline.line("traffic", f"{arguments.function}: {sent.counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

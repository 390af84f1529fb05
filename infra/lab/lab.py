#!/usr/bin/env python3
"""The lab: experiments on live functions in an AWS emulator on this machine, with no AWS account.

lab.py run                  start everything, run the three demos, compare, and stop everything
lab.py up [--json]          start everything, and leave it running
lab.py traffic FUNCTION     send requests to a function of a lab that is up
lab.py down                 end the lab that is up
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Iterator, NoReturn

from botocore.exceptions import BotoCoreError, ClientError

import comparison
import demos
import emulator
import functions
import ledger
from account import REGION, Account, forget_real_account
from comparison import EXCEPTED, shown
from deployment import AWS, ROOT, STACK, DeploymentError, Stack, deploy, require_build
from emulator import Emulator, EmulatorError
from evidence import Findings, Journal
from timeline import Timeline
from traffic import Traffic

DIRECTORY = ROOT / "target" / "lab"
# The lab that is up; one that runs the demos has a directory of its own, so that both can be.
UP = DIRECTORY / "up"
STATE = UP / "state.json"


def main() -> int:
    arguments = parse()
    forget_real_account()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    try:
        return int(arguments.command(arguments))
    except (EmulatorError, DeploymentError, BotoCoreError, ClientError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; everything that it started is stopped", file=sys.stderr)
        return 130


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("run").set_defaults(command=run)
    starting = commands.add_parser("up")
    starting.add_argument("--json", action="store_true", help="print one JSON object")
    starting.set_defaults(command=up)
    sending = commands.add_parser("traffic")
    sending.add_argument("function", choices=[target.name for target in functions.TARGETS])
    sending.add_argument("--seconds", type=int, default=30, choices=range(1, 301), metavar="1..300")
    sending.set_defaults(command=traffic)
    commands.add_parser("down").set_defaults(command=down)
    return parser.parse_args()


def leave(number: int, _: object) -> NoReturn:
    """Leaves through every `finally`, which stop what was started."""
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
        account = Account(emulated.endpoint)
        stack = set_up(account, timeline)
        before = {target.name: comparison.look(account, target.name) for target in functions.TARGETS}
        stage = demos.Stage(account, stack, Journal(emulated.journal), timeline, findings)
        demos.run_concurrency(stage)
        demos.run_handler(stage)
        demos.run_layer(stage)
        restored = sum(compare(stage, name, before[name]) for name in before)
        judge_leftovers(stage)
    if findings.failures:
        timeline.plain(f"\nThe emulator's log is kept: {shorter(emulated.log)}")
        for failure in findings.failures:
            timeline.plain(f"failed: {failure}", "red")
    else:
        shutil.rmtree(directory)
    timeline.plain(f"restored exactly: {restored} of {len(before)}", "green" if restored == len(before) else "red")
    return 1 if findings.failures or restored != len(before) else 0


def remove_finished() -> None:
    """Removes what earlier labs have left, which is the log of one that failed or was killed."""
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
        timeline.still()
        emulated.stop()


def set_up(account: Account, timeline: Timeline) -> Stack:
    stack = deploy(account)
    timeline.line("lab", f"stack {STACK} is deployed from infra/template.yaml, by `make deploy`")
    functions.create_all(account)
    names = ", ".join(target.name for target in functions.TARGETS)
    timeline.line("lab", f"functions to experiment on: {names}")
    return stack


def compare(stage: demos.Stage, name: str, before: dict[str, object]) -> bool:
    """Prints the whole configuration of a function, before and after; whether nothing differs."""
    timeline = stage.timeline
    after = comparison.look(stage.account, name)
    different = {difference.field: difference for difference in comparison.differences(before, after)}
    timeline.title(f"{name}: {len(before)} fields before and after, {len(different)} differ")
    width = max(len(field) for field in before.keys() | after.keys())
    for field in sorted(before.keys() | after.keys()):
        if field in different:
            now = f"{shown(field, before.get(field))} → {shown(field, after.get(field))}"
            timeline.plain(f"  differs  {field:<{width}}  {now}", "red")
        else:
            timeline.plain(f"  same     {field:<{width}}  {shown(field, before[field])}")
    stage.findings.check(not different, f"{name} is not as it was")
    return not different


def judge_leftovers(stage: demos.Stage) -> None:
    stage.timeline.title("not compared, since AWS writes it by itself")
    for reason, fields in EXCEPTED.items():
        stage.timeline.plain(f"        {', '.join(field.split('.')[-1] for field in fields)}: {reason}")
    stage.timeline.title("what is left behind")
    left = ledger.leftovers(stage.account, stage.stack)
    for sentence in left:
        stage.timeline.plain(f"        {sentence}", "red")
    stage.check(not left, "the ledger holds no lock and no armed snapshot, and the dead-letter queue is empty")
    stage.timeline.plain("")


# ------------------------------------------------------------------------------------------------------ up and down


def up(arguments: argparse.Namespace) -> int:
    # With --json, standard output is the JSON alone.
    timeline = Timeline(sys.stderr if arguments.json else sys.stdout)
    emulated = found()
    if emulated is None:
        require_build()
        emulated = emulator.start(UP, ends_with_lab=False)
        try:
            set_up(Account(emulated.endpoint), timeline)
        except BaseException:
            emulated.stop()
            raise
        STATE.write_text(json.dumps({"pid": emulated.pid, "port": emulated.port}))
    else:
        timeline.line("lab", "is up already")
    description = describe(emulated)
    print(json.dumps(description) if arguments.json else instructions(description))
    return 0


def down(_: argparse.Namespace) -> int:
    emulated = recorded()
    if emulated is not None:
        emulated.stop()
    shutil.rmtree(UP, ignore_errors=True)
    print("lab: it was not up" if emulated is None else "lab: down")
    return 0


def recorded() -> Emulator | None:
    """The lab that was brought up, whether or not it still runs."""
    try:
        state = json.loads(STATE.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return Emulator(state["pid"], state["port"], UP)


def found() -> Emulator | None:
    """The lab that is up, if one is."""
    emulated = recorded()
    return emulated if emulated is not None and emulated.lives() and emulated.answers() else None


def describe(emulated: Emulator) -> dict[str, object]:
    return {
        "endpoint": emulated.endpoint,
        "region": REGION,
        "environment": Account(emulated.endpoint).exports(),
        "stack": STACK,
        "functions": [target.name for target in functions.TARGETS],
        "alarms": [target.alarm_name for target in functions.TARGETS],
        "pid": emulated.pid,
        "log": shorter(emulated.log),
    }


def instructions(description: dict[str, object]) -> str:
    environment = description["environment"]
    assert isinstance(environment, dict)
    python = shorter(Path(sys.executable))
    exports = "\n".join(f"  export {name}={value}" for name, value in environment.items())
    return f"""
The lab is up at {description["endpoint"]} (its log: {description["log"]}). For a shell that works in it:

  unset AWS_PROFILE
{exports}

Then try, for instance:

  target/release/snapback plan events/demo-2-handler.json --stack {STACK}
  target/release/snapback run events/demo-2-handler.json --stack {STACK}
  {python} infra/lab/lab.py traffic lab-checkout &
  target/release/snapback run events/demo-1-concurrency.json --stack {STACK}
  target/release/snapback status --stack {STACK}
  {shorter(AWS)} lambda get-function --function-name lab-payment

The emulator looks at alarms only when somebody puts a metric, as `traffic` does each second.
When you are done: make lab-down"""


def traffic(arguments: argparse.Namespace) -> int:
    emulated = found()
    if emulated is None:
        raise EmulatorError("no lab is up; start one with `make lab-up`")
    timeline = Timeline()
    account = Account(emulated.endpoint)

    def changed(result: str) -> None:
        timeline.line("traffic", f"{arguments.function}: {result}")

    seconds = arguments.seconds
    with Traffic(account, arguments.function, changed, most_requests=5 * seconds, most_seconds=seconds) as sent:
        sent.thread.join()
    timeline.line("traffic", f"{arguments.function}: {sent.counts}")
    return 0


def shorter(path: Path) -> str:
    """As one would type it at the top of the repository."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


if __name__ == "__main__":
    sys.exit(main())

"""Labs that are left running: the state file of each, and the instructions for its users."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

import emulator
import functions
import sandbox
from account import REGION, Account, Credentials
from deployment import AWS, ROOT, STACK, Stack, deploy, find
from emulator import Emulator
from server import STATE
from timeline import Timeline

# Each lab has its own directory, also one that runs the demos, so that several can be up at the same time.
DIRECTORY = ROOT / "target" / "labs"
# The name of a lab that is started without one. Each test names its own lab.
DEFAULT = "up"


def begin(name: str, timeline: Timeline, parameters: str, user: int | None) -> Emulator:
    """Starts everything, and leaves it running, until the process `user` has ended if there is one.

    `parameters` are those of the stack, in the form of `make deploy`.
    """
    end(name)
    emulated = emulator.start(DIRECTORY / name)
    try:
        set_up(emulated.account, timeline, parameters)
        record(emulated, user)
    except BaseException:
        emulated.stop()
        raise
    return emulated


def record(emulated: Emulator, user: int | None) -> None:
    """Writes the state file, after which the emulator outlives this process. It appears complete or not at all."""
    state = {
        "pid": emulated.pid,
        "port": emulated.port,
        "credentials": asdict(emulated.credentials),
        "user": user,
    }
    incomplete = emulated.directory / f"{STATE}.incomplete"
    incomplete.write_text(json.dumps(state))
    incomplete.replace(emulated.directory / STATE)


def end(name: str) -> bool:
    """Stops the lab of this name, also one that is incomplete. Returns whether there was one."""
    emulated = recorded(name)
    if emulated is not None:
        emulated.stop()
    shutil.rmtree(DIRECTORY / name, ignore_errors=True)
    return emulated is not None


def recorded(name: str) -> Emulator | None:
    """Returns the lab of this name, even if it no longer runs."""
    directory = DIRECTORY / name
    try:
        state = json.loads((directory / STATE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return Emulator(state["pid"], state["port"], directory, Credentials(**state["credentials"]))


def found(name: str) -> Emulator | None:
    """Returns the lab of this name if it is up."""
    emulated = recorded(name)
    return emulated if emulated is not None and emulated.is_alive() and emulated.responds() else None


def describe(emulated: Emulator) -> dict[str, object]:
    account = emulated.account
    return {
        "endpoint": emulated.endpoint,
        "region": REGION,
        "environment": account.exports(),
        "stack": STACK,
        "table": find(account).ledger,
        "functions": [target.name for target in functions.TARGETS],
        "alarms": [target.alarm_name for target in functions.TARGETS],
        "pid": emulated.pid,
        "directory": str(emulated.directory),
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
  export SNAPBACK_STACK={STACK}
  export PATH=$PWD/target/release:$PATH

Then try, for instance:

  snapback plan events/demo-2-handler.json
  snapback run events/demo-2-handler.json
  snapback run events/demo-1-concurrency.json
  snapback run events/demo-3-proxy.json
  snapback status
  {shorter(AWS)} lambda invoke --function-name lab-receipt --payload '{{}}' /dev/stdout

Demos 1 to 3 need requests. Send them in a second terminal; they end after 30 s (--seconds):

  {python} infra/lab/lab.py traffic lab-checkout
  {python} infra/lab/lab.py traffic lab-receipt
  {python} infra/lab/lab.py traffic lab-search

A fault of the kind `dependency` is not felt here: it never breaks loopback addresses. See it with make lab DEMO=6.

The emulator evaluates alarms only when a metric is put, as `traffic` does each second.
When you are done: make lab-down"""


def set_up(account: Account, timeline: Timeline, parameters: str = "") -> Stack:
    stack = deploy(account, parameters)
    timeline.line("lab", f"stack {STACK} is deployed from infra/template.yaml with `make deploy`")
    functions.create_all(account)
    names = ", ".join(target.name for target in functions.TARGETS)
    timeline.line("lab", f"functions to experiment on: {names}")
    timeline.line("lab", sandbox.description())
    return stack


def shorter(path: Path) -> str:
    """Returns the path relative to the top of the repository."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)

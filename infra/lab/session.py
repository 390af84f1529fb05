"""Labs that are left running: what is written down about each, and how one works in it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import emulator
import functions
from account import REGION, Account
from deployment import AWS, ROOT, STACK, Stack, deploy, find
from emulator import Emulator
from timeline import Timeline

# Each lab has a directory of its own, also the one that runs the demos, so that several can be up at once.
DIRECTORY = ROOT / "target" / "lab"
# The one of a person who does not name it; every test has one under a name of its own.
DEFAULT = "up"
STATE = "state.json"


def begin(name: str, timeline: Timeline, parameters: str) -> Emulator:
    """Starts everything, and leaves it running. `parameters`: of the stack, as `make deploy` takes them."""
    end(name)
    emulated = emulator.start(DIRECTORY / name, ends_with_lab=False)
    try:
        set_up(Account(emulated.endpoint), timeline, parameters)
        (emulated.directory / STATE).write_text(json.dumps({"pid": emulated.pid, "port": emulated.port}))
    except BaseException:
        emulated.stop()
        raise
    return emulated


def end(name: str) -> bool:
    """Ends the lab that was begun, in whatever condition it is; whether there was one."""
    emulated = recorded(name)
    if emulated is not None:
        emulated.stop()
    shutil.rmtree(DIRECTORY / name, ignore_errors=True)
    return emulated is not None


def recorded(name: str) -> Emulator | None:
    """The lab that was brought up, whether or not it still runs."""
    directory = DIRECTORY / name
    try:
        state = json.loads((directory / STATE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return Emulator(state["pid"], state["port"], directory)


def found(name: str) -> Emulator | None:
    """The lab that is up, if one is."""
    emulated = recorded(name)
    return emulated if emulated is not None and emulated.lives() and emulated.answers() else None


def describe(emulated: Emulator) -> dict[str, object]:
    account = Account(emulated.endpoint)
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

Then try, for instance:

  target/release/snapback plan events/demo-2-handler.json --stack {STACK}
  target/release/snapback run events/demo-2-handler.json --stack {STACK}
  {python} infra/lab/lab.py traffic lab-checkout &
  target/release/snapback run events/demo-1-concurrency.json --stack {STACK}
  target/release/snapback status --stack {STACK}
  {shorter(AWS)} lambda get-function --function-name lab-payment

The emulator looks at alarms only when somebody puts a metric, as `traffic` does each second.
When you are done: make lab-down"""


def set_up(account: Account, timeline: Timeline, parameters: str = "") -> Stack:
    stack = deploy(account, parameters)
    timeline.line("lab", f"stack {STACK} is deployed from infra/template.yaml, by `make deploy`")
    functions.create_all(account)
    names = ", ".join(target.name for target in functions.TARGETS)
    timeline.line("lab", f"functions to experiment on: {names}")
    return stack


def shorter(path: Path) -> str:
    """As one would type it at the top of the repository."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)

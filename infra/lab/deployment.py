"""Deploys the stack into the emulator with `make deploy`, as to AWS; only the endpoint differs."""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from account import Account

ROOT = Path(__file__).resolve().parents[2]
STACK = "snapback-lab"
BUCKET = "snapback-lab-artifacts"
PACKAGE = ROOT / "target" / "package" / "bootstrap.zip"
LAYERS = [ROOT / "target" / "layer" / f"{architecture}.zip" for architecture in ("arm64", "x86_64", "handler")]
CLI = ROOT / "target" / "release" / "snapback"
# The AWS command line from the same tools as this Python.
AWS = Path(sys.executable).parent / "aws"
# The commands take a few seconds on an idle machine.
MAX_SECONDS = 600


class DeploymentError(Exception):
    """The stack could not be built or deployed."""


@dataclass(frozen=True)
class Stack:
    """The deployed stack: its outputs, and the queue among its resources."""

    outputs: dict[str, str]
    dead_letter_queue: str

    @property
    def ledger(self) -> str:
        return self.outputs["LedgerTable"]

    @property
    def rollback_function(self) -> str:
        return self.outputs["RollbackFunction"]

    @property
    def reaper_function(self) -> str:
        return f"{self.outputs['Prefix']}-reaper"


def require_build() -> None:
    missing = [str(path.relative_to(ROOT)) for path in (CLI, PACKAGE, *LAYERS) if not path.exists()]
    if missing:
        raise DeploymentError(f"not built yet: {', '.join(missing)}; run `make build` first")


def architecture() -> str:
    """Returns this machine's architecture by Lambda's name, because the emulator runs the binary here."""
    return {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")


def deploy(account: Account, parameters: str) -> Stack:
    account.client("s3").create_bucket(Bucket=BUCKET)
    code, said = make_deploy(account, STACK, parameters)
    if code:
        raise DeploymentError(f"`make deploy` failed with {code}:\n{said}")
    return find(account)


def make_deploy(account: Account, stack: str, parameters: str) -> tuple[int, str]:
    """Runs `make deploy`; returns its exit code and its output."""
    return make(account, command("deploy", stack, parameters))


def make_deploy_fis(account: Account, stack: str, parameters: str, experiment: str = "") -> tuple[int, str]:
    """Runs `make deploy-fis` beside a stack; returns its exit code and its output."""
    return make(account, command("deploy-fis", stack, parameters, experiment))


def make(account: Account, words: list[str]) -> tuple[int, str]:
    with exclusive_deployment():
        deploying = subprocess.Popen(
            words,
            cwd=ROOT,
            env=environment(account),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # A separate group is stopped as a whole: `make` does not stop the AWS command line when it is killed.
            start_new_session=True,
        )
        try:
            said, _ = deploying.communicate(timeout=MAX_SECONDS)
        except BaseException:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(deploying.pid, signal.SIGKILL)
            deploying.wait()
            raise
    return deploying.returncode, said.strip()


@contextlib.contextmanager
def exclusive_deployment() -> Iterator[None]:
    """Serializes `make deploy`, which writes target/package/template.yaml and reads it again."""
    with PACKAGE.with_name("deploying").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def command(target: str, stack: str, parameters: str, experiment: str = "") -> list[str]:
    """Returns the command of a deployment. With -o a prerequisite counts as up to date, so nothing is built."""
    variables = [f"STACK={stack}", f"BUCKET={BUCKET}", f"ARCH={architecture()}", f"AWS={AWS}"]
    # The shell may have set these too.
    others = [f"PARAMETERS={parameters}", f"EXPERIMENT={experiment}", "TAGS="]
    built = ["-o", "package", "-o", "cli", "-o", "tools-lab"]
    return ["make", target, *built, *variables, *others]


def environment(account: Account) -> dict[str, str]:
    """Returns the environment without the options and variables that a parent `make lab` passes to its children."""
    inherited = account.environment()
    return {name: value for name, value in inherited.items() if name not in ("MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES")}


def find(account: Account) -> Stack:
    formation = account.client("cloudformation")
    described = formation.describe_stacks(StackName=STACK)["Stacks"][0]
    resources = formation.describe_stack_resources(StackName=STACK)["StackResources"]
    queue = next(each for each in resources if each["LogicalResourceId"] == "DeadLetterQueue")
    return Stack(
        {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]},
        queue["PhysicalResourceId"],
    )

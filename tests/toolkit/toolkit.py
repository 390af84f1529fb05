"""The installed Chaos Toolkit with snapback's extension, as a user of a lab runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[2] / "infra" / "lab"), str(Path(__file__).parents[1])]

import comparison  # noqa: E402
from account import REGION, Account, Credentials  # noqa: E402
from deployment import CLI, ROOT, STACK, find  # noqa: E402
from lab_parts import PATIENCE_SECONDS, eventually  # noqa: E402

PACKAGE = ROOT / "infra" / "chaostoolkit-snapback"
EXAMPLES = PACKAGE / "examples"
TOOLS = ROOT / ".tools" / "chaos" / "bin"
# How the steady state is checked during the method, and that the rollbacks are always played.
STRATEGY = (
    "--hypothesis-strategy=continuously",
    "--hypothesis-frequency=1",
    "--fail-fast",
    "--rollback-strategy=always",
)


@dataclass
class Toolkit:
    """The toolkit in its own directory, with the rights of infra/README.md for `run` and nothing more."""

    account: Account
    directory: Path
    variables: dict[str, str] = field(default_factory=dict)

    def install(self) -> None:
        """Builds the extension's package and installs it, as `pip install` does for a user."""
        shutil.rmtree(self.directory, ignore_errors=True)
        site = self.directory / "site"
        site.mkdir(parents=True)
        offline = ("--quiet", "--disable-pip-version-check", "--no-index", "--no-deps", "--no-build-isolation")
        pip = [str(TOOLS / "python"), "-m", "pip", "install", *offline, "--target", str(site), str(PACKAGE)]
        done = subprocess.run(pip, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        assert done.returncode == 0, f"install the tools with `make tools-chaos`: {done.stdout}"
        user = Account(self.account.endpoint, self.create_user())
        self.variables = {
            **user.environment(),
            "HOME": str(self.directory),
            "PATH": f"{CLI.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(site),
            "SNAPBACK_STACK": STACK,
        }

    def create_user(self) -> Credentials:
        """Creates a user who may do what infra/README.md lists for `snapback run`."""
        outputs = find(self.account).outputs
        table = f"arn:aws:dynamodb:{REGION}:*:table/{outputs['LedgerTable']}"
        machine = outputs["StateMachineArn"]
        rights = {
            "cloudformation:DescribeStacks": f"arn:aws:cloudformation:{REGION}:*:stack/{STACK}/*",
            **{f"dynamodb:{action}": table for action in ("GetItem", "Query", "Scan")},
            "lambda:InvokeFunction": f"arn:aws:lambda:*:*:function:{outputs['RollbackFunction']}",
            "states:StartExecution": machine,
            "states:DescribeExecution": f"{machine.replace(':stateMachine:', ':execution:')}:*",
            "cloudwatch:DescribeAlarms": "*",
        }
        statements = [
            {"Effect": "Allow", "Action": action, "Resource": resource} for action, resource in rights.items()
        ]
        iam, name = self.account.client("iam"), "chaos-toolkit"
        iam.create_user(UserName=name)
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_user_policy(UserName=name, PolicyName="run", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Credentials(key["AccessKeyId"], key["SecretAccessKey"])

    def begin(self, name: str, *arguments: str, as_administrator: bool = False) -> Chaos:
        """Starts `chaos` in the examples' directory and in its own process group, as a shell does."""
        log = self.directory / f"{name}.log"
        command = [str(TOOLS / "chaos"), "--no-version-check", "--log-file", str(self.directory / f"{name}.debug"), *arguments]
        administrator = self.account.exports() if as_administrator else {}
        with log.open("w") as out:
            process = subprocess.Popen(
                command,
                cwd=EXAMPLES,
                env={**self.variables, **administrator},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        return Chaos(process, log, self.directory / f"{name}.json")

    def run(self, name: str, example: str, **variables: str) -> Chaos:
        """Starts an experiment of the examples, as it is, with these values for its configuration."""
        chosen = [f"--var={key}={value}" for key, value in variables.items()]
        journal = f"--journal-path={self.directory / name}.json"
        return self.begin(name, "run", *STRATEGY, journal, *chosen, str(EXAMPLES / example))

    def snapback(self, *arguments: str) -> dict[str, Any]:
        """Returns what the command line prints as JSON."""
        done = subprocess.run(
            [str(CLI), *arguments, "--json"],
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        try:
            return dict(json.loads(done.stdout))
        except ValueError:
            raise AssertionError(f"snapback {arguments}: {done.returncode}: {done.stdout}{done.stderr}") from None

    def look(self, function: str) -> dict[str, Any]:
        """Returns the whole configuration of a function after its last update."""
        eventually(f"the last update of {function}", lambda: comparison.is_updated(self.account, function))
        return comparison.read(self.account, function)


@dataclass
class Chaos:
    """A running `chaos`, its output, and the journal that it writes at its end."""

    process: subprocess.Popen[str]
    log: Path
    journal_file: Path

    def said(self) -> str:
        return self.log.read_text()

    def run_name(self) -> str:
        """Returns the name of its run, once it is shown."""
        mark = "snapback: run "
        line = eventually("the run's name is shown", lambda: next(
            (line for line in self.said().splitlines(keepends=True) if mark in line and line.endswith("\n")), ""
        ))  # fmt: skip
        return str(line.partition(mark)[2]).strip().removesuffix("\x1b[0m")

    def interrupt(self) -> None:
        """Sends what a Ctrl-C sends: SIGINT to the whole process group."""
        os.killpg(self.process.pid, signal.SIGINT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def kill_watcher(self) -> None:
        """Kills the process that would roll back after a kill."""
        watchers = [pid for pid in children(self.process.pid) if b"watcher.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        assert len(watchers) == 1, watchers
        os.kill(watchers[0], signal.SIGKILL)

    def end(self) -> tuple[int, dict[str, Any]]:
        """Waits for its end. Returns its exit code and its journal."""
        code = self.process.wait(PATIENCE_SECONDS)
        assert self.journal_file.exists(), self.said()
        return code, dict(json.loads(self.journal_file.read_text()))


def children(process: int) -> list[int]:
    listed = (Path(f"/proc/{process}/task") / str(process) / "children").read_text()
    return [int(pid) for pid in listed.split()]

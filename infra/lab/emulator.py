"""Runs the emulator as a separate process: starts it on a free port of 127.0.0.1, waits for it, and always stops it."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, replace
from pathlib import Path

import network
from account import REGION, ROOT, Account, Credentials, create_administrator
from bridge import JOURNAL
from record import RECORD
from rights import RIGHTS
from server import IDENTITY_PATH, is_running

SERVER = Path(__file__).with_name("server.py")
START_ATTEMPTS = 3
# Long enough for a busy machine.
READY_SECONDS = 120.0
STOP_SECONDS = 5.0


class EmulatorError(Exception):
    """The emulator did not start, or is not running."""


@dataclass(frozen=True)
class Emulator:
    """A running emulator. `pid` leads the process group, which includes the functions' processes."""

    pid: int
    port: int
    directory: Path
    # The administrator's.
    credentials: Credentials

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def account(self) -> Account:
        return Account(self.endpoint, self.credentials)

    @property
    def log(self) -> Path:
        return self.directory / "emulator.log"

    @property
    def journal(self) -> Path:
        """The journal of the events that the bridge has sent."""
        return self.directory / JOURNAL

    @property
    def record(self) -> Path:
        """The record of changes and invocations (record.py)."""
        return self.directory / RECORD

    def responds(self) -> bool:
        """Returns whether this emulator responds, and not another one on the same port."""
        try:
            # Any status but 200 is an error.
            with urllib.request.urlopen(f"{self.endpoint}{IDENTITY_PATH}", timeout=5) as response:
                return bool(response.read().decode() == str(self.directory))
        except (OSError, http.client.HTTPException):
            return False

    def version(self) -> str:
        with urllib.request.urlopen(f"{self.endpoint}/_ministack/health", timeout=5) as response:
            return str(json.load(response)["version"])

    def stop(self) -> None:
        """Ends the emulator and every process that it started, if there are any."""
        if self.is_alive():
            signal_group(self.pid, signal.SIGTERM)
            wait_until_ended(self.pid)
            # A function's process may still run, because a process group outlives its leader.
            signal_group(self.pid, signal.SIGKILL)
        reap(self.pid)
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)

    def is_alive(self) -> bool:
        """Returns whether the group `pid` still is this emulator's: the number from an old file may belong to another process now.

        The command line of the server and the environments of the functions name the directory.
        """
        # With e, ps also prints the environments of this user's processes.
        listing = subprocess.run(["ps", "axeww", "-o", "pgid=,command="], capture_output=True, text=True, check=True)
        members = [line.split(None, 1) for line in listing.stdout.splitlines()]
        return any(
            member[0] == str(self.pid) and str(self.directory) in member[1] for member in members if len(member) == 2
        )


def start(directory: Path) -> Emulator:
    """Starts an emulator that keeps its files in `directory` (emptied first), and waits until it responds.

    The emulator also ends when this process has ended, unless the directory has the state file of a lab that is left running.
    """
    shutil.rmtree(directory, ignore_errors=True)
    (directory / "tmp").mkdir(parents=True)
    for file in (JOURNAL, RECORD, RIGHTS):
        (directory / file).touch()
    for _ in range(START_ATTEMPTS):
        root = Credentials(ROOT, secrets.token_urlsafe(30))
        emulator = spawn(directory, free_port(), root)
        try:
            if becomes_ready(emulator):
                return replace(emulator, credentials=create_administrator(emulator.account))
        except BaseException:
            emulator.stop()
            raise
        # Another process may have taken the port since it was found. Try another one.
        emulator.stop()
    raise EmulatorError(f"the emulator did not start; the end of its log:\n{tail(directory / 'emulator.log')}")


def spawn(directory: Path, port: int, root: Credentials) -> Emulator:
    with (directory / "emulator.log").open("ab") as log:
        process = subprocess.Popen(
            # Pass our PID: if this process died first, `getppid()` would return another process.
            [sys.executable, str(SERVER), str(directory), str(os.getpid())],
            env=environment(directory, port, root),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            # A separate group is stopped as a whole, and Ctrl-C only reaches the lab, which stops the emulator in order.
            start_new_session=True,
        )
    return Emulator(process.pid, port, directory, root)


def environment(directory: Path, port: int, root: Credentials) -> dict[str, str]:
    """Returns a small environment, because every function inherits it."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "LC_ALL") if name in os.environ}
    return {
        **kept,
        "TMPDIR": str(directory / "tmp"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "GATEWAY_PORT": str(port),
        # A separate network has no other machine, and a function reaches it under another address there.
        "BIND_HOST": "0.0.0.0" if network.is_separate() else "127.0.0.1",
        # The host in the addresses that it returns, for instance a queue's.
        "MINISTACK_HOST": "127.0.0.1",
        "MINISTACK_REGION": REGION,
        "USE_SSL": "0",
        # IAM policies and signatures are evaluated.
        "AUTH": "true",
        # These are the root user's. Each function gets the credentials of its role instead.
        "AWS_ACCESS_KEY_ID": root.key_id,
        "AWS_SECRET_ACCESS_KEY": root.secret,
        # Listeners that the lab does not need; the second one would use a fixed port.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        # AWS's default. The emulator's depends on this machine's memory.
        "LAMBDA_ACCOUNT_CONCURRENCY": "1000",
        # Without it, binaries would call the real AWS.
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def becomes_ready(emulator: Emulator) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if has_ended(emulator.pid):
            return False
        if emulator.responds():
            return True
        time.sleep(0.05)
    return False


def has_ended(pid: int) -> bool:
    reap(pid)
    return not is_running(pid)


def signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def wait_until_ended(pid: int) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    while not has_ended(pid) and time.monotonic() < deadline:
        time.sleep(0.05)


def reap(pid: int) -> None:
    """Reaps a child that has ended. In `down`, the emulator is not a child."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def tail(path: Path, lines: int = 20) -> str:
    return "\n".join(path.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

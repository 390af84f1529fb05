"""Tests that no process and no mount is left of a lab that is interrupted, killed, or loses its emulator or its user."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Callable

import deployment
import server
from session import DIRECTORY

LAB = Path(__file__).with_name("lab.py")
# For everything that follows automatically, even on a busy machine.
PATIENCE_SECONDS = 300.0
# The proxy's fault is in place, so that a runtime and a proxy run in a mount namespace.
INJECTED = "lab-search injected"


def is_built() -> bool:
    try:
        deployment.require_build()
    except deployment.DeploymentError:
        return False
    return True


def processes_of(directory: Path) -> list[str]:
    """Returns the processes that name the lab's directory, in their command line or their environment."""
    listing = subprocess.run(["ps", "axeww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
    return [line[:300] for line in listing.stdout.splitlines() if str(directory) in line]


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.1)


class Lab:
    """A lab that runs demo 3, until its fault is in place."""

    def __init__(self) -> None:
        command = [sys.executable, str(LAB), "run", "--demo", "3"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.directory = DIRECTORY / f"run-{self.process.pid}"
        assert self.process.stdout is not None
        self.output = ""
        for line in self.process.stdout:
            self.output += line
            if INJECTED in line:
                return
        raise AssertionError(f"the lab ended before its fault was in place:\n{self.output}")

    def processes(self) -> list[str]:
        return processes_of(self.directory)

    def server(self) -> int:
        return next(int(line.split()[0]) for line in self.processes() if "server.py" in line)

    def end(self) -> int:
        """Waits until the lab has ended. Returns its exit code."""
        self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode


def interrupt(lab: Lab) -> None:
    lab.process.send_signal(signal.SIGINT)


def interrupt_twice(lab: Lab) -> None:
    interrupt(lab)
    time.sleep(0.2)
    interrupt(lab)


def terminate(lab: Lab) -> None:
    lab.process.terminate()


def kill(lab: Lab) -> None:
    lab.process.kill()


def kill_emulator(lab: Lab) -> None:
    os.kill(lab.server(), signal.SIGKILL)


ENDINGS: dict[str, tuple[Callable[[Lab], None], int]] = {
    "Ctrl-C": (interrupt, 130),
    "Ctrl-C twice": (interrupt_twice, 130),
    "SIGTERM": (terminate, 128 + signal.SIGTERM),
    "SIGKILL": (kill, -signal.SIGKILL),
    "an emulator that is killed": (kill_emulator, 1),
}


@unittest.skipUnless(is_built(), "the lab is not built; run `make build` first")
class Ending(unittest.TestCase):
    def test_no_process_and_no_mount_is_left(self) -> None:
        mounts = Path("/proc/self/mountinfo").read_text()
        with ThreadPoolExecutor(len(ENDINGS)) as pool:
            ended = {name: pool.submit(self.end, *ending) for name, ending in ENDINGS.items()}
        for name, result in ended.items():
            with self.subTest(name):
                result.result()
        self.assertEqual(Path("/proc/self/mountinfo").read_text(), mounts)

    def end(self, ending: Callable[[Lab], None], code: int) -> None:
        lab = Lab()
        try:
            # The lab, the emulator, a runtime and a proxy at least.
            self.assertGreaterEqual(len(lab.processes()), 3)
            ending(lab)
            self.assertEqual(lab.end(), code)
            eventually(lambda: not lab.processes())
            self.assertEqual(lab.processes(), [])
        finally:
            lab.process.kill()
            for line in lab.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(line.split()[0]), signal.SIGKILL)

    def test_a_lab_that_is_killed_at_its_start_leaves_nothing(self) -> None:
        name = "ending-start"
        starting = subprocess.Popen([sys.executable, str(LAB), "up", "--name", name], stdout=subprocess.DEVNULL)
        self.addCleanup(self.end_lab, name)
        try:
            eventually(lambda: any("server.py" in line for line in processes_of(DIRECTORY / name)))
        finally:
            starting.kill()
            starting.wait()
        eventually(lambda: not processes_of(DIRECTORY / name))
        self.assertEqual(processes_of(DIRECTORY / name), [])

    def test_a_lab_ends_with_its_user(self) -> None:
        name = "ending-user"
        with subprocess.Popen(["sleep", str(PATIENCE_SECONDS)]) as user:
            try:
                command = [sys.executable, str(LAB), "up", "--name", name, "--user", str(user.pid)]
                self.addCleanup(self.end_lab, name)
                subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
                # Longer than the server needs to see that `up` has ended.
                time.sleep(2 * server.PARENT_CHECK_SECONDS)
                self.assertNotEqual(processes_of(DIRECTORY / name), [])
            finally:
                user.kill()
        eventually(lambda: not processes_of(DIRECTORY / name))
        self.assertEqual(processes_of(DIRECTORY / name), [])

    @staticmethod
    def end_lab(name: str) -> None:
        subprocess.run([sys.executable, str(LAB), "down", "--name", name], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(unittest.main())

"""Tests of infra/tools/check-machine.sh: what a machine lacks is one sentence that says what to do, before the build."""

from __future__ import annotations

import os
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class CheckMachine(unittest.TestCase):
    def check(self, programs: dict[str, str] | None = None, **variables: str) -> tuple[int, str]:
        """Runs the script with these programs first on the path, each a shell script, and returns its code and output."""
        with tempfile.TemporaryDirectory() as folder:
            for name, script in (programs or {}).items():
                path = Path(folder, name)
                path.write_text(f"#!/bin/sh\n{script}\n")
                path.chmod(0o755)
            environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", **variables}
            ended = subprocess.run(
                [str(ROOT / "infra" / "tools" / "check-machine.sh")],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        return ended.returncode, ended.stdout

    def refused(self, words: tuple[str, str], programs: dict[str, str] | None = None, **variables: str) -> None:
        """Checks that one line names what is wrong and what to do."""
        code, output = self.check(programs, **variables)
        self.assertEqual((code, output.count("\n")), (2, 1), output)
        for word in words:
            self.assertIn(word, output)

    def test_this_machine_is_accepted_without_a_word(self) -> None:
        self.assertEqual(self.check(), (0, ""))

    def test_other_systems_are_refused_by_name(self) -> None:
        self.refused(("Darwin", "use a Linux machine or container"), {"uname": "echo Darwin"})

    def test_other_processors_are_refused_by_name(self) -> None:
        self.refused(("riscv64", "x86_64 and arm64"), {"uname": '[ "$1" = -s ] && echo Linux || echo riscv64'})

    def test_an_old_python_is_refused_with_its_version(self) -> None:
        old = {"old-python": '[ "$1" = --version ] && echo Python 3.9.2 || exit 1'}
        self.refused(("Python 3.9.2", "python3-venv"), old, PYTHON="old-python")

    def test_a_missing_cargo_is_refused(self) -> None:
        self.refused(("cargo is not installed", "rustup"), CARGO="no-such-cargo")

    def test_an_old_rust_is_refused_with_its_version(self) -> None:
        self.refused(("1.70.0", "rustup update"), {"rustc": "echo 'rustc 1.70.0 (90c541806 2023-05-31)'"})

    def test_a_compiler_that_builds_nothing_is_refused(self) -> None:
        self.refused(("C compiler", "libc6-dev"), {"cc": "exit 1"}, CC="cc")


if __name__ == "__main__":
    unittest.main()

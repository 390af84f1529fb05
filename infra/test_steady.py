"""Tests that steady.py stops at the first failure, keeps its log, and stops a run that hangs."""

from __future__ import annotations

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import steady


class SteadyTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        for name, value in (("ROOT", self.folder), ("LOGS", self.folder / "logs")):
            patch = mock.patch.object(steady, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def steady(self, lab: str, stack: str = "pass") -> tuple[int, str]:
        """Runs steady.py with these Python programs as lab and stack tests; returns its exit code and its output."""
        python = [sys.executable, "-c"]
        with (
            mock.patch.object(steady, "LAB", [*python, lab]),
            mock.patch.object(steady, "STACK", [*python, stack]),
            contextlib.redirect_stdout(io.StringIO()) as said,
        ):
            return steady.main(["3", "2", "1"]), said.getvalue()

    def test_every_run_happens_and_leaves_no_log(self) -> None:
        code, said = self.steady("print('lab')")
        self.assertEqual((code, said.count("passed in")), (0, 5))
        self.assertEqual(list((self.folder / "logs").iterdir()), [])

    def test_the_first_failure_stops_it_and_its_log_stays(self) -> None:
        # The first run creates a file, and the second one fails because of it.
        lab = f"import pathlib, sys; p = pathlib.Path({str(self.folder / 'once')!r}); f = p.exists(); p.touch(); print('why'); sys.exit(f)"
        code, said = self.steady(lab)
        self.assertEqual((code, said.count("passed in")), (1, 1))
        self.assertIn("lab 2 of 3 failed with 1", said)
        self.assertEqual([log.read_text() for log in (self.folder / "logs").iterdir()], ["why\n"])

    def test_a_run_that_hangs_is_stopped(self) -> None:
        with mock.patch.object(steady, "MAX_SECONDS", 0.5):
            code, said = self.steady("import time; time.sleep(60)")
        self.assertEqual(code, 1)
        self.assertIn("lab 1 of 3 did not end", said)


if __name__ == "__main__":
    unittest.main()

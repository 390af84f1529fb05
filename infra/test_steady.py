"""It stops at the first failure and keeps its log, and ends what hangs."""

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
        """What it ends with and says where the two are these Python programs."""
        python = [sys.executable, "-c"]
        with (
            mock.patch.object(steady, "LAB", [*python, lab]),
            mock.patch.object(steady, "STACK", [*python, stack]),
            contextlib.redirect_stdout(io.StringIO()) as said,
        ):
            return steady.main(["3", "2", "1"]), said.getvalue()

    def test_all_of_them_run_and_leave_no_log(self) -> None:
        code, said = self.steady("print('lab')")
        self.assertEqual((code, said.count("is fine")), (0, 5))
        self.assertEqual(list((self.folder / "logs").iterdir()), [])

    def test_the_first_failure_ends_it_and_its_log_stays(self) -> None:
        # The second one fails: the first one has left a file.
        lab = f"import pathlib, sys; p = pathlib.Path({str(self.folder / 'once')!r}); f = p.exists(); p.touch(); print('why'); sys.exit(f)"
        code, said = self.steady(lab)
        self.assertEqual((code, said.count("is fine")), (1, 1))
        self.assertIn("lab 2 of 3 failed with 1", said)
        self.assertEqual([log.read_text() for log in (self.folder / "logs").iterdir()], ["why\n"])

    def test_what_hangs_is_ended(self) -> None:
        with mock.patch.object(steady, "MOST_SECONDS", 0.5):
            code, said = self.steady("import time; time.sleep(60)")
        self.assertEqual(code, 1)
        self.assertIn("lab 1 of 3 did not end", said)


if __name__ == "__main__":
    unittest.main()

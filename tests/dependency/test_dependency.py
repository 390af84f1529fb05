"""Runs inside.py in a network namespace, where this machine has addresses other than the loopback ones."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path

import network


class InItsNetwork(unittest.TestCase):
    def test_dependencies_are_broken(self) -> None:
        if why := network.is_available():
            self.skipTest(f"namespaces are not available: {why}")
        ran = subprocess.run([sys.executable, str(Path(__file__).with_name("inside.py"))], capture_output=True, text=True)
        self.assertEqual(ran.returncode, 0, ran.stdout + ran.stderr)
        for line in ran.stdout.splitlines():
            if " skipped " in line:
                print(line, file=sys.stderr)


if __name__ == "__main__":
    unittest.main()

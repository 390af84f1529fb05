"""Random programs have the same results with the shim and without it. inside.py runs this in its network."""

from __future__ import annotations

import subprocess
import sys
import unittest

import programs
from places import PROGRAMS_V4, PROGRAMS_V6
from stage import HERE, Function, Layer

COUNT = 2000


class Programs(unittest.TestCase):
    def test_random_programs_have_the_same_results_with_the_shim(self) -> None:
        layer = Layer()
        self.addCleanup(layer.close)
        with programs.Servers(PROGRAMS_V4, PROGRAMS_V6) as servers:
            command = [sys.executable, str(HERE / "programs.py"), str(programs.seed()), str(COUNT), *servers.arguments()]
            plain = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            names = {"hosts": [PROGRAMS_V4, PROGRAMS_V6], "refuse": True, "percentage": 0}
            with Function(layer, [{"dependency": names}]) as function:
                [shimmed] = function.run(command)
            out, error = plain.communicate(timeout=120)
        self.assertEqual((error, shimmed["err"]), ("", ""))
        results = [text.splitlines() for text in (out, shimmed["out"])]
        self.assertEqual(len(results[0]), COUNT)
        differing = [pair for pair in zip(*results, strict=True) if pair[0] != pair[1]]
        self.assertEqual(differing[:3], [], f"{len(differing)} programs differ; the command was {command}")


if __name__ == "__main__":
    unittest.main()

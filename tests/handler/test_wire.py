"""Both handlers read the shared samples of the wire format (tests/wire/handler.json) as the control plane's parser and the proxy do.

tests/core/wire.rs and src/proxy/event.rs check the same samples in Rust.
"""

from __future__ import annotations

import json
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "infra" / "tools"))

import interpreters  # noqa: E402

SAMPLES = ROOT / "tests" / "wire" / "handler.json"
# The handler's code runs on these; Lambda no longer has runtimes for older ones.
OLDEST_PYTHON = (3, 8)


def read(command: list[str], script: str) -> dict[str, Any]:
    words = [*command, str(ROOT / "tests" / "handler" / script), str(SAMPLES)]
    return dict(json.loads(subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout))


class Wire(unittest.TestCase):
    maxDiff = None

    def check(self, read: dict[str, Any]) -> None:
        samples = json.loads(SAMPLES.read_text())
        for sample, result in zip(samples["orders"], read["orders"], strict=True):
            expected = {name: value for name, value in sample.items() if name not in ("name", "text")}
            self.assertEqual(result, expected, sample["name"])
        for sample, holds in zip(samples["conditions"], read["conditions"], strict=True):
            self.assertIs(holds, sample["holds"], sample["condition"])
        self.assertEqual(read["invocations"], samples["rolls"]["invocations"])

    def test_python_reads_the_samples(self) -> None:
        found = interpreters.pythons(OLDEST_PYTHON)
        print(f"the Python handler's samples with Python {', '.join(found)}", file=sys.stderr)
        for version, python in found.items():
            with self.subTest(version):
                self.check(read([python], "wire.py"))

    def test_node_js_reads_the_samples(self) -> None:
        found = interpreters.nodes(ROOT / ".tools")
        print(f"the Node.js handler's samples with Node.js {', '.join(found)}", file=sys.stderr)
        for version, node in found.items():
            with self.subTest(version):
                self.check(read([node], "wire.mjs"))


if __name__ == "__main__":
    unittest.main()

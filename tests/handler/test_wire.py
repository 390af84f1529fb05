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
SAMPLES = ROOT / "tests" / "wire" / "handler.json"
NODE = ROOT / ".tools" / "runtimes" / "nodejs" / "bin" / "node"
sys.path.insert(0, str(ROOT / "infra" / "handler" / "python"))

from snapback_handler import conditions, config  # noqa: E402
from snapback_handler.dice import Dice, between  # noqa: E402


def python_reads(samples: dict[str, Any]) -> dict[str, Any]:
    return {
        "orders": [read_orders(sample["text"]) for sample in samples["orders"]],
        "conditions": [conditions.compiled(sample["condition"])(samples["event"]) for sample in samples["conditions"]],
        "invocations": roll(samples["rolls"]),
    }


def read_orders(text: str) -> dict[str, Any]:
    try:
        orders, ignored = config.parse(text)
    except ValueError:
        return {"refused": True}
    return {"kinds": [fault.kind for fault in orders.faults], "ignored": len(ignored)}


def roll(samples: dict[str, Any]) -> list[dict[str, Any]]:
    shares = [config.share(percentage) for percentage in samples["percentages"]]
    dice = Dice(samples["seed"], len(shares))
    results = []
    for _ in samples["invocations"]:
        rolls = dice.roll()
        triggered = [at for at, (rolled, share) in enumerate(zip(rolls, shares)) if rolled % config.ALL < share]
        results.append({"triggered": triggered, "delay": between(*samples["span"], rolls[2])})
    return results


def node_reads() -> dict[str, Any]:
    script = ROOT / "tests" / "handler" / "wire.mjs"
    run = subprocess.run([str(NODE), str(script), str(SAMPLES)], capture_output=True, text=True, check=True, timeout=60)
    return dict(json.loads(run.stdout))


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
        self.check(python_reads(json.loads(SAMPLES.read_text())))

    def test_node_js_reads_the_samples(self) -> None:
        self.check(node_reads())


if __name__ == "__main__":
    unittest.main()

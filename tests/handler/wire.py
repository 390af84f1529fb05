"""Reads the samples of the wire format with the Python handler, and prints the results as JSON, for test_wire.py.

Any version of Python that the handler supports can run this file.
"""

import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "infra", "handler", "python"))

from snapback_handler import conditions, config, dice, faults  # noqa: E402


def read_orders(text):
    try:
        orders = config.parse(text)
    except ValueError:
        return {"refused": True}
    return {"kinds": [fault.kind for fault in orders.faults], "ignored": len(orders.ignored)}


def roll(samples):
    shares = [config.share(percentage) for percentage in samples["percentages"]]
    roll_all = dice.seeded(samples["seed"], len(shares))
    results = []
    for _ in samples["invocations"]:
        rolls = roll_all()
        triggered = [at for at, (rolled, share) in enumerate(zip(rolls, shares)) if rolled % config.ALL < share]
        results.append({"triggered": triggered, "delay": faults.between(*samples["span"] + [rolls[2]])})
    return results


with open(sys.argv[1], encoding="utf-8") as file:
    samples = json.load(file)
print(
    json.dumps(
        {
            "orders": [read_orders(sample["text"]) for sample in samples["orders"]],
            "conditions": [conditions.compiled(sample["condition"])(samples["event"]) for sample in samples["conditions"]],
            "invocations": roll(samples["rolls"]),
        }
    )
)

"""Runs the document of infra/fis.yaml in every order of its steps, with the roles of the template.

    check.py LAB [SCENARIO ...]

LAB is the name of a lab that is up. AWS FIS and SSM Automation are played (experiments.py, automation.py), everything else is the
lab's. Every scenario has its own function, which must end as it began.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent / "infra"), str(TESTS.parent / "infra" / "lab"), str(TESTS)]

from scenarios import SCENARIOS, Scenario  # noqa: E402
from stack import Site  # noqa: E402

from lab_parts import found_lab  # noqa: E402

AT_ONCE = 10
# The emulator delivers no logs of FIS; roles.py checks these rights in the policy.
UNUSED = {"logs:CreateLogDelivery", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups"}
PRINTING = threading.Lock()


def main() -> int:
    name, *chosen = sys.argv[1:]
    emulated = found_lab(name)
    playing = [each for each in SCENARIOS if not chosen or each.name in chosen]
    site = Site(emulated)
    began = time.monotonic()
    site.set_up([*(each.name for each in playing), "fis-alarm-other"])
    print(f"{time.monotonic() - began:.0f} s: the stack is deployed", flush=True)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = [failure for failure in pool.map(lambda each: play(site, each), playing) if failure]
    failures += [] if chosen else check_rights(site)
    print(f"{time.monotonic() - began:.0f} s: {len(playing)} scenarios", flush=True)
    for failure in failures:
        print(failure)
    return 1 if failures else 0


def play(site: Site, scenario: Scenario) -> str:
    """Plays a scenario; returns its name if it failed."""
    began = time.monotonic()
    outcome, why = "ok", ""
    try:
        scenario.play(site, scenario.name)
    except Exception as error:  # noqa: BLE001
        outcome, why = "FAILED", str(error) if isinstance(error, AssertionError) else traceback.format_exc()
    with PRINTING:
        print(f"{outcome:>6} {time.monotonic() - began:5.1f} s  {scenario.name}\n{why}".rstrip(), flush=True)
    return scenario.name if outcome == "FAILED" else ""


def check_rights(site: Site) -> list[str]:
    """Returns the rights that a role of the stack lacks, and those that it has and never used."""
    used = site.used()
    failures = []
    for role, allowed in site.policies().items():
        asked = used.get(role, {})
        failures += [f"{role} lacks {action}" for action, was_allowed in asked.items() if not was_allowed]
        failures += [f"{role} never used {action}" for action in sorted(allowed - asked.keys() - UNUSED)]
    return failures


if __name__ == "__main__":
    sys.exit(main())

"""Takes each single right out of each role of the template, and checks that a run without it does no harm.

    check.py LAB [ROLE:SERVICE:ACTION ...]

LAB is the name of a lab that is up. First, every scenario runs with all rights, and the emulator records which role uses which.
Then each right is missing in a scenario that uses it. The user must be told which right is missing, every change must be
restored, and if the right is one to restore, it must be restored as soon as the right is back.
"""

from __future__ import annotations

import queue
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import Callable

import scenarios
from stack import Site

from lab_parts import found_lab  # noqa: E402

# Most of a scenario is waiting, so more of them than cores run at the same time. Each has its own stack, and so its own roles.
SITES = 12
# Rights that no scenario uses. tests/stack/roles.rs compares these with what the code calls.
EXCEPTED = {
    "xray:": "the emulator has no X-Ray",
    "logs:CreateLogDelivery": "the emulator delivers no logs of state machines",
    "logs:DeleteLogDelivery": "the same",
    "logs:DescribeLogGroups": "the same",
    "logs:DescribeResourcePolicies": "the same",
    "logs:GetLogDelivery": "the same",
    "logs:ListLogDeliveries": "the same",
    "logs:PutResourcePolicy": "the same",
    "logs:UpdateLogDelivery": "the same",
    "lambda:GetCodeSigningConfig": "the emulator has no code signing configurations",
    "sqs:SendMessage": "the emulator delivers no dead letters of functions",
    "ExperimentRole states:": "only a run of more than 40 targets needs it; tests/stack/batches.rs has one",
    "ScheduleRole states:StartExecution": "tests/rights/principals.py checks the role of the schedules",
    "InjectRole dynamodb:PutItem": "only for a run whose record is missing",
    "ObserveRole dynamodb:PutItem": "the same",
    "UndoRole cloudwatch:": "the reaper reads metrics minutes after a run; tests/core/kept_reports.rs has a read that is refused",
}
# The scenario in which a user sees that this right is missing: the reaper, which no user sees, also uses it in some minutes of
# each hour.
SHOWN_IN = {("UndoRole", "dynamodb:Scan"): scenarios.lever}
LOGS = ("logs:CreateLogStream", "logs:PutLogEvents")


def text_for(role: str, action: str, scenario: str) -> str:
    """Returns what the user must see: the name of the missing right, or the end of a run that continues without it."""
    # A function without a log runs on. Inferred, because AWS documents nothing about it.
    if action in LOGS:
        return "restored exactly"
    # After the rehearsal, a target whose tags cannot be read is restored rather than left with its fault.
    if (role, action, scenario) == ("UndoRole", "lambda:ListTags", "rollback"):
        return "restored exactly"
    # A rollback that has restored everything does not fail because it cannot list the run for the reaper.
    if role == "UndoRole" and action in ("dynamodb:Query", "dynamodb:PutItem") and scenario == "rollback":
        return "restored exactly"
    return action


Right = tuple[str, str]
Scenario = Callable[[Site, Callable[[], None]], str]
# Sites that are set up and in no use, or the error of one that could not be set up.
Free = queue.SimpleQueue[Site | Exception]


def main() -> int:
    name, *chosen = sys.argv[1:]
    emulated = found_lab(name)
    free: Free = queue.SimpleQueue()
    began = time.monotonic()
    # Scenarios begin on the first stacks while further ones are being deployed.
    with ThreadPoolExecutor(SITES) as pool:
        for number in range(1, SITES + 1):
            pool.submit(set_up, Site(emulated, number), free)
        uses = observe(free)
        print(f"{time.monotonic() - began:.0f} s: every scenario ran with all rights", flush=True)
        failures = each(free, [("the rights of the roles", lambda site: compare(site, uses))])
        # Rights to report and to undo come first, because their scenarios take the longest.
        rights = [right for right in sorted(uses, reverse=True) if not chosen or ":".join(right) in chosen]
        failures += each(free, [
            (f"{role} without {action} in {scenario.__name__}", without(role, action, scenario))
            for role, action in rights
            for scenario in chosen_scenarios(role, uses[role, action])
        ])  # fmt: skip
    print(f"{time.monotonic() - began:.0f} s: {len(rights)} rights", flush=True)
    for failure in failures:
        print(failure)
    return 1 if failures else 0


def set_up(site: Site, free: Free) -> None:
    try:
        site.set_up()
    except Exception as error:
        free.put(error)
    else:
        free.put(site)


def observe(free: Free) -> dict[Right, list[Scenario]]:
    """Runs every scenario with all rights. Returns the scenarios that use each right."""
    found: dict[Scenario, set[Right]] = {}
    shown: dict[Scenario, str] = {}

    def run(scenario: Scenario) -> Callable[[Site], None]:
        def on(site: Site) -> None:
            since = site.position()
            shown[scenario] = said = scenario(site, lambda: None)
            found[scenario] = site.used(since)
            site.heal()
            site.snapback("lever", "disengage")
            assert site.is_restored(), said

        return on

    # The longest first.
    failures = each(free, [(scenario.__name__, run(scenario)) for scenario in reversed(scenarios.SCENARIOS)])
    assert not failures, failures
    uses: dict[Right, list[Scenario]] = {}
    for scenario in scenarios.SCENARIOS:
        # On a slow machine, the reaper may read the metrics of a run while another scenario is running.
        for right in found[scenario] - {("UndoRole", "cloudwatch:GetMetricData")}:
            if SHOWN_IN.get(right, scenario) is scenario:
                uses.setdefault(right, []).append(scenario)
            # Otherwise the name would not show that the right is missing.
            assert right[1] not in shown[scenario], f"{right} is named although it is there:\n{shown[scenario]}"
    return uses


def compare(site: Site, uses: dict[Right, list[Scenario]]) -> None:
    """Checks that each right that is allowed is used or excepted, and that each exception has a right."""
    idle = {f"{role} {action}" for role, action in site.allowed() if (role, action) not in uses}
    names = {excepted: excepted if " " in excepted else f" {excepted}" for excepted in EXCEPTED}
    unexplained = [right for right in sorted(idle) if not any(name in right for name in names.values())]
    needless = [excepted for excepted, name in names.items() if not any(name in right for right in idle)]
    assert not unexplained, f"no scenario uses: {', '.join(unexplained)}"
    assert not needless, f"needless exceptions: {', '.join(needless)}"


def chosen_scenarios(role: str, using: list[Scenario]) -> list[Scenario]:
    """Returns the first scenario. A right to undo is also missing in a rollback, after a rehearsal that had it."""
    if role == "ExperimentRole":
        return [scenarios.first_task]
    later = [scenarios.rollback] if role == "UndoRole" and scenarios.rollback in using[1:] else []
    return [using[0], *later]


def without(role: str, action: str, scenario: Scenario) -> Callable[[Site], None]:
    def on(site: Site) -> None:
        try:
            said = scenario(site, lambda: site.take(role, action))
            restored = site.is_restored()
        finally:
            site.give_back(role)
        site.heal()
        site.snapback("lever", "disengage")
        expected = text_for(role, action, scenario.__name__)
        assert expected in said, f"the user is not told {expected!r}:\n{said}"
        assert restored or role == "UndoRole", f"it was not restored:\n{said}"

    return on


def each(free: Free, tasks: list[tuple[str, Callable[[Site], None]]]) -> list[str]:
    """Runs the tasks, each on a site that is free, and returns those that failed."""
    failures: list[str] = []
    printing = threading.Lock()

    def run(named: tuple[str, Callable[[Site], None]]) -> None:
        name, task = named
        site = free.get()
        if isinstance(site, Exception):
            # The other tasks fail as well, instead of waiting for this site.
            free.put(site)
            raise site
        began = time.monotonic()
        outcome, why = "ok", ""
        try:
            task(site)
        except Exception as error:
            outcome, why = "FAILED", str(error) if isinstance(error, AssertionError) else traceback.format_exc()
            failures.append(name)
        free.put(site)
        with printing:
            print(f"{outcome:>6} {time.monotonic() - began:5.1f} s  {name}\n{why}".rstrip(), flush=True)

    with ThreadPoolExecutor(SITES) as pool:
        list(pool.map(run, tasks))
    return failures


if __name__ == "__main__":
    sys.exit(main())

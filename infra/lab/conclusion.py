"""Compares every function with what it must be at the end, and lists what is left in the stack."""

from __future__ import annotations

from typing import Any

import comparison
import ledger
from comparison import EXCEPTED, display
from stage import Stage


def compare_all(stage: Stage, verbose: bool) -> int:
    """Prints one line for each function, and each field that differs. Returns how many functions are as they must be."""
    stage.timeline.title("every field of every function, before and after")
    return sum(compare(stage, name, expected, verbose) for name, expected in stage.expected.items())


def compare(stage: Stage, name: str, expected: dict[str, Any], verbose: bool) -> bool:
    after = comparison.read(stage.account, name)
    different = comparison.differences(expected, after)
    deployed = stage.deployed.get(name, set())
    if different:
        stage.timeline.plain(f"        {name}: {len(different)} of {len(expected)} fields differ", "red")
    else:
        kept = f", {len(deployed)} of them as deployed during the run" if deployed else ""
        stage.timeline.plain(f"        {name}: restored exactly, {len(expected)} fields{kept}", "green")
    for difference in different:
        stage.timeline.plain(f"          differs   {difference}", "red")
    if verbose:
        print_same(stage, expected, deployed, {difference.field for difference in different})
    stage.findings.check(not different, f"{name} is not restored exactly")
    return not different


def print_same(stage: Stage, expected: dict[str, Any], deployed: set[str], different: set[str]) -> None:
    width = max(len(field) for field in expected)
    for field in sorted(expected.keys() - different):
        how = "deployed" if field in deployed else "same"
        stage.timeline.plain(f"          {how:<9} {field:<{width}}  {display(field, expected[field])}")


def check_leftovers(stage: Stage, runs: int, verbose: bool) -> None:
    if verbose:
        stage.timeline.title("not compared, because AWS writes these fields")
        for reason, fields in EXCEPTED.items():
            stage.timeline.plain(f"        {', '.join(field.split('.')[-1] for field in fields)}: {reason}")
    stage.timeline.title("what is left in the stack")
    left = ledger.leftovers(stage.account, stage.stack, runs)
    for sentence in left:
        stage.timeline.plain(f"        {sentence}", "red")
    stage.check(not left, "the ledger holds no lock and no armed snapshot, and the dead-letter queue is empty")

"""What chaosaws leaves behind on the lab's realistic function with its own pairs of actions, next to snapback with the equal fault."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from typing import Any

import comparison
from deployment import CLI, ROOT
from toolkit import STRATEGY, Toolkit

PAGE = ROOT / "docs" / "chaos-toolkit.md"
BEGIN, END = "<!-- left-behind:begin -->\n", "<!-- left-behind:end -->"
LAYER = "lab-chaos-wrapper"
VARIABLE = "Configuration.Environment.Variables."


@dataclass(frozen=True)
class Pair:
    """An action and its undo of chaosaws.awslambda, and the equal fault of snapback."""

    function: str
    does: str
    undoes: str
    arguments: dict[str, Any]
    fault: dict[str, Any]
    needs_layer: bool = True


PAIRS = (
    Pair(
        "toolkit-concurrency",
        "put_function_concurrency",
        "delete_function_concurrency",
        {"concurrent_executions": 0},
        {"reservedConcurrency": {"limit": 0}},
        needs_layer=False,
    ),
    Pair("toolkit-layer", "add_layer", "remove_layer", {}, {"layer": {"layers": ["LAYER"]}}),
    Pair(
        "toolkit-latency",
        "add_latency",
        "remove_latency",
        {"latency": 1, "probability": 0.5},
        {"latency": {"delayMs": 1000, "percentage": 50}},
    ),
    Pair(
        "toolkit-error",
        "add_error",
        "remove_error",
        {"body": "{}", "probability": 0.5},
        {"response": {"raw": "{}", "percentage": 50, "when": "after"}},
    ),
)


def row(toolkit: Toolkit, pair: Pair, layer: str) -> str:
    """Runs both on one function, snapback first, and returns the pair's row of the table."""
    before = toolkit.look(pair.function)
    by_snapback(toolkit, pair, layer)
    between = toolkit.look(pair.function)
    by_chaosaws(toolkit, pair, layer)
    after = toolkit.look(pair.function)
    shown = [", ".join(fields(*readings)) or "nothing" for readings in ((between, after), (before, between))]
    return f"| `{pair.does}`, then `{pair.undoes}` | {shown[0]} | {shown[1]} |\n"


def by_snapback(toolkit: Toolkit, pair: Pair, layer: str) -> None:
    experiment = {
        "name": pair.function,
        "targets": [{"function": pair.function}],
        "faults": [json.loads(json.dumps(pair.fault).replace("LAYER", layer))],
        "duration": "PT15M",
    }
    file = toolkit.directory / f"{pair.function}.snapback.json"
    file.write_text(json.dumps(experiment))
    run = ("run", str(file), "--name", pair.function, "--detach")
    for arguments in (run, ("rollback", pair.function)):
        command = [str(CLI), *arguments]
        done = subprocess.run(command, env=toolkit.variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stdout}"


def by_chaosaws(toolkit: Toolkit, pair: Pair, layer: str) -> None:
    """Runs the pair as an experiment without snapback, as an administrator."""

    def action(func: str, given: dict[str, Any]) -> dict[str, Any]:
        arguments = {"function_name": pair.function, **given, **({"layer": layer} if pair.needs_layer else {})}
        provider = {"type": "python", "module": "chaosaws.awslambda.actions", "func": func, "arguments": arguments}
        # chaosaws does not wait for the end of an update, which would make Lambda reject the next one.
        return {"type": "action", "name": func, "provider": provider, "pauses": {"after": 5}}

    experiment = {
        "title": pair.does,
        "description": "An action of chaosaws and its undo.",
        "method": [action(pair.does, pair.arguments)],
        "rollbacks": [action(pair.undoes, {})],
    }
    file = toolkit.directory / f"{pair.function}.experiment.json"
    file.write_text(json.dumps(experiment))
    journal = f"--journal-path={toolkit.directory / pair.function}.json"
    chaos = toolkit.begin(pair.function, "run", *STRATEGY, journal, str(file), as_administrator=True)
    code, written = chaos.end()
    done = [activity["status"] for activity in written["run"] + written["rollbacks"]]
    assert (code, done) == (0, ["succeeded"] * 2), chaos.said()


def fields(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Returns the fields that differ, in words, without their values."""
    return sorted({in_words(difference) for difference in comparison.differences(before, after)})


def in_words(difference: comparison.Difference) -> str:
    name = difference.field
    if "Concurrency" in name:
        return "reserved concurrency"
    if re.match(r"Configuration\.Layers\b", name):
        return "layers"
    if name.startswith(VARIABLE):
        what = {(True, False): "new", (False, True): "lost"}.get((difference.before is None, difference.after is None), "changed")
        return f"variable `{name.removeprefix(VARIABLE)}` ({what})"
    return f"`{name}`"


def table(rows: list[str]) -> str:
    return "| actions of chaosaws | left behind by chaosaws | left behind by snapback |\n|---|---|---|\n" + "".join(rows)


def compare_with_page(rows: list[str]) -> None:
    """Fails if the page has another table."""
    _, found, rest = PAGE.read_text().partition(BEGIN)
    made = table(rows)
    assert found and rest.partition(END)[0] == made, f"{PAGE.relative_to(ROOT)}: replace its table with\n{made}"

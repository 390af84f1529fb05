"""Drives the Chaos Toolkit with snapback's extension against a lab.

    check.py LAB

LAB is the name of a lab that is up. All endings and comparisons run at the same time, each on its own function.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Callable

import endings
import left_behind
from toolkit import EXAMPLES, Toolkit

import comparison  # noqa: E402
import functions  # noqa: E402
from lab_parts import found_lab, set_alarm  # noqa: E402


def main() -> int:
    emulated = found_lab(sys.argv[1])
    began = time.monotonic()
    toolkit = Toolkit(emulated.account, emulated.directory / "toolkit")
    toolkit.install()
    layer = set_up(toolkit)
    print(f"{time.monotonic() - began:5.1f} s  the extension is installed", flush=True)
    rows: dict[str, str] = {}

    def compared(pair: left_behind.Pair) -> None:
        rows[pair.function] = left_behind.row(toolkit, pair, layer)

    tasks: list[tuple[str, Callable[[], None]]] = [("discovered and validated", lambda: discovered(toolkit))]
    tasks += [(ending.__name__, lambda ending=ending, of=of: restored(toolkit, ending, of)) for ending, of in endings.ENDINGS]
    tasks += [(pair.does, lambda pair=pair: compared(pair)) for pair in left_behind.PAIRS]
    with ThreadPoolExecutor(len(tasks)) as pool:
        failures = [failure for failure in pool.map(lambda task: failed(*task), tasks) if failure]
    if not failures:
        failures += [failure for failure in [failed("the page", lambda: left_behind.compare_with_page(
            [rows[pair.function] for pair in left_behind.PAIRS]
        ))] if failure]  # fmt: skip
    print(f"{time.monotonic() - began:5.1f} s  {len(tasks)} endings and comparisons", flush=True)
    return 1 if failures else 0


def failed(name: str, task: Callable[[], None]) -> str:
    """Runs a task and prints its result. Returns the name if it has failed."""
    began = time.monotonic()
    try:
        task()
    except Exception:
        print(f"FAILED {time.monotonic() - began:5.1f} s  {name}\n{traceback.format_exc()}", flush=True)
        return name
    print(f"    ok {time.monotonic() - began:5.1f} s  {name}", flush=True)
    return ""


def set_up(toolkit: Toolkit) -> str:
    """Creates more functions like the lab's, and sets the alarms to OK. Returns a layer to add."""
    made = toolkit.account
    role = made.client("iam").get_role(RoleName=functions.ROLE)["Role"]["Arn"]
    lambdas = made.client("lambda")
    layers = {
        name: lambdas.list_layer_versions(LayerName=name)["LayerVersions"][0]["LayerVersionArn"] for name in functions.LAYERS
    }
    names = ["toolkit-abandoned", "toolkit-ended", *(pair.function for pair in left_behind.PAIRS)]
    for name in names:
        functions.create_function(made, replace(functions.CHECKOUT, name=name), role, layers)
    for name in names:
        lambdas.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    for alarm in endings.ALARMS:
        set_alarm(toolkit.account, alarm, "OK")
    return str(layers[left_behind.LAYER])


def restored(toolkit: Toolkit, ending: Callable[[Toolkit], None], function: str) -> None:
    """Plays an ending, and compares the function's whole configuration with the one before."""
    before = toolkit.look(function)
    ending(toolkit)
    differences = comparison.differences(before, toolkit.look(function))
    assert not differences, f"{function} is not as before: {[difference.field for difference in differences]}"


def discovered(toolkit: Toolkit) -> None:
    """`chaos discover` lists the extension, and `chaos validate` takes the examples."""
    found = toolkit.directory / "discovered.json"
    listing = toolkit.begin("discover", "discover", "--no-install", f"--discovery-path={found}", "chaostoolkit-snapback")
    assert listing.process.wait() == 0, listing.said()
    names: set[Any] = {activity["name"] for activity in json.loads(found.read_text())["activities"]}
    assert {"start_run", "wait_for_run", "roll_back", "run_status", "run_outcome"} <= names, names
    for example in (endings.THROTTLED, endings.SLOW):
        checked = toolkit.begin(f"validate-{example}", "validate", str(EXAMPLES / example))
        assert checked.process.wait() == 0, checked.said()


if __name__ == "__main__":
    sys.exit(main())

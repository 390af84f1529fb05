"""How an experiment ends, each time on another function of the lab. Every ending must restore exactly."""

from __future__ import annotations

import signal
from typing import Any

from toolkit import EXAMPLES, Chaos, Toolkit

from functions import CHECKOUT, PAYMENT, RECEIPT, SEARCH, STOCK, TARGETS  # noqa: E402
from lab_parts import CLOSED, eventually, set_alarm  # noqa: E402

THROTTLED, SLOW = "throttled-checkout.yaml", "slow-search.json"
# Longer than a test waits, so that only an ending before it can end the run.
LONG = "PT30M"
VIA = "Chaos Toolkit"


def throttled(
    toolkit: Toolkit, name: str, function: str, alarm: str, duration: str = LONG, *, has_control: bool = True
) -> Chaos:
    example = THROTTLED if has_control else without_control(toolkit, THROTTLED)
    return toolkit.run(name, example, function=function, alarm=alarm, duration=duration)


def without_control(toolkit: Toolkit, example: str) -> str:
    """Copies an example without its controls, and returns the path."""
    lines = (EXAMPLES / example).read_text().splitlines(keepends=True)
    at = lines.index("controls:\n")
    copy = toolkit.directory / f"without-control-{example}"
    copy.write_text("".join(lines[:at] + lines[at + 3 :]))
    assert "chaossnapback.control" not in copy.read_text()
    return str(copy)


def injected(toolkit: Toolkit, chaos: Chaos) -> str:
    """Waits until the run's faults are in place, and returns its name."""
    run = chaos.run_name()

    def is_injected() -> bool:
        targets = toolkit.snapback("report", run).get("targets")
        return bool(targets) and all(target["status"] == "injected" for target in targets)

    eventually(f"{run} is injected", is_injected, chaos.process)
    return run


def over(toolkit: Toolkit, run: str) -> dict[str, Any]:
    """Waits until a run is over, and returns its report."""

    def report() -> dict[str, Any] | None:
        read = toolkit.snapback("report", run)
        return read if read["status"] in CLOSED else None

    return dict(eventually(f"{run} is over", report))


def named(chaos: Chaos, journal: dict[str, Any]) -> dict[str, Any]:
    """Returns what the journal names about the one run."""
    [run] = journal["snapback"]
    assert run["run"] == chaos.run_name() and run["drift"] == [], run
    return dict(run)


def ended_by(report: dict[str, Any]) -> str:
    """Checks that the run was started from the toolkit, and returns what ended it."""
    assert report["startedBy"]["via"] == VIA and report["startedBy"]["caller"].endswith(":user/chaos-toolkit"), report
    return str(report["endedBy"]["via"])


def held(toolkit: Toolkit) -> None:
    chaos = throttled(toolkit, "held", "lab-checkout", CHECKOUT.alarm_name, "PT15S")
    code, journal = chaos.end()
    run = named(chaos, journal)
    assert (code, journal["status"], journal["deviated"]) == (0, "completed", False), chaos.said()
    assert (run["status"], run["outcome"]) == ("completed", "held"), run
    start, wait, probe = journal["run"]
    assert [target["status"] for target in start["output"]["targets"]] == ["injected"], start
    assert (wait["output"]["runId"], wait["output"]["outcome"], probe["output"]) == (run["run"], "held", "held")
    assert ended_by(wait["output"]) == "snapback", wait
    assert len(journal["steady_states"]["during"]) > 1, "the steady state is checked during the run"


def deviated(toolkit: Toolkit) -> None:
    """The alarm trips, which only the toolkit watches, so that --fail-fast rolls the run back early."""
    chaos = toolkit.run("deviated", SLOW)
    injected(toolkit, chaos)
    set_alarm(toolkit.account, SEARCH.alarm_name, "ALARM")
    code, journal = chaos.end()
    run = named(chaos, journal)
    assert (code, journal["status"], journal["deviated"]) == (1, "completed", True), chaos.said()
    assert (run["status"], run["outcome"]) == ("stopped", "endedEarly"), run
    [back] = journal["rollbacks"]
    assert back["output"]["runs"][0]["outcome"] == "endedEarly", back
    assert ended_by(back["output"]["runs"][0]) == VIA, back


def interrupted(toolkit: Toolkit) -> None:
    chaos = throttled(toolkit, "interrupted", "lab-payment", PAYMENT.alarm_name)
    injected(toolkit, chaos)
    chaos.interrupt()
    is_interrupted(chaos)


def terminated(toolkit: Toolkit) -> None:
    """SIGTERM, while the command line is starting the run."""
    chaos = throttled(toolkit, "terminated", "lab-stock", STOCK.alarm_name)
    chaos.run_name()
    chaos.process.send_signal(signal.SIGTERM)
    is_interrupted(chaos)


def is_interrupted(chaos: Chaos) -> None:
    code, journal = chaos.end()
    run = named(chaos, journal)
    assert (code, journal["status"]) == (1, "interrupted"), chaos.said()
    # A run that was interrupted before its start has failed.
    assert run["status"] in ("stopped", "failed") and run["outcome"] == "endedEarly", run


def killed(toolkit: Toolkit) -> None:
    """The watcher rolls back at once."""
    chaos = throttled(toolkit, "killed", "lab-receipt", RECEIPT.alarm_name)
    run = injected(toolkit, chaos)
    chaos.kill()
    report = over(toolkit, run)
    assert (report["status"], report["outcome"], ended_by(report)) == ("stopped", "endedEarly", VIA), report


def killed_with_its_watcher(toolkit: Toolkit) -> None:
    """Nothing is left of the toolkit, so the state machine ends the run at the end of its duration."""
    chaos = throttled(toolkit, "abandoned", "toolkit-abandoned", RECEIPT.alarm_name, "PT20S")
    run = injected(toolkit, chaos)
    chaos.kill_watcher()
    chaos.kill()
    report = over(toolkit, run)
    assert (report["status"], report["outcome"], ended_by(report)) == ("completed", "held", "snapback"), report


def ended_by_a_user(toolkit: Toolkit) -> None:
    """A run that something else ends early has deviated, for all who do not read its report."""
    chaos = throttled(toolkit, "ended", "toolkit-ended", RECEIPT.alarm_name)
    name = injected(toolkit, chaos)
    # The first action ends a moment after the injection; a rollback before that makes it fail.
    eventually("the second action", lambda: chaos.said().count("Action: ") > 1, chaos.process)
    toolkit.snapback("rollback", name)
    code, journal = chaos.end()
    run = named(chaos, journal)
    assert (code, journal["status"], journal["deviated"]) == (1, "completed", True), chaos.said()
    assert (run["status"], run["outcome"], run["reason"]) == ("stopped", "endedEarly", "stopped by a user"), run


def refused(toolkit: Toolkit) -> None:
    """A guardrail refuses one of snapback's own functions, so nothing follows and nothing is rolled back."""
    chaos = throttled(toolkit, "refused", "snapback-restore", RECEIPT.alarm_name)
    code, journal = chaos.end()
    assert (code, journal["status"], journal["snapback"]) == (1, "interrupted", []), chaos.said()
    [start] = journal["run"]
    assert start["status"] == "failed" and "it is one of snapback's own functions" in start["exception"][-1], start
    assert "snapback started no run: refused, and nothing was changed" in chaos.said(), chaos.said()
    [back] = journal["rollbacks"]
    assert back["output"] == {"runs": []}, back


def refused_without_the_control(toolkit: Toolkit) -> None:
    """The control counts a refusal. Without it, the toolkit continues after the failed activity, and reports success."""
    chaos = throttled(toolkit, "uncontrolled", "snapback-inject", RECEIPT.alarm_name, has_control=False)
    code, journal = chaos.end()
    assert (code, journal["status"], journal["deviated"]) == (0, "completed", False), chaos.said()
    assert [activity["status"] for activity in journal["run"]] == ["failed"] * 3, journal["run"]


# Each with the function that must be as before.
ENDINGS = (
    (held, "lab-checkout"),
    (deviated, "lab-search"),
    (interrupted, "lab-payment"),
    (terminated, "lab-stock"),
    (killed, "lab-receipt"),
    (killed_with_its_watcher, "toolkit-abandoned"),
    (ended_by_a_user, "toolkit-ended"),
    (refused, "snapback-restore"),
    (refused_without_the_control, "snapback-inject"),
)
ALARMS = [target.alarm_name for target in TARGETS]

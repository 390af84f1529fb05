"""The scenarios: experiments that end by themselves, that FIS stops before, in and after each step, and that cannot run.

Each has its own function, of the scenario's name, and raises an AssertionError if something is not as it must be.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass
from typing import Any, Callable

from automation import Moment, StepTimedOut
from experiments import Experiment, Hook, no_hook
from stack import DEMO, OWN, Site, eventually

from lab_parts import CLOSED

# So long that only the scenario ends the run.
LONG = "PT15M"
SHORT = "PT5S"


@dataclass(frozen=True)
class Scenario:
    """A scenario and the name of its function."""

    name: str
    play: Callable[[Site, str], None]


# ---------------------------------------------------------------------------------------------- by itself, to the end


def demos(site: Site, name: str) -> None:
    """The three demos of the template run to their ends, one after another, because they share a function."""
    for demo in ("Concurrency", "Handler", "Proxy"):
        completed(site, site.output(f"{demo}TemplateId"), name)


def own(site: Site, name: str) -> None:
    """The experiment of the parameter Experiment runs to its end."""
    completed(site, site.output("OwnTemplateId"), name)


def completed(site: Site, template: str, function: str) -> None:
    done = threading.Event()
    sender = threading.Thread(target=send, args=(site, function, done))
    sender.start()
    try:
        experiment = site.fis.start(template)
        experiment.wait()
    finally:
        done.set()
        sender.join()
    assert experiment.status == "completed", experiment.reason
    assert experiment.outcome.outputs["checkOutcome.Outcome"] == "held"
    check_run(site, function, experiment, "completed")


def send(site: Site, function: str, done: threading.Event) -> None:
    """Sends requests, so that the proxy's faults meet some. Throttled ones are expected."""
    lambdas = site.account.client("lambda")
    while not done.wait(0.3):
        try:
            lambdas.invoke(FunctionName=function, Payload=b"{}")
        except lambdas.exceptions.TooManyRequestsException:
            continue


def by_hand(site: Site, name: str) -> None:
    """A user starts the document without FIS."""
    site.template(name, site.experiment(name, SHORT))
    done = site.fis.run_by_hand(site.output("DocumentArn"), {"Experiment": site.parameter(name)})
    assert (done.outcome.status, done.run) == ("Success", f"fis-{done.automation}"), done.outcome
    caller = site.account.client("sts").get_caller_identity()["Arn"]
    report = site.report(done.run)
    assert report is not None and report["startedBy"] == {"caller": caller, "via": "SSM Automation"}, report
    assert site.is_restored(name)


# ------------------------------------------------------------------------------------------------- stopped by FIS


def stopped(step: str, moment: Moment) -> Scenario:
    """FIS stops the experiment at a moment of a step that it reaches by itself."""
    duration = SHORT if (step, moment) == ("waitForRun", Moment.AFTER) or step == "checkOutcome" else LONG

    def play(site: Site, name: str) -> None:
        experiment = started(site, name, duration, at(site, name, step, moment))
        assert experiment.status == "stopped", (experiment.status, experiment.reason)
        assert experiment.outcome.steps[-1] in (step, "waitUntilRestored"), experiment.outcome
        if (step, moment) == ("startRun", Moment.LATE):
            # The rollback came first, so the execution that starts after it ends without a change.
            eventually(f"the execution of {name} has ended", lambda: site.execution_status(experiment.run) == "SUCCEEDED")
        if step == "prepareRun" or (step == "startRun" and moment in (Moment.BEFORE, Moment.LATE)):
            assert site.changes(name) == site.changes_before[name], "the function was changed"
        check_run(site, name, experiment)

    return Scenario(f"fis-{step}-{moment.value}", play)


def failed(step: str, moment: Moment | None) -> Scenario:
    """The wait for the run times out, so the automation rolls back. FIS may stop it at a moment of a later step."""

    def play(site: Site, name: str) -> None:
        stop = at(site, name, step, moment) if moment else no_hook

        def hook(experiment: Experiment, now: Moment, reached: str) -> None:
            if (reached, now) == ("waitForRun", Moment.IN) and site.is_injected(name):
                raise StepTimedOut("timed out")
            stop(experiment, now, reached)

        experiment = started(site, name, LONG, hook)
        assert experiment.status == ("stopped" if moment else "failed"), (experiment.status, experiment.reason)
        assert "waitForRun: timed out" in experiment.reason, experiment.reason
        if step == "waitUntilRestored":
            # Nothing waits for the rollback any more.
            eventually(f"{name} is restored", lambda: site.is_restored(name))
        check_run(site, name, experiment)

    return Scenario(f"fis-failed-{step}-{moment.value if moment else 'never'}", play)


def at(site: Site, function: str, step: str, moment: Moment) -> Hook:
    """Returns a hook that stops the experiment there. In the wait for the run, it first waits for the faults."""
    stops = threading.Lock()

    def hook(experiment: Experiment, now: Moment, name: str) -> None:
        if (name, now) != (step, moment):
            return
        if (step, moment) == ("waitForRun", Moment.IN) and not site.is_injected(function):
            return
        if stops.acquire(blocking=False):
            site.fis.stop(experiment)

    return hook


def stop_condition(site: Site, name: str) -> None:
    """The alarm goes to ALARM: FIS stops the experiment, and snapback's own rule rolls it back at the same time."""
    experiment = site.fis.start(site.template(name, site.experiment(name, LONG)))
    eventually(f"{name} is injected", lambda: site.is_injected(name))
    site.set_alarm(name, "ALARM")
    eventually(f"{name} is restored", lambda: site.is_restored(name))
    # The report of a run waits for its steady state, which has this alarm.
    site.set_alarm(name, "OK")
    experiment.wait()
    assert experiment.status in ("stopped", "failed"), experiment.status
    report = site.report(experiment.run)
    assert report is not None and report["reason"] == f"alarm {name} went into ALARM", report
    check_run(site, name, experiment)


def stopped_outside(site: Site, name: str) -> None:
    """A user rolls the run back: FIS shows the outcome as the reason of its failure."""
    experiment = site.fis.start(site.template(name, site.experiment(name, LONG)))
    eventually(f"{name} is injected", lambda: site.is_injected(name))
    site.snapback("rollback", experiment.run)
    experiment.wait()
    assert experiment.status == "failed", experiment.status
    expected = f"the outcome of run {experiment.run} is endedEarly: stopped by a user"
    assert expected in experiment.reason, experiment.reason
    check_run(site, name, experiment, ended_by="a user")


def aborted(site: Site, name: str) -> None:
    """A user stops the execution of the state machine, which restores nothing: the automation asks for the rollback."""
    experiment = site.fis.start(site.template(name, site.experiment(name, LONG)))
    eventually(f"{name} is injected", lambda: site.is_injected(name))
    site.account.client("stepfunctions").stop_execution(executionArn=site.execution(experiment.run))
    experiment.wait()
    assert "is ABORTED; the rollback was started" in experiment.reason, experiment.reason
    eventually(f"{name} is restored", lambda: site.is_restored(name))


def two_at_once(site: Site, name: str) -> None:
    """FIS runs one template twice: the second run is refused, and the first one is not disturbed."""
    template = site.template(name, site.experiment(name, LONG))
    first = site.fis.start(template)
    eventually(f"{name} is injected", lambda: site.is_injected(name))
    second = site.fis.start(template)
    second.wait()
    assert second.status == "failed" and f"run {second.run} has failed: Refused" in second.reason, second.reason
    # Nothing tells which of the two FIS experiments has started the second automation.
    assert second.run == f"fis-{second.automation}", second.run
    known = {name: second.outcome.outputs[f"prepareRun.{name}"] for name in ("Caller", "Via")}
    role = second.record["roleArn"].rpartition("/")[2]
    assert f":assumed-role/{role}/" in known["Caller"] and known["Via"] == "FIS", known
    assert site.is_injected(name)
    site.fis.stop(first)
    first.wait()
    check_run(site, name, first)


# ----------------------------------------------------------------------------------------------------- cannot run


def refused(name: str, change: Callable[[Site, str], dict[str, Any] | str | None], expected: str) -> Scenario:
    """An experiment that cannot run: FIS shows why, and the function is never changed."""

    def play(site: Site, function: str) -> None:
        template = site.template(function, change(site, function))
        before = site.changes(function)
        experiment = site.fis.start(template)
        experiment.wait()
        assert experiment.status == "failed", experiment.status
        assert re.search(expected, experiment.reason), experiment.reason
        assert site.changes(function) == before and site.is_restored(function)
        assert experiment.run == "" or site.report(experiment.run) is None, "a refused run was recorded"

    return Scenario(f"fis-{name}", play)


def in_alarm(site: Site, name: str) -> dict[str, Any]:
    """Returns an experiment whose alarm is in ALARM already. FIS watches another one, so that it starts the automation."""
    site.set_alarm(f"{name}-other", "ALARM")
    return site.experiment(name, LONG, stopConditions=[{"alarm": f"{name}-other"}])


def untagged(site: Site, name: str) -> dict[str, Any]:
    lambdas = site.account.client("lambda")
    arn = lambdas.get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    lambdas.untag_resource(Resource=arn, TagKeys=["chaos"])
    site.before[name] = site.look(name)
    return site.experiment(name, LONG)


def too_long(site: Site, name: str) -> None:
    """A name that is longer than SSM's limit, or than FIS's: neither starts anything."""
    deployed = site.store.get("templates", site.template(name, None))
    assert deployed is not None
    (action,) = deployed["Actions"].values()
    for length, expected in ((200, "does not match"), (600, "more than 512 characters")):
        action["Parameters"]["documentParameters"] = json.dumps({"Experiment": site.parameter("x" * length)})
        site.store.put("templates", f"EXT-{name}-{length}", deployed)
        experiment = site.fis.start(f"EXT-{name}-{length}")
        experiment.wait()
        assert experiment.status == "failed" and expected in experiment.reason, experiment.reason
        assert experiment.automation == "", "an automation was started"


# ---------------------------------------------------------------------------------------------------------- checks


def started(site: Site, name: str, duration: str, hook: Hook) -> Experiment:
    experiment = site.fis.start(site.template(name, site.experiment(name, duration)), hook)
    experiment.wait()
    return experiment


def check_run(site: Site, function: str, experiment: Experiment, status: str = "", ended_by: str = "FIS") -> None:
    """Checks that the function is restored exactly, that the run is closed, that its name has the FIS experiment's ID, and who
    started and ended it."""
    assert site.is_restored(function), f"{function} is not restored"
    if not experiment.run:
        return
    assert experiment.run == f"fis-{experiment.identifier}-{experiment.automation}", experiment.run
    if experiment.outcome.steps == ["prepareRun"]:
        assert site.report(experiment.run) is None, "a run that was never started was recorded"
        return
    # The rollback is asynchronous: if there is no execution to wait for, the automation can end before it.
    closed = eventually(f"{experiment.run} is closed", lambda: closed_report(site, experiment.run))
    assert status in ("", closed["status"]), closed
    by_fis = {"caller": experiment.record["arn"], "via": "FIS"}
    # The marker of a run whose start was prevented has no experiment, and so nobody who started it.
    assert closed.get("startedBy") in (by_fis, None) and (closed["targets"] == [] or closed["startedBy"] == by_fis), closed
    if closed["reason"] == "stopped by a user":
        assert (closed["endedBy"] == by_fis) == (ended_by == "FIS"), closed


def closed_report(site: Site, run: str) -> dict[str, Any] | None:
    report = site.report(run)
    return report if report and report["status"] in CLOSED else None


IN, BEFORE, AFTER, LATE = Moment.IN, Moment.BEFORE, Moment.AFTER, Moment.LATE
SCENARIOS = [
    Scenario(DEMO, demos),
    Scenario(OWN, own),
    Scenario("fis-by-hand", by_hand),
    *(stopped("prepareRun", moment) for moment in (BEFORE, IN, AFTER)),
    *(stopped("startRun", moment) for moment in (BEFORE, LATE, IN, AFTER)),
    *(stopped("waitForRun", moment) for moment in (BEFORE, IN, AFTER)),
    *(stopped("checkOutcome", moment) for moment in (BEFORE, IN, AFTER)),
    failed("rollBackAfterFailure", None),
    *(failed("rollBackAfterFailure", moment) for moment in (BEFORE, IN, AFTER)),
    *(failed("waitUntilRestored", moment) for moment in (BEFORE, IN)),
    Scenario("fis-stop-condition", stop_condition),
    Scenario("fis-stopped-outside", stopped_outside),
    Scenario("fis-aborted", aborted),
    Scenario("fis-two", two_at_once),
    Scenario("fis-too-long", too_long),
    refused("missing", lambda site, name: None, "prepareRun: .*/fis-missing: there is no such parameter"),
    refused("no-json", lambda site, name: "name: yaml", "prepareRun: .*/fis-no-json: its value is not JSON: .*; nothing was started"),
    refused("no-object", lambda site, name: "[]", "prepareRun: .*/fis-no-object: its value is not a JSON object"),
    refused("invalid", lambda site, name: site.experiment(name, "PT0S"), "checkOutcome: .* has failed: InvalidInput: .*duration"),
    refused("untagged", untagged, "checkOutcome: .* has failed: Refused: .*chaos"),
    refused("alarm", in_alarm, "checkOutcome: .* has failed: Refused: .*fis-alarm-other.*ALARM"),
]

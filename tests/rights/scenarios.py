"""The scenarios in which snapback's roles use their rights.

Each takes a stack and `take`, which it calls at the moment from which a right is missing. It returns what a user sees.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
from pathlib import Path
from typing import Any, Callable

from stack import Site

from lab_parts import CLOSED, PATIENCE_SECONDS, eventually

NUMBERS = itertools.count(1)
Take = Callable[[], None]
# Long enough that a scenario ends the run.
LONG = "PT15M"


def whole_run(site: Site, take: Take) -> str:
    """A run with every kind of change, on two targets that are found by their tag."""
    take()
    return finished(site, site.begin("run", write(site, every_change(site, "PT5S"))))


def rollback(site: Site, take: Take) -> str:
    """A user rolls a run back."""
    run, process = injected(site, every_change(site, LONG))
    take()
    code, said = site.snapback("rollback", run)
    assert code == (0 if site.is_restored() else 6), f"the exit code is {code}:\n{said}"
    return said + end(site, run, process)


def lost_execution(site: Site, take: Take) -> str:
    """The reaper restores a run whose execution was stopped."""
    run, process = injected(site, every_change(site, LONG))
    machines = site.account.client("stepfunctions")
    machines.stop_execution(executionArn=execution(site, run))
    take()
    _, said = site.invoke("reaper", {})
    return json.dumps(said) + abandoned(site, run, process)


def stopped_by_observe(site: Site, take: Take) -> str:
    """Observe sees the alarm, whose event is lost."""
    take()
    try:
        _, process = injected(site, every_change(site, LONG))
        site.set_alarm(site.alarm, "ALARM")
        return finished(site, process)
    finally:
        site.set_alarm(site.alarm, "OK")


def stopped_by_inject(site: Site, take: Take) -> str:
    """Inject sees the alarm, whose event is lost. The tasks are called as the state machine calls them."""
    run, functions = rehearsed(site)
    try:
        site.set_alarm(site.alarm, "ALARM")
        take()
        _, said = site.invoke("inject", {"runId": run, "function": functions[0]})
        return json.dumps(said)
    finally:
        site.set_alarm(site.alarm, "OK")


def armed_again(site: Site, take: Take) -> str:
    """Inject finds a deploy since the rehearsal, so it arms the target again. The tasks are called as above."""
    run, functions = rehearsed(site)
    first = next(function for function in functions if function.endswith(site.first))
    lambdas = site.account.client("lambda")
    lambdas.put_function_concurrency(FunctionName=first, ReservedConcurrentExecutions=7)
    try:
        take()
        _, said = site.invoke("inject", {"runId": run, "function": first})
        return json.dumps(said)
    finally:
        lambdas.put_function_concurrency(FunctionName=first, ReservedConcurrentExecutions=5)


def rehearsed(site: Site) -> tuple[str, list[str]]:
    """Calls the tasks of a run before its inject. Returns the run and its functions."""
    run = f"called-{site.prefix}-{next(NUMBERS)}"
    named = {"id": execution(site, run), "name": run}
    _, prepared = site.invoke("prepare", {"execution": named, "experiment": every_change(site, LONG)})
    for function in prepared["functions"]:
        target = {"runId": run, "function": function}
        # A lock that was just released makes arming wait.
        eventually("it is armed", lambda: site.invoke("arm", target)[1].get("status") == "armed")
        rehearsal = {**target, "rehearse": True}
        eventually("it is rehearsed", lambda: site.invoke("restore", rehearsal)[1].get("status") == "rehearsed")
    return run, prepared["functions"]


def metric(site: Site, take: Take) -> str:
    """A steady state with a metric. The run is left alone then, because the report waits for whole periods of the metric."""
    take()
    since = site.position()
    held = {"namespace": "Lab/Rights", "name": "Never", "statistic": "Sum", "period": "PT1M"}
    steady = {"steadyState": [{"metric": held, "below": 5}]}
    name = new_name(site)
    process = site.begin("run", write(site, every_change(site, LONG) | steady), "--name", name)

    def is_observed() -> bool:
        if read_metric(site, since) or process.poll() is not None:
            return True
        targets = json.loads(site.snapback("report", name, "--json")[1]).get("targets") or [{"status": "pending"}]
        return all(target["status"] == "restored" for target in targets)

    eventually("the metric is observed", is_observed)
    if process.poll() is not None:
        return finished(site, process)
    said = site.snapback("report", name)[1]
    site.account.client("stepfunctions").stop_execution(executionArn=execution(site, name))
    return said + abandoned(site, name, process)


def inside_invocations(site: Site, take: Take) -> str:
    """Faults inside invocations, which the proxy's metric proves, on a function without reserved concurrency."""
    take()
    faults = [{"error": {"type": "Lab", "when": "after"}}, {"latency": {"delayMs": 10}}]
    fault = {"faults": faults, "targets": [{"function": site.second}]}
    experiment = every_change(site, "PT5S") | fault
    process = site.begin("run", write(site, experiment), "--name", name := new_name(site))
    dimensions = {"Experiment": experiment["name"], "Run": name, "Fault": "error"}
    site.account.client("cloudwatch").put_metric_data(
        Namespace="snapback",
        MetricData=[{
            "MetricName": "InjectedFaults",
            "Value": 1,
            "Dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
        }],
    )  # fmt: skip
    return finished(site, process)


def deleted_function(site: Site, take: Take) -> str:
    """A target is deleted during the run; its mapping outlives it."""
    third = f"{site.prefix}-third"
    site.create(third)
    fault = {"faults": [{"eventSourceMapping": {"disable": "ALL"}}], "targets": [{"function": third}]}
    run, process = injected(site, every_change(site, LONG) | fault)
    lambdas = site.account.client("lambda")
    lambdas.delete_function(FunctionName=third)
    take()
    _, said = site.snapback("rollback", run)
    said += end(site, run, process)
    lambdas.delete_event_source_mapping(UUID=site.mappings.pop(third))
    return said


def lever(site: Site, take: Take) -> str:
    """A user engages the safety lever."""
    take()
    _, said = site.snapback("lever", "engage", "--reason", "a test")
    return said


def first_task(site: Site, take: Take) -> str:
    """The first task of a run. If it fails, the state machine tries it again for minutes, so this ends the execution."""
    take()
    name = new_name(site)
    process = site.begin("run", write(site, every_change(site, "PT5S")), "--name", name)
    machines = site.account.client("stepfunctions")

    def failed() -> str:
        try:
            events = machines.get_execution_history(executionArn=execution(site, name))["events"]
        except machines.exceptions.ExecutionDoesNotExist:
            return ""
        return str(next((event for event in events if event["type"] == "TaskFailed"), ""))

    said = eventually("the first task fails", lambda: failed() or (process.poll() is not None and "no task failed"))
    with contextlib.suppress(machines.exceptions.ClientError):
        machines.stop_execution(executionArn=execution(site, name), error="Ended", cause="by the check")
    return str(said) + finished(site, process)


# In the order of their cost. A right is taken out of the first one that uses it.
SCENARIOS = (
    whole_run,
    lever,
    stopped_by_inject,
    armed_again,
    metric,
    inside_invocations,
    stopped_by_observe,
    rollback,
    lost_execution,
    deleted_function,
)


def every_change(site: Site, duration: str) -> dict[str, Any]:
    return {
        "name": f"rights of {site.prefix}",
        "targets": [{"tags": site.tag}],
        "faults": [
            {"reservedConcurrency": {"limit": 0}},
            {"handler": {"handler": "other.handler", "layers": [site.layer("lab-chaos-wrapper")]}},
            {"eventSourceMapping": {"disable": "ALL"}},
        ],
        "duration": duration,
        "stopConditions": [{"alarm": site.alarm}],
        "steadyState": [{"alarm": site.steady}],
    }


def new_name(site: Site) -> str:
    return f"{site.prefix}-{next(NUMBERS)}"


def write(site: Site, experiment: dict[str, Any]) -> str:
    path = Path(site.emulated.directory) / f"{new_name(site)}.json"
    path.write_text(json.dumps(experiment))
    return str(path)


def injected(site: Site, experiment: dict[str, Any]) -> tuple[str, subprocess.Popen[str]]:
    """Starts a run and waits until its faults are in place."""
    name = new_name(site)
    process = site.begin("run", write(site, experiment), "--name", name)

    def is_injected() -> bool:
        _, said = site.snapback("report", name, "--json")
        targets = json.loads(said).get("targets") if said.startswith("{") else None
        assert process.poll() is None, process.communicate()[0]
        return bool(targets) and all(target["status"] == "injected" for target in targets)

    eventually(f"{name} is injected", is_injected)
    return name, process


def end(site: Site, run: str, process: subprocess.Popen[str]) -> str:
    """Ends the command that follows a run, and returns what it has printed and the report."""
    if json.loads(site.snapback("report", run, "--json")[1]).get("status") in CLOSED:
        return finished(site, process)
    return abandoned(site, run, process)


def abandoned(site: Site, run: str, process: subprocess.Popen[str]) -> str:
    process.kill()
    process.wait()
    return site.snapback("report", run)[1]


def finished(site: Site, process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    return str(said)


def execution(site: Site, run: str) -> str:
    return f"arn:aws:states:us-east-1:000000000000:execution:{site.prefix}-experiment:{run}"


def read_metric(site: Site, since: int) -> bool:
    return ("ObserveRole", "cloudwatch:GetMetricData") in site.used(since)

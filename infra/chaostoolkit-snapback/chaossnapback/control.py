"""The control that rolls back what the experiment has started, however the Chaos Toolkit ends.

It ends the experiment if a run could not start, ends the wait for a run when the experiment is ending, and at the end rolls back what
is not over and names each run in the journal. If the Chaos Toolkit is killed, a process that outlives it rolls back.
"""

import logging
from typing import Any, Dict

from chaoslib.exceptions import ActivityFailed, InterruptExecution
from chaoslib.run import RunEventHandler
from chaoslib.types import Activity, Experiment, Journal
from chaoslib.types import Run as ActivityRun

from chaossnapback.actions import roll_back
from chaossnapback.command import CommandFailed
from chaossnapback.reports import summary
from chaossnapback.session import SESSION, Run

__all__ = [
    "configure_control",
    "after_activity_control",
    "after_experiment_control",
    "cleanup_control",
]
logger = logging.getLogger("chaostoolkit")
# The names with which the toolkit begins the text of a failure.
FAILURES = [f"{each.__module__}.{each.__name__}" for each in (ActivityFailed, CommandFailed, ActivityFailed)]
INTERRUPTED = f"{InterruptExecution.__module__}.{InterruptExecution.__name__}"
START = ("chaossnapback.actions", "start_run")
# The outcomes after which the experiment has not succeeded, in addition to a run that ended early.
NOT_SUCCEEDED = ("unfinished", "restoreFailed", "drifted", "unproven")


class JournalReader(RunEventHandler):
    """Keeps the journal, whose status tells that the experiment is ending."""

    def running(self, experiment: Experiment, journal: Journal, *_: Any) -> None:
        SESSION.journal = journal


def configure_control(experiment: Experiment, event_registry: Any) -> None:
    """
    Begins to watch this process, and to follow the status of the experiment.
    """
    event_registry.register(JournalReader())
    SESSION.runs.clear()
    SESSION.start_watcher()


def after_activity_control(context: Activity, state: ActivityRun = None) -> None:
    """
    Ends the experiment if a run could not start, because what follows would prove nothing; or if a signal was to end it.
    """
    provider = context.get("provider", {})
    module, state = str(provider.get("module")), state or {}
    if not module.startswith("chaossnapback.") or state.get("status") != "failed":
        return
    why = "".join(state.get("exception", [])[-1:]).strip()
    for name in FAILURES:
        why = why.removeprefix(f"{name}: ")
    # The toolkit turns SIGTERM's exception into the failure of the activity that it interrupts, and would continue.
    if INTERRUPTED in why:
        raise InterruptExecution(why.partition(f"{INTERRUPTED}: ")[2])
    if (module, provider.get("func")) == START:
        raise InterruptExecution(f"snapback started no run: {why}")


def after_experiment_control(context: Experiment, state: Journal = None) -> None:
    """
    Rolls back each run that is not over, and names run, outcome and drift in the journal.
    """
    end_runs()
    if state is not None:
        state["snapback"] = [summary(run.report) | {"run": run.name} for run in SESSION.runs.values()]
        for run in SESSION.runs.values():
            evaluate(run, state)


def cleanup_control() -> None:
    """
    Does the same if an interruption came in between, and ends the watch.
    """
    end_runs()
    SESSION.end_watcher()
    SESSION.journal = None


def end_runs() -> None:
    if all(run.is_over for run in SESSION.runs.values()):
        return
    logger.info("snapback: rolling back what is not over")
    try:
        roll_back()
    except ActivityFailed as failure:
        logger.error(f"snapback: {failure}")


def evaluate(run: Run, journal: Dict[str, Any]) -> None:
    """Lets a run's outcome count for the experiment, as its exit code does for `snapback run`."""
    outcome = run.report.get("outcome", "unfinished")
    has_failed = outcome in NOT_SUCCEEDED or run.report.get("status") == "failed"
    if has_failed and journal["status"] == "completed":
        logger.error(f"snapback: the outcome of the run {run.name} is {outcome}, so the experiment has not succeeded")
        journal["status"] = "failed"
    # The steady state, an alarm, the lever or a user has ended the run, and not this experiment.
    if outcome == "endedEarly" and not run.is_rolled_back:
        journal["deviated"] = True

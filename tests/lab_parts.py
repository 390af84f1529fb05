"""What the tests in a lab share: how they find it, how long they wait, the lab's layers, and alarms that only a test moves."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, Any, Callable

import session
from account import clear_aws_settings

if TYPE_CHECKING:
    from account import Account
    from emulator import Emulator

# Longer than the longest lease, on a busy machine.
PATIENCE_SECONDS = 300.0
# The final statuses of a run.
CLOSED = ("stopped", "completed", "failed")


def found_lab(name: str) -> Emulator:
    """Returns the lab of this name, which the caller has started."""
    clear_aws_settings()
    emulated = session.found(name)
    assert emulated is not None, f"no lab {name} is up"
    return emulated


def eventually(
    what: str, look: Callable[[], Any], process: subprocess.Popen[str] | None = None, poll_seconds: float = 0.5
) -> Any:
    """Returns what `look` returns as soon as it is true. The process, if there is one, must not end before."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        assert process is None or process.poll() is None, f"{what}: the process has ended before"
        time.sleep(poll_seconds)
    raise AssertionError(f"{what}: not within {PATIENCE_SECONDS:.0f} s")


def layer_version(account: Account, name: str) -> str:
    """Returns the ARN of the latest version of a layer."""
    versions = account.client("lambda").list_layer_versions(LayerName=name)["LayerVersions"]
    return str(versions[0]["LayerVersionArn"])


def create_alarm(account: Account, name: str) -> None:
    """Creates an alarm whose metric has no data, so that only a test changes its state."""
    account.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Lab/Tests",
        MetricName="Never",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )
    set_alarm(account, name, "OK")


def set_alarm(account: Account, name: str, state: str) -> None:
    account.client("cloudwatch").set_alarm_state(AlarmName=name, StateValue=state, StateReason="a test")

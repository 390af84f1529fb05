"""Reads from CloudWatch which faults a run has injected inside invocations."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from account import Account

# As src/proxy/log.rs writes them.
NAMESPACE, METRIC = "snapback", "InjectedFaults"
# No lab runs this long.
WINDOW = timedelta(hours=1)


def injected_faults(account: Account, run: str) -> dict[str, float]:
    """Returns the number of injected faults of a run, by kind."""
    metrics = account.client("cloudwatch")
    of_run = [{"Name": "Run", "Value": run}]
    found = metrics.list_metrics(Namespace=NAMESPACE, MetricName=METRIC, Dimensions=of_run)["Metrics"]
    return {kind(metric): total(metrics, metric["Dimensions"]) for metric in found}


def kind(metric: dict[str, Any]) -> str:
    return next(str(each["Value"]) for each in metric["Dimensions"] if each["Name"] == "Fault")


def total(metrics: Any, dimensions: list[dict[str, str]]) -> float:
    now = datetime.now(timezone.utc)
    statistics = metrics.get_metric_statistics(
        Namespace=NAMESPACE,
        MetricName=METRIC,
        Dimensions=dimensions,
        StartTime=now - WINDOW,
        EndTime=now + timedelta(minutes=1),
        Period=int(WINDOW.total_seconds()),
        Statistics=["Sum"],
    )
    return sum(float(point["Sum"]) for point in statistics["Datapoints"])

"""Sends requests to one function, bounded in number and in time, and counts them by result."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable

from account import Account

# The namespace of the load generator's metrics, which show the caller's view. The alarms are on Lambda's metrics.
NAMESPACE = "Lab/Traffic"
PUBLISH_SECONDS = 1.0


@dataclass
class Counts:
    """The number of requests by result."""

    answered: int = 0
    throttled: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.answered + self.throttled + self.failed

    def __str__(self) -> str:
        return f"{self.answered} answered, {self.throttled} throttled, {self.failed} failed"


class Traffic:
    """Calls `function` at a steady rate from a separate thread, until it is stopped or a bound is reached.

    It calls `changed` with the result of a request (answered, throttled, failed) when that differs from the result before.
    """

    def __init__(
        self,
        account: Account,
        function: str,
        changed: Callable[[str], None],
        per_second: float = 5,
        max_requests: int = 2000,
        max_seconds: float = 600,
    ) -> None:
        self.account = account
        self.function = function
        self.changed = changed
        self.interval = 1 / per_second
        self.max_requests = max_requests
        self.max_seconds = max_seconds
        self.counts = Counts()
        self.last = ""
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> Traffic:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.stopping.set()
        self.thread.join()

    def run(self) -> None:
        functions = self.account.client("lambda")
        metrics = self.account.client("cloudwatch")
        started = time.monotonic()
        published = started
        while not self.is_over(started):
            self.request(functions)
            if time.monotonic() - published >= PUBLISH_SECONDS:
                self.publish(metrics)
                published = time.monotonic()
            self.stopping.wait(self.interval)
        self.publish(metrics)

    def is_over(self, started: float) -> bool:
        return (
            self.stopping.is_set()
            or self.counts.total >= self.max_requests
            or time.monotonic() - started >= self.max_seconds
        )

    def request(self, functions: Any) -> None:
        result = send(functions, self.function)
        setattr(self.counts, result, getattr(self.counts, result) + 1)
        if result != self.last:
            self.last = result
            self.changed(result)

    def publish(self, metrics: Any) -> None:
        """Publishes the counts, as a load generator does.

        The emulator has no clock for alarms: it evaluates all of them when a metric is put. Without this call, it would not
        evaluate the Throttles that Lambda has recorded.
        """
        from botocore.exceptions import BotoCoreError

        dimensions = [{"Name": "FunctionName", "Value": self.function}]
        data = [
            {"MetricName": name.capitalize(), "Dimensions": dimensions, "Value": value, "Unit": "Count"}
            for name, value in vars(self.counts).items()
        ]
        # If the emulator has stopped, the requests show it.
        with contextlib.suppress(BotoCoreError):
            metrics.put_metric_data(Namespace=NAMESPACE, MetricData=data)


def send(functions: Any, function: str) -> str:
    """Sends one request. Returns its result: answered, throttled or failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        response = functions.invoke(FunctionName=function, Payload=b"{}")
    except ClientError as error:
        return "throttled" if error.response["Error"]["Code"] == "TooManyRequestsException" else "failed"
    except BotoCoreError:
        return "failed"
    return "failed" if "FunctionError" in response else "answered"

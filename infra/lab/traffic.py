"""Requests to one function, bounded in number and in time, and counted by what came back."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable

from account import Account

# How the load generator's own metric is called. It says what a caller sees; the alarm is on what Lambda says.
NAMESPACE = "Lab/Traffic"
PUBLISH_SECONDS = 1.0


@dataclass
class Counts:
    """What came back."""

    answered: int = 0
    throttled: int = 0
    failed: int = 0

    @property
    def total(self) -> int:
        return self.answered + self.throttled + self.failed

    def __str__(self) -> str:
        return f"{self.answered} answered, {self.throttled} throttled, {self.failed} failed"


class Traffic:
    """Calls `function` at a steady rate from a thread of its own, until stopped or a bound is reached.

    `changed` is told what the last request got (answered, throttled, failed) whenever that is not what the one
    before it got.
    """

    def __init__(
        self,
        account: Account,
        function: str,
        changed: Callable[[str], None],
        per_second: float = 5,
        most_requests: int = 2000,
        most_seconds: float = 600,
    ) -> None:
        self.account = account
        self.function = function
        self.changed = changed
        self.interval = 1 / per_second
        self.most_requests = most_requests
        self.most_seconds = most_seconds
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
            or self.counts.total >= self.most_requests
            or time.monotonic() - started >= self.most_seconds
        )

    def request(self, functions: Any) -> None:
        result = send(functions, self.function)
        setattr(self.counts, result, getattr(self.counts, result) + 1)
        if result != self.last:
            self.last = result
            self.changed(result)

    def publish(self, metrics: Any) -> None:
        """Publishes the counts, as a load generator does.

        The emulator has no clock for alarms: it evaluates them, all of them, when somebody puts a metric. This is
        what makes it look at the Throttles that Lambda has recorded.
        """
        from botocore.exceptions import BotoCoreError

        dimensions = [{"Name": "FunctionName", "Value": self.function}]
        data = [
            {"MetricName": name.capitalize(), "Dimensions": dimensions, "Value": value, "Unit": "Count"}
            for name, value in vars(self.counts).items()
        ]
        # An emulator that is gone shows in the requests.
        with contextlib.suppress(BotoCoreError):
            metrics.put_metric_data(Namespace=NAMESPACE, MetricData=data)


def send(functions: Any, function: str) -> str:
    """One request: answered, throttled or failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        answer = functions.invoke(FunctionName=function, Payload=b"{}")
    except ClientError as error:
        return "throttled" if error.response["Error"]["Code"] == "TooManyRequestsException" else "failed"
    except BotoCoreError:
        return "failed"
    return "failed" if "FunctionError" in answer else "answered"

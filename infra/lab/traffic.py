"""Sends requests to one function, bounded in number and in time, and keeps the result of each."""

from __future__ import annotations

import contextlib
import statistics
import threading
import time
from dataclasses import dataclass
from typing import Any, Callable

from account import Account

# The namespace of the load generator's metrics, which show the caller's view. The alarms are on Lambda's metrics.
NAMESPACE = "Lab/Traffic"
PUBLISH_SECONDS = 1.0


@dataclass(frozen=True)
class Response:
    """One request as its sender saw it: when it began, how long it took (both in seconds), and answered, throttled or failed."""

    began: float
    took: float
    result: str


@dataclass(frozen=True)
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


def count(responses: list[Response]) -> Counts:
    results = [response.result for response in responses]
    return Counts(results.count("answered"), results.count("throttled"), results.count("failed"))


def median_ms(responses: list[Response]) -> float:
    return statistics.median(response.took for response in responses) * 1000 if responses else 0.0


def times(responses: list[Response]) -> str:
    """Returns how long the answers took; empty without any."""
    took = [response.took for response in responses if response.result == "answered"]
    return f"median {duration(statistics.median(took))}, slowest {duration(max(took))}" if took else ""


def duration(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


class Traffic:
    """Calls `function` at a steady rate from `senders` threads, until it is stopped or a bound is reached.

    It calls `changed` with the result of a request (answered, throttled, failed) when that differs from the result before.
    """

    def __init__(
        self,
        account: Account,
        function: str,
        changed: Callable[[str], None] = lambda result: None,
        senders: int = 1,
        per_second: float = 5,
        max_requests: int = 2000,
        max_seconds: float = 600,
    ) -> None:
        self.account = account
        self.function = function
        self.changed = changed
        self.interval = senders / per_second
        self.max_requests = max_requests
        self.max_seconds = max_seconds
        # Threads only append to it.
        self.responses: list[Response] = []
        self.started = 0.0
        self.stopping = threading.Event()
        self.senders = [threading.Thread(target=self.send, daemon=True) for _ in range(senders)]
        self.publisher = threading.Thread(target=self.publish_regularly, daemon=True)

    def __enter__(self) -> Traffic:
        self.started = time.monotonic()
        for thread in (*self.senders, self.publisher):
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.wait()
        self.publisher.join()

    def wait(self) -> None:
        """Waits until a bound is reached."""
        for thread in self.senders:
            thread.join()

    @property
    def counts(self) -> Counts:
        return count(self.responses)

    @property
    def last(self) -> str:
        """Returns the result of the last request."""
        return self.responses[-1].result if self.responses else ""

    def since(self, began: float, until: float = float("inf")) -> list[Response]:
        """Returns the requests that began in a span of time, in their order."""
        return sorted((each for each in self.responses if began <= each.began < until), key=lambda each: each.began)

    def send(self) -> None:
        functions = self.account.client("lambda")
        while not self.is_over():
            began, measured = time.time(), time.monotonic()
            result = send(functions, self.function)
            last = self.last
            self.responses.append(Response(began, time.monotonic() - measured, result))
            if result != last:
                self.changed(result)
            self.stopping.wait(self.interval)

    def is_over(self) -> bool:
        return (
            self.stopping.is_set()
            or len(self.responses) >= self.max_requests
            or time.monotonic() - self.started >= self.max_seconds
        )

    def publish_regularly(self) -> None:
        metrics = self.account.client("cloudwatch")
        while not self.is_over():
            self.stopping.wait(PUBLISH_SECONDS)
            self.publish(metrics)

    def publish(self, metrics: Any) -> None:
        """Publishes the counts, as a load generator does.

        The emulator has no clock for alarms: it evaluates all of them when a metric is put. Without this call, it would not
        evaluate the metrics that Lambda has recorded.
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

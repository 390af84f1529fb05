"""What requests and messages meet while a common failure of events/failures is in place, and after its restore."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Callable

import sandbox
from account import Account

from lab_parts import eventually

# What the functions have beside a fault.
MEMORY_MB = 512
POISON = "snapback-poison"
# The counts of the messages that a queue delivers and of those that are in work.
WAITING, IN_WORK = "ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"


@dataclass(frozen=True)
class Result:
    """The result of one request: its response, the name of its error or an empty text, and how long it took."""

    response: Any
    error: str
    seconds: float


@dataclass
class Shop:
    """One function, and its queues if it has some."""

    account: Account
    function: str
    # The URLs of the queue that the function reads, and of its dead-letter queue.
    queues: list[str] = field(default_factory=list)
    mapping: str = ""

    def request(self, **event: str) -> Result:
        lambdas = self.account.client("lambda")
        began = time.monotonic()
        try:
            responded = lambdas.invoke(FunctionName=self.function, Payload=json.dumps(event).encode())
        except lambdas.exceptions.TooManyRequestsException as error:
            return Result(None, error.response["Error"]["Code"], time.monotonic() - began)
        response = json.loads(responded["Payload"].read())
        error = response["errorType"] if "FunctionError" in responded else ""
        return Result(response, error, time.monotonic() - began)

    def send(self, body: str) -> None:
        self.account.client("sqs").send_message(QueueUrl=self.queues[0], MessageBody=body)

    def messages(self, queue: str, *counts: str) -> int:
        asked = self.account.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=list(counts))
        return sum(int(asked["Attributes"][count]) for count in counts)

    def wait_until_read(self) -> None:
        eventually(f"{self.function} has read its queue", lambda: not self.messages(self.queues[0], WAITING, IN_WORK))

    def mapping_state(self) -> str:
        return str(self.account.client("lambda").get_event_source_mapping(UUID=self.mapping)["State"])


def succeeds(shop: Shop, **event: str) -> Result:
    result = shop.request(**event)
    assert not result.error, f"{shop.function}: {result}"
    return result


def fails(shop: Shop, error: str, **event: str) -> None:
    result = shop.request(**event)
    assert result.error == error, f"{shop.function}: expected {error}: {result}"


def throttled(shop: Shop) -> None:
    fails(shop, "TooManyRequestsException")


def failing_at_times(shop: Shop) -> None:
    results: set[str] = set()

    def both() -> bool:
        results.add(shop.request().error)
        return len(results) == 2

    eventually("one invocation fails, and another one does not", both, poll_seconds=0)
    assert results == {"", "Service.Unavailable"}, results


def slow_at_the_start(shop: Shop) -> None:
    first, second = succeeds(shop).seconds, succeeds(shop).seconds
    assert first >= 5 > second, (first, second)


def without_disk(shop: Shop) -> None:
    succeeds(shop)
    # Without a mount namespace, a function's /tmp is that of the machine.
    if sandbox.unshare_options():
        fails(shop, "OSError", receipts="all")


def poisoned(shop: Shop) -> None:
    """The environment is started before, so that no message waits for longer than its visibility timeout."""
    succeeds(shop)
    shop.send("a good message")
    shop.wait_until_read()
    shop.send(POISON)
    dead_letters = shop.queues[1]
    eventually("the message is a dead letter", lambda: shop.messages(dead_letters, WAITING) == 1)


def not_read(shop: Shop) -> None:
    assert shop.mapping_state() == "Disabled"
    shop.send("a message that waits")


def waiting(shop: Shop) -> None:
    """The message is still there when all other failures were felt."""
    assert shop.messages(shop.queues[0], WAITING) == 1


def misconfigured(shop: Shop) -> None:
    fails(shop, "ResourceNotFoundException", order="7")


def with_its_dependency(shop: Shop) -> None:
    """A fault on dependencies touches no loopback address, where the tables of this lab are. Demo 6 has a network in which it does."""
    succeeds(shop, order="7")


def small(shop: Shop) -> None:
    """The lab gives no function less CPU, and ends none that needs more memory."""
    assert succeeds(shop).response["memory"] == 128


def reads_its_table(shop: Shop) -> None:
    succeeds(shop, order="7")


def writes_to_disk(shop: Shop) -> None:
    succeeds(shop, receipts="all")


def has_its_memory(shop: Shop) -> None:
    assert succeeds(shop).response["memory"] == MEMORY_MB


def reads_every_message(shop: Shop) -> None:
    shop.send(POISON)
    shop.wait_until_read()
    assert shop.messages(shop.queues[1], WAITING, IN_WORK) == 1, "the second message is no dead letter"


def reads_its_queue(shop: Shop) -> None:
    assert shop.mapping_state() == "Enabled"
    shop.wait_until_read()


@dataclass(frozen=True)
class Scenario:
    """How a failure is felt, what is checked just before its restore, and what works after that."""

    felt: Callable[[Shop], None]
    works: Callable[[Shop], object] = succeeds
    remains: Callable[[Shop], None] = lambda shop: None
    # The visibility timeout in seconds, if the function reads a queue, and whether that has a dead-letter queue.
    visibility_seconds: int = 0
    dead_letters: bool = False


SCENARIOS = {
    "throttled": Scenario(throttled),
    "slow-dependency": Scenario(with_its_dependency, reads_its_table),
    "failing-handler": Scenario(failing_at_times),
    "cold-starts": Scenario(slow_at_the_start),
    "full-disk": Scenario(without_disk, writes_to_disk),
    "poison-message": Scenario(poisoned, reads_every_message, visibility_seconds=5, dead_letters=True),
    "bad-configuration": Scenario(misconfigured, reads_its_table),
    "unreachable-dependency": Scenario(with_its_dependency, reads_its_table),
    "queue-not-read": Scenario(not_read, reads_its_queue, remains=waiting, visibility_seconds=30),
    "too-little-memory": Scenario(small, has_its_memory),
}

"""What the stack still holds: at the end of the lab that has to be nothing."""

from __future__ import annotations

from typing import Any

from account import Account
from deployment import Stack

# The statuses (src/model/run.rs) that a run or a target still has to leave.
UNFINISHED = {"pending", "running", "stopping", "armed", "injecting", "injected", "restoring"}


def leftovers(account: Account, stack: Stack) -> list[str]:
    """Locks, armed snapshots, unfinished runs and dead letters, each as one sentence."""
    items = scan(account, stack.ledger)
    unfinished = [f"{key(item)} is {item['status']['S']}" for item in items if is_unfinished(item)]
    locks = [f"{key(item)} is held" for item in items if is_lock(item)]
    letters = dead_letters(account, stack)
    return unfinished + locks + ([f"{letters} messages are in the dead-letter queue"] if letters else [])


def scan(account: Account, table: str) -> list[dict[str, Any]]:
    pages = account.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def key(item: dict[str, Any]) -> str:
    return f"{item['pk']['S']} {item['sk']['S']}"


def is_unfinished(item: dict[str, Any]) -> bool:
    return item.get("status", {}).get("S") in UNFINISHED


def is_lock(item: dict[str, Any]) -> bool:
    """A lock that somebody holds; a released one stays as a tombstone."""
    return "lock" in key(item).lower() and "run" in item


def dead_letters(account: Account, stack: Stack) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    answer = account.client("sqs").get_queue_attributes(QueueUrl=stack.dead_letter_queue, AttributeNames=names)
    return sum(int(answer["Attributes"][name]) for name in names)

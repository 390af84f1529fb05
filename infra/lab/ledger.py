"""Lists what the stack still holds, which must be nothing at the end of the lab."""

from __future__ import annotations

from typing import Any

from account import Account
from deployment import Stack

# The statuses of runs and targets that are not over (src/model/run.rs). src/aws/records.rs has the table's layout.
UNFINISHED = {"pending", "running", "stopping", "armed", "injecting", "injected", "restoring"}


def leftovers(account: Account, stack: Stack, runs: int) -> list[str]:
    """Returns locks, armed snapshots, unfinished runs and dead letters, each as one sentence.

    There were `runs` runs with one target each. Too few records of them are an error too, because a check that finds no records
    could not find leftovers.
    """
    items = scan(account, stack.ledger)
    records = [item for item in items if key(item).startswith("RUN#") and item["sk"]["S"] not in ("BODY", "METRICS")]
    locks = [item for item in items if key(item).startswith("LOCK#")]
    listed = [item for item in items if key(item).startswith(("ACTIVE", "ALARM#"))]
    left = [f"{key(item)} is {item['status']['S']}" for item in records if item["status"]["S"] in UNFINISHED]
    # A released lock remains as a tombstone without a run.
    left += [f"{key(item)} is held by {item['run']['S']}" for item in locks if "S" in item.get("run", {})]
    left += [f"{key(item)} is still listed" for item in listed]
    if len(records) < 2 * runs or len(locks) < runs:
        left.append(f"the ledger has {len(records)} runs and targets and {len(locks)} locks, too few for {runs} runs")
    letters = dead_letters(account, stack)
    return left + ([f"{letters} messages are in the dead-letter queue"] if letters else [])


def scan(account: Account, table: str) -> list[dict[str, Any]]:
    pages = account.client("dynamodb").get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
    return [item for page in pages for item in page["Items"]]


def key(item: dict[str, Any]) -> str:
    return f"{item['pk']['S']} {item['sk']['S']}"


def dead_letters(account: Account, stack: Stack) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    response = account.client("sqs").get_queue_attributes(QueueUrl=stack.dead_letter_queue, AttributeNames=names)
    return sum(int(response["Attributes"][name]) for name in names)

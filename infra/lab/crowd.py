"""Creates many small functions for experiments in batches. Consecutive functions are configured differently."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import archive
import comparison
import functions
from account import Account
from deployment import architecture

# An experiment finds them by this tag.
TAG = {"crowd": "all"}
# Requests at the same time; the emulator has two cores.
MAX_CONCURRENCY = 8
# None is an absent concurrency, which a restore must not confuse with a number.
CONCURRENCIES = (None, 2, 1)


def ensure_fleet(account: Account, count: int) -> dict[str, dict[str, Any]]:
    """Returns the whole configuration of `count` functions with the opt-in tag, field by field; creates missing ones."""
    names = [f"crowd-{number:03}" for number in range(count)]
    client = account.client("lambda")
    pages = client.get_paginator("list_functions").paginate()
    there = {each["FunctionName"] for page in pages for each in page["Functions"]}
    missing = [number for number in range(count) if names[number] not in there]
    if missing:
        create(account, names, missing)
    with ThreadPoolExecutor(MAX_CONCURRENCY) as pool:
        return dict(zip(names, pool.map(lambda name: comparison.read(account, name), names)))


def create(account: Account, names: list[str], numbers: list[int]) -> None:
    role = account.client("iam").get_role(RoleName=functions.ROLE)["Role"]["Arn"]
    code = archive.of_file(functions.CODE / "targets" / "search.py", "app.py")
    with ThreadPoolExecutor(MAX_CONCURRENCY) as pool:
        list(pool.map(lambda number: create_one(account, names[number], number, role, code), numbers))
    waiter = account.client("lambda").get_waiter("function_active_v2")
    for number in numbers:
        waiter.wait(FunctionName=names[number], WaiterConfig={"Delay": 1, "MaxAttempts": 300})


def create_one(account: Account, name: str, number: int, role: str, code: bytes) -> None:
    client = account.client("lambda")
    client.create_function(
        FunctionName=name,
        Runtime=functions.RUNTIME,
        Architectures=[architecture()],
        Handler="app.handler",
        Role=role,
        Code={"ZipFile": code},
        Environment={"Variables": {"NUMBER": str(number)}},
        Timeout=10 + number % 7,
        MemorySize=128 + number,
        Tags={"chaos": "allowed", **TAG},
    )
    concurrency = CONCURRENCIES[number % len(CONCURRENCIES)]
    if concurrency is not None:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=concurrency)


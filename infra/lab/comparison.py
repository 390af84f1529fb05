"""Reads a function's whole configuration, field by field, and compares two readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterator

from account import Account

HIDDEN = "(hidden)"
ABSENT = "(absent)"
# Fields that AWS writes. They differ even in a function that is restored exactly.
EXCEPTED = {
    "new with every change": ("Configuration.RevisionId", "Configuration.LastModified"),
    "the status of the last update": (
        "Configuration.State",
        "Configuration.StateReason",
        "Configuration.StateReasonCode",
        "Configuration.LastUpdateStatus",
        "Configuration.LastUpdateStatusReason",
        "Configuration.LastUpdateStatusReasonCode",
    ),
    "a link that is signed for each reader": ("Code.Location",),
}
EXCEPTED_FIELDS = {field for fields in EXCEPTED.values() for field in fields}
SECRET_PREFIX = "Configuration.Environment.Variables."


@dataclass(frozen=True)
class Difference:
    """A field whose value differs between two readings; None is an absent field."""

    field: str
    before: Any
    after: Any

    def __str__(self) -> str:
        before, after = display(self.field, self.before), display(self.field, self.after)
        # A hidden value that has changed looks the same, so the word says it.
        return f"{self.field}: {before} -> {'(hidden, changed)' if before == after == HIDDEN else after}"


def read(account: Account, function: str) -> dict[str, Any]:
    """Returns the results of GetFunction, GetFunctionConcurrency and ListTags for `function`, by dotted field.

    The function can change between these three reads, so use this only while nothing changes it. The emulator's record
    (record.py) has the changes of a running experiment.
    """
    functions = account.client("lambda")
    described = functions.get_function(FunctionName=function)
    concurrency = without_metadata(functions.get_function_concurrency(FunctionName=function))
    tags = functions.list_tags(Resource=described["Configuration"]["FunctionArn"])["Tags"]
    return flat(described, concurrency, tags)


def flat(described: dict[str, Any], concurrency: dict[str, Any], tags: dict[str, Any]) -> dict[str, Any]:
    """Flattens the three responses into dotted fields."""
    everything = {
        "Configuration": described["Configuration"],
        "Code": described["Code"],
        "GetFunction.Concurrency": described.get("Concurrency", {}),
        "GetFunction.Tags": described.get("Tags", {}),
        "GetFunctionConcurrency": concurrency,
        "ListTags": tags,
    }
    return {name: value for name, value in fields("", everything) if name not in EXCEPTED_FIELDS}


def without_metadata(response: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in response.items() if name != "ResponseMetadata"}


def fields(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Flattens objects and lists, so that a list's order is compared too. An empty one is a value."""
    if isinstance(value, dict) and value:
        for name in sorted(value):
            yield from fields(f"{prefix}.{name}" if prefix else name, value[name])
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            yield from fields(f"{prefix}[{index}]", item)
    else:
        yield prefix, value


def differences(before: dict[str, Any], after: dict[str, Any]) -> list[Difference]:
    names = sorted(before.keys() | after.keys())
    return [
        Difference(name, before.get(name), after.get(name)) for name in names if before.get(name) != after.get(name)
    ]


def display(field: str, value: Any) -> str:
    """Returns a value for display. An environment's values are compared, but never displayed."""
    if value is None:
        return ABSENT
    if field.startswith(SECRET_PREFIX):
        return HIDDEN
    return str(value) if value != "" else '""'


def is_updated(account: Account, function: str) -> bool:
    """Returns whether the last update has been applied; until then the old configuration serves requests."""
    configuration = account.client("lambda").get_function(FunctionName=function)["Configuration"]
    return bool(configuration["LastUpdateStatus"] == "Successful")

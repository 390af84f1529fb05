"""Evidence of what happened: from the emulated services, not from snapback."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, TypeVar

from comparison import Difference

Found = TypeVar("Found")


@dataclass
class Findings:
    """The failed checks of the lab, which succeeds if there are none."""

    failures: list[str] = field(default_factory=list)

    def check(self, holds: bool, text: str) -> bool:
        if not holds:
            self.failures.append(text)
        return holds


@dataclass
class Journal:
    """Reads a file of JSON lines; each read continues where the last one ended."""

    path: Path
    offset: int = 0

    def news(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as journal:
            journal.seek(self.offset)
            for line in journal:
                # The last line may be incomplete.
                if not line.endswith(b"\n"):
                    return
                self.offset += len(line)
                yield json.loads(line)


@dataclass
class Record:
    """The emulator's record of changes and invocations (record.py) since the creation of this object."""

    path: Path
    lines: list[dict[str, Any]] = field(default_factory=list)
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.journal = Journal(self.path)
        # Skip what was recorded before.
        self.read()
        self.lines.clear()

    def read(self) -> list[dict[str, Any]]:
        self.lines += self.journal.news()
        return self.lines

    def changes(self, function: str) -> list[Difference]:
        """Returns the first change of each field of `function`."""
        first: dict[str, Difference] = {}
        for line in self.read():
            if line.get("changed") == function:
                for name, (before, after) in line["fields"].items():
                    first.setdefault(name, Difference(name, before, after))
        return list(first.values())

    def invocations(self, function: str) -> int:
        """Counts the invocations of `function`."""
        return sum(line.get("invoked") == function for line in self.read())


def eventually(probe: Callable[[], Found], seconds: float) -> Found:
    """Polls `probe` until its result is true or the time is over; returns the last result."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(0.2)

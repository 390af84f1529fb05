"""What happened, as the emulated services tell it, and not as snapback does."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Iterator, TypeVar

from account import Account

Found = TypeVar("Found")


@dataclass
class Findings:
    """What the lab has checked; it succeeds when nothing failed."""

    failures: list[str] = field(default_factory=list)

    def check(self, holds: bool, text: str) -> bool:
        if not holds:
            self.failures.append(text)
        return holds


@dataclass
class Journal:
    """The bridge's journal, read on from where the last reading ended."""

    path: Path
    offset: int = 0

    def news(self) -> Iterator[dict[str, Any]]:
        with self.path.open("rb") as journal:
            journal.seek(self.offset)
            for line in journal:
                # The last line may still be on its way.
                if not line.endswith(b"\n"):
                    return
                self.offset += len(line)
                yield json.loads(line)


def invocations(account: Account, function: str, since: float) -> int:
    """How often `function` has been invoked since then: each invocation begins its log with START."""
    logs = account.client("logs")
    lines = logs.filter_log_events(logGroupName=f"/aws/lambda/{function}", startTime=int(since * 1000))["events"]
    return sum(line["message"].startswith("START ") for line in lines)


def eventually(look: Callable[[], Found], seconds: float) -> Found:
    """What `look` sees, as soon as it sees something, or at last."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found or time.monotonic() >= deadline:
            return found
        time.sleep(0.2)

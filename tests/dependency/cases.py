"""Which client meets which fault how: over IPv4 or IPv6, with TLS or without, on a new connection or on one that was open before.

Not all combinations are tried. Each client meets each fault over both families, with TLS and without, and on an open connection;
each fault meets each way of connecting with some client. `check_coverage` proves both.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

SLOW_MS = 250
# A response of 1 KB takes longer at 4 KB per second.
LIMITED_MS = 150
BODY, REFUSED, RESET, TIMEOUT = "body", "refused", "reset", "timeout"
NOT_FOUND, TRY_AGAIN = "notFound", "tryAgain"


@dataclass(frozen=True)
class Fault:
    """Settings of a `dependency` fault, and what a client gets on a new connection and on an open one."""

    settings: dict
    new: str
    kept: str
    least_ms: int = 0
    is_triggered: bool = True


FAULTS = {
    "none": Fault({"refuse": True, "percentage": 0}, BODY, BODY, is_triggered=False),
    "latency": Fault({"latency": {"delayMs": SLOW_MS}}, BODY, BODY, SLOW_MS),
    "bandwidth": Fault({"bandwidth": {"bytesPerSecond": 4000}}, BODY, BODY, LIMITED_MS),
    "refuse": Fault({"refuse": True}, REFUSED, RESET),
    "reset": Fault({"reset": {}}, RESET, RESET),
    "cut": Fault({"reset": {"afterBytes": 600}}, RESET, RESET),
    "blackhole": Fault({"blackhole": True}, TIMEOUT, TIMEOUT),
    "missing": Fault({"unresolvable": "notFound"}, NOT_FOUND, BODY),
    "again": Fault({"unresolvable": "tryAgain"}, TRY_AGAIN, BODY),
}
UNNAMED = "unnamed"
CLIENTS = {
    "python": ["urllib", "urllib3", "requests", "httpx", "http.client", "socket", "asyncio", "boto3"],
    "node": ["http", "fetch", "net", "sdk"],
    "java": ["url", "httpclient"],
    "ruby": ["net.http", "socket"],
}
# It closes its connection after each response.
NEVER_KEEPS = {"python.urllib"}
# Both families, with TLS and without.
WAYS = [(4, False), (6, True), (4, True), (6, False)]


@dataclass(frozen=True)
class Case:
    number: int
    client: str
    fault: str
    family: int
    is_secure: bool
    is_kept: bool

    @property
    def name(self) -> str:
        """A name for this case alone, so that caches of names and pools of connections share nothing."""
        return f"c{self.number}.{self.fault}.test"

    @property
    def expected(self) -> str:
        if self.fault == UNNAMED:
            return BODY
        fault = FAULTS[self.fault]
        outcome = fault.kept if self.is_kept else fault.new
        return DIFFERENT.get((self.client, self.fault, self.is_kept), outcome)

    @property
    def least_ms(self) -> int:
        return 0 if self.fault == UNNAMED else FAULTS[self.fault].least_ms


# What some clients make of a fault, by client, fault, and whether the connection was open. Those of Java repeat a request on a new
# connection if an open one was reset, and do not tell why a name has no address.
DIFFERENT = {
    (f"java.{client}", fault, is_kept): outcome
    for client in CLIENTS["java"]
    for fault, is_kept, outcome in [("refuse", True, REFUSED), ("missing", False, "unresolved"), ("again", False, "unresolved")]
}


def all_cases(runtimes: Iterable[str]) -> list[Case]:
    clients = [f"{runtime}.{client}" for runtime in runtimes for client in CLIENTS[runtime]]
    numbers = itertools.count(1)
    cases = []
    for (place, client), (turn, fault) in itertools.product(enumerate(clients), enumerate(FAULTS)):
        half = (place + turn) % 2 * 2
        cases += [Case(next(numbers), client, fault, *way, False) for way in WAYS[half : half + 2]]
        if client not in NEVER_KEEPS:
            cases.append(Case(next(numbers), client, fault, *WAYS[(place + turn) % 4], True))
    cases += [Case(next(numbers), client, UNNAMED, *WAYS[place % 4], False) for place, client in enumerate(clients)]
    return cases


def check_coverage(cases: list[Case]) -> None:
    """Fails unless each fault meets each way of connecting, and each client each fault over both families and with TLS."""
    ways = {(case.fault, case.family, case.is_secure, case.is_kept) for case in cases if case.fault != UNNAMED}
    assert len(ways) == len(FAULTS) * 8, sorted(ways)
    for client, fault in itertools.product({case.client for case in cases}, FAULTS):
        own = [case for case in cases if (case.client, case.fault) == (client, fault)]
        assert {case.family for case in own} == {4, 6} and {case.is_secure for case in own} == {True, False}, own
        assert client in NEVER_KEEPS or any(case.is_kept for case in own), own

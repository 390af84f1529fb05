"""Measures connections in one process, with or without the shim: `measure.py HOST PORT UNNAMED_HOST [RELAY_PORT]`; prints JSON in µs."""

from __future__ import annotations

import json
import socket
import statistics
import sys
import time
from collections.abc import Callable

CALLS, ROUNDS, OPENINGS, TURNS = 50_000, 7, 300, 3_000


def median_us(act: Callable[[], None], count: int) -> float:
    spans = []
    for _ in range(count):
        began = time.perf_counter_ns()
        act()
        spans.append(time.perf_counter_ns() - began)
    return statistics.median(spans) / 1000


def connect_unnamed(host: str) -> float:
    """A call of connect(2) for a destination that no fault names. A UDP socket can be connected again and again."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        address, connect = (host, 9), datagrams.connect

        def round_us() -> float:
            began = time.perf_counter_ns()
            for _ in range(CALLS):
                connect(address)
            return (time.perf_counter_ns() - began) / CALLS / 1000

        # Other work on the machine only adds to a time.
        return min(round_us() for _ in range(ROUNDS))


def open_us(address: tuple[str, int]) -> float:
    def act() -> None:
        with socket.create_connection(address) as connection:
            connection.sendall(b"x")
            connection.recv(1)

    return median_us(act, OPENINGS)


def turn_us(address: tuple[str, int]) -> float:
    with socket.create_connection(address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def act() -> None:
            connection.sendall(b"x" * 100)
            connection.recv(100)

        return median_us(act, TURNS)


def main(host: str, port: int, unnamed: str, relay: int | None = None) -> None:
    found = {"unnamed": connect_unnamed(unnamed), "open": open_us((host, port)), "turn": turn_us((host, port))}
    if relay is not None:
        found |= {"relay_open": open_us(("127.0.0.1", relay)), "relay_turn": turn_us(("127.0.0.1", relay))}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], *map(int, sys.argv[4:5]))

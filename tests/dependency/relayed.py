"""Connections through the relay: `relayed.py WHAT ADDRESS PORT` prints what the program experiences."""

from __future__ import annotations

import socket
import sys
import time
from collections import Counter
from collections.abc import Callable

PATIENCE_S = 10


def upload(address: tuple[str, int]) -> str:
    """Returns what is received by uploads that the server rejects before they are through."""
    outcomes: Counter[str] = Counter()
    for _ in range(20):
        with socket.create_connection(address, PATIENCE_S) as connection:
            try:
                for _ in range(100):
                    connection.sendall(bytes(100_000))
            except OSError:
                pass
            try:
                outcomes[connection.recv(100).decode()] += 1
            except OSError as failure:
                outcomes[type(failure).__name__] += 1
    return str(dict(outcomes))


def read_slowly(address: tuple[str, int]) -> str:
    """Returns how many bytes are received, and how the connection ends."""
    received, end = 0, "end"
    with socket.create_connection(address, PATIENCE_S) as connection:
        connection.sendall(b"go")
        try:
            while part := connection.recv(16_384):
                received += len(part)
                time.sleep(0.002)
        except OSError as failure:
            end = type(failure).__name__
    return f"{received} {end}"


def connect(address: tuple[str, int], timeout_s: float = 1) -> str:
    """Returns how a connection ends that has a timeout."""
    with socket.socket() as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(address)
        except OSError as failure:
            return type(failure).__name__
    return "connected"


def connect_often(address: tuple[str, int]) -> str:
    """Returns how many of 200 connections work at the same time, and how many of them go through the relay."""
    connections = [socket.create_connection(address, PATIENCE_S) for _ in range(200)]
    for connection in connections:
        connection.sendall(b"x")
    answered = sum(connection.recv(1) == b"x" for connection in connections)
    relayed = sum(connection.getpeername()[0] == "127.0.0.1" for connection in connections)
    return f"{answered} {relayed}"


WAYS: dict[str, Callable[[tuple[str, int]], str]] = {
    "upload": upload,
    "read": read_slowly,
    "connect": connect,
    "connect-patiently": lambda address: connect(address, 5),
    "often": connect_often,
}

if __name__ == "__main__":
    what, host, port = sys.argv[1:]
    print(WAYS[what]((host, int(port))), end="")

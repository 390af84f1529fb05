"""What the relay must not change, and how it ends connections. inside.py runs this in its network."""

from __future__ import annotations

import resource
import socket
import sys
import threading
import unittest
from collections.abc import Callable

import network
from places import QUIET
from stage import HERE, Function, Layer

ADDRESS = network.ipv4(QUIET)
PROGRAM = [sys.executable, str(HERE / "relayed.py")]


class Server:
    """Serves each connection with a function."""

    def __init__(self, serve: Callable[[socket.socket], None]):
        self.serve, self.listener = serve, socket.create_server((ADDRESS, 0), backlog=64)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.converse, args=(connection,), daemon=True).start()

    def converse(self, connection: socket.socket) -> None:
        with connection:
            try:
                self.serve(connection)
            except OSError:
                pass

    def __enter__(self) -> str:
        return str(self.listener.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self.listener.close()


def reject(connection: socket.socket) -> None:
    """Closes a connection with unread bytes, which resets it."""
    connection.recv(1000)
    connection.sendall(b"rejected")


def send_much(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(bytes(20_000_000))


def echo(connection: socket.socket) -> None:
    while part := connection.recv(100):
        connection.sendall(part)


class Relay(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.layer = Layer()
        cls.addClassCleanup(cls.layer.close)

    def run_one(self, what: str, port: str, lasts_s: float = 600, **breakage: object) -> str:
        with Function(self.layer, [{"dependency": {"hosts": [ADDRESS]} | breakage}], lasts_s) as function:
            [ran] = function.run([*PROGRAM, what, ADDRESS, port])
            self.assertEqual(ran["err"], "")
            return ran["out"]

    def test_a_response_that_arrives_during_an_upload_is_received(self) -> None:
        with Server(reject) as port:
            self.assertEqual(self.run_one("upload", port, refuse=True, percentage=0), "{'rejected': 20}")

    def test_a_slow_reader_receives_the_bytes_before_a_reset(self) -> None:
        with Server(send_much) as port:
            received = self.run_one("read", port, reset={"afterBytes": 3_000_000})
        self.assertEqual(received, "3000000 ConnectionResetError")

    def test_a_connection_to_a_hole_outlasts_the_run(self) -> None:
        with Server(send_much) as port:
            self.assertEqual(self.run_one("connect-patiently", port, lasts_s=2, blackhole=True), "TimeoutError")

    def test_the_timeout_of_a_connection_works(self) -> None:
        # The first connection fills the queue, so that no other one has an answer.
        with socket.create_server((ADDRESS, 0), backlog=0) as listener, socket.create_connection(listener.getsockname()):
            port = str(listener.getsockname()[1])
            self.assertEqual(self.run_one("connect", port, refuse=True, percentage=0), "TimeoutError")

    def test_descriptors_remain_for_the_runtime_api(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            function = Function(self.layer, [{"dependency": {"hosts": [ADDRESS], "refuse": True, "percentage": 0}}])
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with function, Server(echo) as port:
            [ran] = function.run([*PROGRAM, "often", ADDRESS, port])
            lines = [line for line in function.output().splitlines() if "too many connections" in line]
        self.assertEqual((ran["out"], ran["err"], len(lines)), ("200 96", "", 1))


if __name__ == "__main__":
    unittest.main()

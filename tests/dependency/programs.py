"""Random programs of connects, reads, writes and closes: `programs.py SEED COUNT ECHO_V4 ECHO_V6 CLOSED_V4 CLOSED_V6 ADDRESSES...`.

Prints one line for each program: what each of its steps resulted in. The same seed gives the same programs.
"""

from __future__ import annotations

import errno
import os
import random
import select
import socket
import sys
import threading
import time

PATIENCE_S = 10


def seed() -> int:
    return int(os.environ.get("SNAPBACK_TEST_SEED", time.time_ns() % 1_000_000))


class Servers:
    """A server that returns what it gets, and a port at which none listens, on each address."""

    def __init__(self, ipv4: str, ipv6: str):
        self.addresses = [ipv4, ipv6]
        self.echoes = [self.listen(address) for address in self.addresses]
        self.closed = [self.bind(address) for address in self.addresses]

    @staticmethod
    def bind(address: str) -> socket.socket:
        bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        bound.bind((address, 0))
        return bound

    def listen(self, address: str) -> socket.socket:
        listener = self.bind(address)
        listener.listen(256)
        self.start(listener)
        return listener

    def start(self, listener: socket.socket) -> None:
        threading.Thread(target=self.accept, args=(listener,), daemon=True).start()

    def accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self.echo, args=(connection,), daemon=True).start()

    @staticmethod
    def echo(connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    connection.sendall(data)
            except OSError:
                pass

    def arguments(self) -> list[str]:
        ports = [str(one.getsockname()[1]) for one in [*self.echoes, *self.closed]]
        return [*ports, *self.addresses]

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *_: object) -> None:
        for one in [*self.echoes, *self.closed]:
            one.close()


class Program:
    """One random program. Its results do not depend on time."""

    def __init__(self, dice: random.Random, ports: list[int], addresses: list[str]):
        self.dice, self.ports, self.addresses = dice, ports, addresses
        self.results: list[str] = []

    def play(self) -> str:
        way = self.dice.random()
        if way < 0.05:
            return self.in_a_fork()
        if way < 0.15:
            return self.in_threads()
        self.converse()
        return " ".join(self.results)

    def in_a_fork(self) -> str:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            self.converse()
            os.write(writer, " ".join(self.results).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as results:
            text = results.read()
        os.waitpid(child, 0)
        return f"fork {text}"

    def in_threads(self) -> str:
        others = [Program(random.Random(self.dice.random()), self.ports, self.addresses) for _ in range(3)]
        threads = [threading.Thread(target=other.converse) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return "threads " + " | ".join(" ".join(other.results) for other in others)

    def converse(self) -> None:
        at = self.dice.randrange(2)
        is_closed = self.dice.random() < 0.15
        address = (self.addresses[at], self.ports[at + 2 * is_closed])
        with socket.socket(socket.AF_INET6 if at else socket.AF_INET) as connection:
            self.connect(connection, address)
            if self.results[-1] != "connected":
                return
            connection.settimeout(PATIENCE_S)
            for _ in range(self.dice.randrange(1, 5)):
                try:
                    self.step(connection, address)
                except OSError as failure:
                    self.results.append(name(failure.errno))
                    return

    def connect(self, connection: socket.socket, address: tuple[str, int]) -> None:
        way = self.dice.choice(["blocking", "timeout", "polled"])
        connection.settimeout({"blocking": None, "timeout": PATIENCE_S, "polled": 0}[way])
        code = connection.connect_ex(address)
        if way == "polled" and code == errno.EINPROGRESS:
            poll = select.poll()
            poll.register(connection, select.POLLOUT)
            poll.poll(PATIENCE_S * 1000)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.results += [way, "connected" if code == 0 else name(code)]

    def step(self, connection: socket.socket, address: tuple[str, int]) -> None:
        match self.dice.choice(["echo", "echo", "half", "again", "peek", "options"]):
            case "echo":
                sent = self.dice.randbytes(self.dice.choice([1, 100, 5_000, 200_000]) if self.dice.random() < 0.2 else 64)
                connection.sendall(sent)
                got = b""
                while len(got) < len(sent):
                    part = connection.recv(65_536)
                    if not part:
                        break
                    got += part
                self.results.append(f"echo:{len(got)}:{got == sent}")
            case "half":
                connection.shutdown(socket.SHUT_WR)
                self.results.append(f"end:{connection.recv(10)!r}")
                raise OSError(0, "the conversation is over")
            case "again":
                self.results.append(f"again:{name(connection.connect_ex(address))}")
            case "peek":
                connection.sendall(b"x")
                self.results.append(f"peek:{connection.recv(1, socket.MSG_PEEK)!r}:{connection.recv(1)!r}")
            case "options":
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.results.append(f"nodelay:{connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)}")


def name(code: int | None) -> str:
    return errno.errorcode.get(code or 0, "done")


def main(seed: int, count: int, ports: list[int], addresses: list[str]) -> None:
    for number in range(count):
        program = Program(random.Random(seed * 1_000_000 + number), ports, addresses)
        print(program.play(), flush=True)


if __name__ == "__main__":
    numbers = [int(argument) for argument in sys.argv[1:7]]
    main(numbers[0], numbers[1], numbers[2:], sys.argv[7:])

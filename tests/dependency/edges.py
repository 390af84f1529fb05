"""Unusual ways to connect: `edges.py NAME IPV4 IPV6 PORT` prints the outcome of each of them as a JSON object.

NAME has both addresses, and a server at PORT returns the bytes that it gets. Outcomes do not depend on whether the shim is there.
With an option as its first argument, the program does one thing only: see `main`.
"""

from __future__ import annotations

import ctypes
import errno
import json
import mmap
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

TCP_FASTOPEN_CONNECT = 30
PATIENCE_S = 10
# netdb.h
HOST_NOT_FOUND, TRY_AGAIN = 1, 2
# The program that the tests of processes start: it says how a connection went. It resolves the name, because it does not know which
# addresses its parent has resolved.
CHILD = "import socket, sys; s = socket.socket(); s.settimeout(10); print(s.connect_ex((sys.argv[1], int(sys.argv[2]))))"


class HostEntry(ctypes.Structure):
    """struct hostent of netdb.h."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("aliases", ctypes.c_void_p),
        ("family", ctypes.c_int),
        ("length", ctypes.c_int),
        ("addresses", ctypes.POINTER(ctypes.c_void_p)),
    ]

    def texts(self) -> list[str]:
        count = next(count for count in range(100) if not self.addresses[count])
        return [socket.inet_ntop(self.family, ctypes.string_at(self.addresses[at], self.length)) for at in range(count)]


class LibC:
    def __init__(self) -> None:
        self.functions = ctypes.CDLL(None, use_errno=True)
        for name in ("gethostbyname", "gethostbyname2"):
            getattr(self.functions, name).restype = ctypes.POINTER(HostEntry)
        self.h_errno = getattr(self.functions, "__h_errno_location")
        self.h_errno.restype = ctypes.POINTER(ctypes.c_int)

    def resolve(self, function: str, name: str, *family: int) -> str:
        """Returns what a function of the gethostbyname family finds: addresses, or its code and h_errno."""
        if not function.endswith("_r"):
            found = getattr(self.functions, function)(name.encode(), *family)
            return " ".join(found.contents.texts()) if found else f"h_errno {self.h_errno()[0]}"
        entry, room = HostEntry(), ctypes.create_string_buffer(8192)
        result, error = ctypes.POINTER(HostEntry)(), ctypes.c_int(0)
        outputs = [ctypes.byref(entry), room, ctypes.c_size_t(len(room)), ctypes.byref(result), ctypes.byref(error)]
        code = getattr(self.functions, function)(name.encode(), *family, *outputs)
        return " ".join(result.contents.texts()) if result else f"code {code}, h_errno {error.value}"


LIBC = LibC()
# Methods of `Edges` that are parts of its edges.
PARTS = {"call", "child", "connect", "connect_raw", "polled", "resolved", "sockaddr"}


def outcome(play: Callable[[], str]) -> str:
    try:
        return play()
    except OSError as failure:
        return errno.errorcode.get(failure.errno or 0, repr(failure))


def echo(connection: socket.socket, is_new: bool = True) -> str:
    """Sends some bytes and receives them again."""
    connection.settimeout(PATIENCE_S)
    if is_new:
        connection.sendall(b"hello")
    got = b""
    while len(got) < 5 and (part := connection.recv(10)):
        got += part
    return got.decode()


class Edges:
    def __init__(self, name: str, ipv4: str, ipv6: str, port: int):
        self.name, self.ipv4, self.ipv6, self.port = name, ipv4, ipv6, port
        self.mapped = f"::ffff:{ipv4}"
        # The kernel knows addresses, the shim also has to know whose they are.
        socket.getaddrinfo(name, port)

    def connect(self, address: str, prepare: Callable[[socket.socket], object] = lambda _: None) -> str:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as connection:
            prepare(connection)
            connection.connect((address, self.port))
            return echo(connection)

    def fast_open_with_sendto(self) -> str:
        with socket.socket() as connection:
            connection.sendto(b"hello", socket.MSG_FASTOPEN, (self.ipv4, self.port))
            return echo(connection, False)

    def fast_open_with_sendmsg(self) -> str:
        with socket.socket(socket.AF_INET6) as connection:
            connection.sendmsg([b"he", b"llo"], [], socket.MSG_FASTOPEN, (self.ipv6, self.port))
            return echo(connection, False)

    def fast_open_without_blocking(self) -> str:
        with socket.socket() as connection:
            connection.setblocking(False)
            begun = outcome(lambda: str(connection.sendto(b"hello", socket.MSG_FASTOPEN, (self.ipv4, self.port))))
            if begun != "EINPROGRESS":
                return begun
            select.select([], [connection], [], PATIENCE_S)
            return f"{begun} {echo(connection)}"

    def fast_open_with_connect(self) -> str:
        return self.connect(self.ipv4, lambda one: one.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1))

    def resolved_by_gethostbyname(self) -> str:
        return self.resolved("gethostbyname") + self.resolved("gethostbyname_r")

    def resolved_by_gethostbyname2(self) -> str:
        family = socket.AF_INET6
        return self.resolved("gethostbyname2", family) + self.resolved("gethostbyname2_r", family)

    def resolved(self, function: str, *family: int) -> str:
        """Resolves and connects in a process that knows no address yet."""
        call = [f"--{function}", self.name, str(self.port), *map(str, family)]
        return subprocess.run([sys.executable, __file__, *call], capture_output=True, text=True, check=True).stdout

    def ipv4_mapped(self) -> str:
        return self.connect(self.mapped)

    def only_ipv6(self) -> str:
        return self.connect(self.ipv6, only_ipv6)

    def only_ipv6_to_ipv4_mapped(self) -> str:
        return self.connect(self.mapped, only_ipv6)

    def own_address(self) -> str:
        return self.connect(self.ipv4, lambda one: one.bind((self.ipv4, 0)))

    def own_ipv6_address(self) -> str:
        return self.connect(self.ipv6, lambda one: one.bind((self.ipv6, 0)))

    def own_device(self) -> str:
        return self.connect(self.ipv4, lambda one: one.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo"))

    def own_port(self) -> str:
        ports = []

        def bind(connection: socket.socket) -> None:
            connection.bind(("", 0))
            ports.append(connection.getsockname()[1])

        with socket.socket() as connection:
            bind(connection)
            connection.connect((self.ipv4, self.port))
            ports.append(connection.getsockname()[1])
            return f"{echo(connection)} {len(set(ports))}"

    def polled(self, wait: Callable[[socket.socket], bool], address: str) -> str:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as connection:
            connection.setblocking(False)
            begun = connection.connect_ex((address, self.port))
            if begun == errno.EINPROGRESS:
                if not wait(connection):
                    return "never ready"
                begun = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if begun:
                return errno.errorcode[begun]
            # A connection that is open cannot be opened again.
            return f"{errno.errorcode.get(connection.connect_ex((address, self.port)), 'done')} {echo(connection)}"

    def waited_for_with_poll(self) -> str:
        def wait(connection: socket.socket) -> bool:
            poll = select.poll()
            poll.register(connection, select.POLLOUT)
            return bool(poll.poll(PATIENCE_S * 1000))

        return self.polled(wait, self.ipv4)

    def waited_for_with_epoll(self) -> str:
        """The socket is registered, edge-triggered, before it is connected."""
        with select.epoll() as epoll, socket.socket(socket.AF_INET6) as connection:
            connection.setblocking(False)
            epoll.register(connection, select.EPOLLOUT | select.EPOLLIN | select.EPOLLET)
            begun = connection.connect_ex((self.ipv6, self.port))
            while begun == errno.EINPROGRESS:
                [(_, events)] = epoll.poll(PATIENCE_S)
                if events & select.EPOLLOUT and not events & select.EPOLLHUP:
                    begun = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return errno.errorcode[begun] if begun else echo(connection)

    def connected_again(self) -> str:
        """A socket can be disconnected with an address without a family (connect(2))."""
        with socket.socket() as connection:
            outcomes = []
            for _ in range(2):
                outcomes.append(outcome(lambda: str(connection.connect((self.ipv4, self.port)))))
                nothing = ctypes.create_string_buffer(16)
                LIBC.functions.connect(connection.fileno(), nothing, 16)
            return " ".join(outcomes)

    def errno_is_kept(self) -> str:
        address = socket.AF_INET.to_bytes(2, sys.byteorder) + self.port.to_bytes(2, "big") + socket.inet_aton(self.ipv4) + bytes(8)
        with socket.socket() as connection:
            ctypes.set_errno(77)
            code = LIBC.functions.connect(connection.fileno(), address, 16)
            return f"{code} {ctypes.get_errno()}"

    def wrong_arguments(self) -> str:
        with socket.socket() as connection:
            calls = [(connection.fileno(), b"\2\0" + bytes(14), 3), (-1, b"\2\0" + bytes(14), 16), (connection.fileno(), None, 16)]
            codes = []
            for number, address, length in calls:
                codes.append(LIBC.functions.connect(number, address, length))
                codes.append(ctypes.get_errno())
            return str(codes)

    def sockaddr(self, address: str) -> bytes:
        """Returns sockaddr_in or sockaddr_in6 (ip(7), ipv6(7))."""
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        head, number = family.to_bytes(2, sys.byteorder) + self.port.to_bytes(2, "big"), socket.inet_pton(family, address)
        return head + (bytes(4) + number + bytes(4) if ":" in address else number + bytes(8))

    def call(self, function: str, *arguments: object) -> str:
        """Returns the error with which a function of libc fails, or nothing."""
        failed = getattr(LIBC.functions, function)(*arguments) < 0
        return errno.errorcode[ctypes.get_errno()] if failed else ""

    def connect_raw(self, family: int, address: bytes | int, length: int) -> str:
        with socket.socket(family) as connection:
            return self.call("connect", connection.fileno(), address, length) or echo(connection)

    def bad_pointers(self) -> str:
        """Each call fails with EFAULT, also if only the end of the address cannot be read."""
        pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
        start = ctypes.addressof(ctypes.c_char.from_buffer(pages))
        LIBC.functions.mprotect(ctypes.c_void_p(start + mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE), 0)
        pages[mmap.PAGESIZE - 8 : mmap.PAGESIZE] = self.sockaddr(self.ipv4)[:8]
        flags = socket.MSG_FASTOPEN | socket.MSG_NOSIGNAL
        with socket.socket() as connection:
            number = connection.fileno()
            outcomes = [
                self.call("connect", number, 8, 16),
                self.call("connect", number, ctypes.c_void_p(start + mmap.PAGESIZE - 8), 16),
                self.call("sendto", number, b"x", ctypes.c_size_t(1), flags, 8, 16),
                self.call("sendmsg", number, 8, flags),
                self.call("sendmmsg", number, 8, 1, flags),
            ]
        return " ".join(outcomes)

    def wrong_lengths(self) -> str:
        room = self.sockaddr(self.ipv4) + bytes(200)
        ipv6 = self.sockaddr(self.ipv6) + bytes(200)
        outcomes = [self.connect_raw(socket.AF_INET, room, length) for length in (15, 129, 0x7FFFFFFF, -1)]
        return " ".join(outcomes + [self.connect_raw(socket.AF_INET6, ipv6, length) for length in (23, 129)])

    def ipv6_without_a_scope(self) -> str:
        """The kernel takes an address without its last four bytes."""
        return self.connect_raw(socket.AF_INET6, self.sockaddr(self.ipv6), 24)

    def long_ipv4(self) -> str:
        return self.connect_raw(socket.AF_INET, self.sockaddr(self.ipv4) + bytes(200), 128)

    def other_family(self) -> str:
        ipv4 = self.connect_raw(socket.AF_INET6, self.sockaddr(self.ipv4) + bytes(12), 28)
        return f"{ipv4} {self.connect_raw(socket.AF_INET, self.sockaddr(self.mapped), 28)}"

    def fast_open_with_sendmmsg(self) -> str:
        address, text = self.sockaddr(self.ipv4), b"hello"
        name, bytes_ = (ctypes.cast(ctypes.c_char_p(one), ctypes.c_void_p).value for one in (address, text))
        parts = (ctypes.c_uint64 * 2)(bytes_, len(text))
        # struct mmsghdr of sendmmsg(2): name, parts, control data, flags, and the bytes that were sent.
        message = (ctypes.c_uint64 * 8)(name, len(address), ctypes.addressof(parts), 1, 0, 0, 0, 0)
        with socket.socket() as connection:
            return self.call("sendmmsg", connection.fileno(), message, 1, socket.MSG_FASTOPEN) or echo(connection, False)

    def datagrams(self) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind((self.ipv4, 0))
            sender.connect(receiver.getsockname())
            sender.send(b"hello")
            return f"{sender.getpeername() == receiver.getsockname()} {receiver.recv(10).decode()}"

    def in_threads(self) -> str:
        outcomes: list[str] = []
        threads = [threading.Thread(target=lambda: outcomes.append(outcome(lambda: self.connect(self.ipv4)))) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return " ".join(sorted(set(outcomes)))

    def in_a_fork(self) -> str:
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.write(writer, outcome(lambda: self.connect(self.ipv6)).encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as results:
            text = results.read()
        os.wait()
        return text

    def child(self, **options: object) -> str:
        command = [sys.executable, "-c", CHILD, self.name, str(self.port)]
        ran = subprocess.run(command, capture_output=True, text=True, check=True, **options)
        return errno.errorcode.get(int(ran.stdout), "connected")

    def in_a_child(self) -> str:
        """subprocess uses vfork(2)."""
        return self.child(env={**os.environ, "MORE": "variables"})

    def in_a_child_without_variables(self) -> str:
        return self.child(env={})

    def in_a_spawned_child(self) -> str:
        reader, writer = os.pipe()
        command = [sys.executable, "-c", CHILD, self.name, str(self.port)]
        child = os.posix_spawn(sys.executable, command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)])
        os.close(writer)
        os.waitpid(child, 0)
        with os.fdopen(reader) as results:
            return errno.errorcode.get(int(results.read()), "connected")

    def no_descriptor_is_lost(self) -> str:
        def count() -> int:
            return len(os.listdir("/proc/self/fd"))

        before = count()
        for _ in range(20):
            outcome(lambda: self.connect(self.ipv4))
        return str(count() - before)

    def no_descriptor_is_free(self) -> str:
        """A question needs a descriptor. Without one, the connection passes."""
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.socket() as connection:
            resource.setrlimit(resource.RLIMIT_NOFILE, (connection.fileno() + 1, limits[1]))
            try:
                code = connection.connect_ex((self.ipv4, self.port))
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            return errno.errorcode[code] if code else echo(connection)


def only_ipv6(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)


def connect_with_signals(address: str, port: int) -> str:
    """Connects to a server that never accepts, and is interrupted each millisecond. Returns how long it took, and to whom."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, False)
    with socket.socket() as connection:
        signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
        began = time.monotonic()
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000)
        connected = outcome(lambda: str(connection.connect((address, port))))
        took = time.monotonic() - began
        signal.setitimer(signal.ITIMER_REAL, 0)
        return f"{connected} {'early' if took < 2.5 else 'late'}"


def connect_and_wait(name: str, port: int) -> str:
    """Returns whether a connection is silent until something is sent, and what comes then."""
    with socket.create_connection((name, port)) as connection:
        poll = select.poll()
        poll.register(connection, select.POLLIN)
        before = "silent" if not poll.poll(200) else "not silent"
        return f"{before} {outcome(lambda: echo(connection))}"


def connect_to_many(address: str, count: int) -> str:
    """Connects to more destinations than the proxy has room for. Returns how many connections went through the proxy."""
    listeners = [socket.create_server((address, 0)) for _ in range(count)]
    connections = [socket.create_connection(listener.getsockname()) for listener in listeners]
    peers = [connection.getpeername()[0] for connection in connections]
    for connection, listener in zip(connections, listeners, strict=True):
        connection.sendall(b"hello")
        accepted, _ = listener.accept()
        assert accepted.recv(5) == b"hello"
        accepted.close()
    return f"{peers.count('127.0.0.1')} {peers.count(address)}"


def main(arguments: list[str]) -> None:
    match arguments:
        case ["--signals", address, port]:
            print(connect_with_signals(address, int(port)), end="")
        case ["--wait", name, port]:
            print(connect_and_wait(name, int(port)), end="")
        case ["--many", address, count]:
            print(connect_to_many(address, int(count)), end="")
        case [function, name, port, *family] if function.startswith("--"):
            address = LIBC.resolve(function[2:], name, *map(int, family))
            connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
            code = 0 if address[:1].isalpha() else connection.connect_ex((address, int(port)))
            print(address, errno.errorcode.get(code, "done"), end=";")
        case [name, ipv4, ipv6, port]:
            edges = Edges(name, ipv4, ipv6, int(port))
            plays = [edge for edge in vars(Edges) if not edge.startswith("_") and edge not in PARTS]
            print(json.dumps({edge: outcome(getattr(edges, edge)) for edge in plays}))


if __name__ == "__main__":
    main(sys.argv[1:])

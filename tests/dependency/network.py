"""A network for the tests: a namespace in which this machine also has other addresses than the loopback ones, which no fault touches.

`enter()` executes the test's process again inside of it. Nothing outside of the namespace can reach it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

INSIDE = "SNAPBACK_TEST_NETWORK"
NAMESPACES = ["unshare", "--map-root-user", "--net", "--mount", "--propagation", "private"]
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, SIOCGIFINDEX, IFF_UP = 0x8914, 0x8916, 0x891C, 0x8933, 1


def ipv4(number: int) -> str:
    """Returns an address for documentation (RFC 5737)."""
    return f"192.0.2.{number}"


def ipv6(number: int) -> str:
    """Returns an address for documentation (RFC 3849)."""
    return f"2001:db8::{number:x}"


def is_available() -> str | None:
    """Returns why there can be no namespaces; None if there can."""
    tried = subprocess.run([*NAMESPACES, "mount", "--bind", "/dev/null", "/etc/hosts"], capture_output=True, text=True)
    return None if tried.returncode == 0 else tried.stderr.strip()


def enter(names: dict[str, Iterable[str]]) -> None:
    """Executes this program again in a namespace, unless it is in one. There, the names have these addresses."""
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "yes"
        os.execvp(NAMESPACES[0], [*NAMESPACES, sys.executable, *sys.argv])
    add_addresses(sorted({address for addresses in names.values() for address in addresses}))
    name_hosts(names)


def add_addresses(addresses: list[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        for number, address in enumerate(address for address in addresses if ":" not in address):
            name = f"lo:{number + 1}".encode()
            for request, value in [(SIOCSIFADDR, address), (SIOCSIFNETMASK, "255.255.255.255")]:
                fcntl.ioctl(control, request, struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value)))
        index = struct.unpack("16si", fcntl.ioctl(control, SIOCGIFINDEX, struct.pack("16si", b"lo", 0)))[1]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        for address in addresses:
            if ":" in address:
                request = struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, address), 128, index)
                fcntl.ioctl(control, SIOCSIFADDR, request)


def name_hosts(names: dict[str, Iterable[str]]) -> None:
    """Gives the names to all programs in the namespace."""
    lines = ["127.0.0.1 localhost"]
    lines += [f"{address} {name}" for name, addresses in names.items() for address in addresses]
    with tempfile.NamedTemporaryFile("w", prefix="hosts-", delete=False) as hosts:
        hosts.write("\n".join(lines) + "\n")
    os.chmod(hosts.name, 0o644)
    subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
    Path(hosts.name).unlink()

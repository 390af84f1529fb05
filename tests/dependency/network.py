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
from pathlib import Path

# Addresses for documentation (RFC 5737, RFC 3849).
IPV4, OTHER_IPV4, IPV6 = "192.0.2.7", "198.51.100.9", "2001:db8::7"
NAMES = {"db.shop.test": [IPV4, IPV6], "pay.shop.test": [IPV4], "six.shop.test": [IPV6], "other.test": [OTHER_IPV4]}
INSIDE = "SNAPBACK_TEST_NETWORK"
NAMESPACES = ["unshare", "--map-root-user", "--net", "--mount", "--propagation", "private"]
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, SIOCGIFINDEX, IFF_UP = 0x8914, 0x8916, 0x891C, 0x8933, 1


def is_available() -> str | None:
    """Returns why there can be no namespaces; None if there can."""
    tried = subprocess.run([*NAMESPACES, "mount", "--bind", "/dev/null", "/etc/hosts"], capture_output=True, text=True)
    return None if tried.returncode == 0 else tried.stderr.strip()


def enter() -> None:
    """Executes this program again in a namespace, unless it is in one."""
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "yes"
        os.execvp(NAMESPACES[0], [*NAMESPACES, sys.executable, *sys.argv])
    add_addresses()
    name_hosts()


def add_addresses() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
        for number, address in enumerate([IPV4, OTHER_IPV4]):
            name = f"lo:{number + 1}".encode()
            for request, value in [(SIOCSIFADDR, address), (SIOCSIFNETMASK, "255.255.255.255")]:
                fcntl.ioctl(control, request, struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(value)))
        index = struct.unpack("16si", fcntl.ioctl(control, SIOCGIFINDEX, struct.pack("16si", b"lo", 0)))[1]
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sIi", socket.inet_pton(socket.AF_INET6, IPV6), 128, index)
        fcntl.ioctl(control, SIOCSIFADDR, request)


def name_hosts() -> None:
    """Gives the names to all programs in the namespace."""
    lines = ["127.0.0.1 localhost"]
    lines += [f"{address} {name}" for name, addresses in NAMES.items() for address in addresses]
    with tempfile.NamedTemporaryFile("w", prefix="hosts-", delete=False) as hosts:
        hosts.write("\n".join(lines) + "\n")
    os.chmod(hosts.name, 0o644)
    subprocess.run(["mount", "--bind", hosts.name, "/etc/hosts"], check=True)
    Path(hosts.name).unlink()

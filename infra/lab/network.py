"""A separate network for the lab: a namespace with nothing but a loopback interface, which has one more address.

A `dependency` fault touches no loopback address. In this network, a function can reach the emulator under another one,
by the name that DynamoDB has in AWS. Nothing in it reaches another machine, and nothing outside reaches it.
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

from account import REGION

# An address for documentation (RFC 5737), which no machine has.
ADDRESS = "192.0.2.7"
TABLES = f"dynamodb.{REGION}.amazonaws.com"
INSIDE = "SNAPBACK_LAB_NETWORK"
# The options of `unshare`: as root, and as an ordinary user where the machine allows user namespaces.
CANDIDATES = ("--net --mount", "--user --map-root-user --net --mount")
PROBE_SECONDS = 30
HOSTS = Path("/etc/hosts")
# linux/sockios.h and linux/if.h.
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK, IFF_UP = 0x8913, 0x8914, 0x8916, 0x891C, 1


def enter() -> None:
    """Executes this program again in such a network, where the machine allows it. Otherwise it returns."""
    if is_separate():
        return prepare()
    for options in CANDIDATES:
        if works(options):
            os.environ[INSIDE] = "yes"
            os.execvp("unshare", [*command(options), sys.executable, *sys.argv])


def is_separate() -> bool:
    """Returns whether this process is in such a network."""
    return INSIDE in os.environ and [name for _, name in socket.if_nameindex()] == ["lo"]


def works(options: str) -> bool:
    """Tries to prepare such a network, which ends with the process that tries it."""
    probe = [*command(options), sys.executable, __file__]
    try:
        done = subprocess.run(
            probe, stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS, check=False, env={**os.environ, INSIDE: "yes"}
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def command(options: str) -> list[str]:
    return ["unshare", *options.split(), "--propagation", "private", "--"]


def prepare() -> None:
    """Starts the interface with both addresses, and gives DynamoDB's name to all programs in here."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14x", b"lo", 0)
        flags = struct.unpack_from("16sH", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
        for number, address in [(SIOCSIFADDR, ADDRESS), (SIOCSIFNETMASK, "255.255.255.255")]:
            fcntl.ioctl(control, number, struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(address)))
    with tempfile.NamedTemporaryFile("w", prefix="hosts-") as hosts:
        hosts.write(f"{HOSTS.read_text()}\n{ADDRESS} {TABLES}\n")
        hosts.flush()
        os.chmod(hosts.name, 0o644)
        # The mount keeps the file after its name is gone.
        subprocess.run(["mount", "--bind", hosts.name, str(HOSTS)], check=True)


if __name__ == "__main__":
    prepare()

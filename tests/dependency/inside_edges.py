"""Unusual ways to connect, with the shim and without it. inside.py runs this in its network."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import unittest
from concurrent.futures import ThreadPoolExecutor

import network
import programs
from places import BROKEN, QUIET, SLOW, both
from stage import HERE, Function, Layer

PROGRAM = [sys.executable, str(HERE / "edges.py")]
MANY, ROOM = 140, 128
FAULTS = [
    {"hosts": ["quiet.*"], "refuse": True, "percentage": 0},
    {"hosts": ["broken.*"], "refuse": True},
    {"hosts": ["gone.*"], "unresolvable": "notFound"},
    {"hosts": ["later.*"], "unresolvable": "tryAgain"},
    {"hosts": ["cut.*"], "reset": {}},
]
# What connects as usual, although a fault names its destination.
UNTOUCHED = {
    "only_ipv6_to_ipv4_mapped",
    "own_address",
    "own_ipv6_address",
    "own_device",
    "wrong_arguments",
    "bad_pointers",
    "wrong_lengths",
    "other_family",
    "datagrams",
    "in_a_child_without_variables",
    "no_descriptor_is_lost",
    "no_descriptor_is_free",
}


class Echo(programs.Servers):
    """Returns what it gets, at all addresses."""

    def __init__(self) -> None:
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True, backlog=256)
        self.addresses, self.closed, self.echoes = [], [], [listener]
        self.start(listener)


class Edges(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.layer = Layer()
        cls.addClassCleanup(cls.layer.close)

    def plain(self, *arguments: str) -> str:
        return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=True).stdout

    def test_each_way_to_connect(self) -> None:
        with Echo() as echo, Function(self.layer, [{"dependency": fault} for fault in FAULTS]) as function, ThreadPoolExecutor() as pool:
            port = str(echo.echoes[0].getsockname()[1])
            quiet, broken = (
                [f"{name}.edge.test", *both(number), port] for name, number in [("quiet", QUIET), ("broken", BROKEN)]
            )
            plain = [pool.submit(self.plain, *arguments) for arguments in (quiet, broken)]
            lookups = [[f"--{call}", f"{name}.edge.test", port] for name in ["gone", "later"] for call in ["gethostbyname", "gethostbyname_r"]]
            wait = ["--wait", "cut.edge.test", port]
            ran = function.run(*([*PROGRAM, *arguments] for arguments in [quiet, broken, wait, *lookups]))
            self.assertEqual([one["err"] for one in ran], [""] * len(ran))
            with_shim, refused = json.loads(ran[0]["out"]), json.loads(ran[1]["out"])
            without_quiet, without_broken = (json.loads(one.result()) for one in plain)
        self.assertEqual(with_shim, without_quiet)
        for edge, found in refused.items():
            with self.subTest(edge=edge):
                if edge in UNTOUCHED:
                    self.assertEqual(found, without_broken[edge])
                else:
                    self.assertIn("ECONNREFUSED", found.replace("-1 111", "ECONNREFUSED"))
                    self.assertNotIn("hello", found)
        expected = ["h_errno 1", "code 0, h_errno 1", "h_errno 2", "code 11, h_errno 2"]
        self.assertEqual([one["out"] for one in ran[2:]], ["silent ECONNRESET", *(f"{text} done;" for text in expected)])

    def test_signals_do_not_interrupt_a_question(self) -> None:
        """The destination takes no connection, so the proxy answers after half a second."""
        address = network.ipv4(SLOW)
        slow = {"dependency": {"hosts": [address], "latency": {"delayMs": 1}}}
        # The first connection fills the queue.
        with socket.create_server((address, 0), backlog=0) as listener, socket.create_connection(listener.getsockname()):
            with Function(self.layer, [slow]) as function:
                [ran] = function.run([*PROGRAM, "--signals", address, str(listener.getsockname()[1])])
        self.assertEqual((ran["out"], ran["err"]), ("None early", ""))

    def test_connections_beyond_the_room_pass(self) -> None:
        """The proxy logs that once."""
        address = network.ipv4(QUIET)
        with Function(self.layer, [{"dependency": {"hosts": [address], "latency": {"delayMs": 1}}}]) as function:
            [ran] = function.run([*PROGRAM, "--many", address, str(MANY)])
            lines = [line for line in function.output().splitlines() if "too many destinations" in line]
        self.assertEqual((ran["out"], ran["err"]), (f"{ROOM} {MANY - ROOM}", ""))
        self.assertEqual(len(lines), 1)


if __name__ == "__main__":
    unittest.main()

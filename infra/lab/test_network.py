"""Tests the lab's separate network."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import network

PROGRAM = """
import socket, sys
import network
network.enter()
with socket.create_server((network.ADDRESS, 0)) as server:
    port = server.getsockname()[1]
    for host in (network.TABLES, "localhost"):
        try:
            print(socket.create_connection((host, port)).getpeername()[0])
        except OSError as failure:
            print(type(failure).__name__)
print(network.is_separate(), [name for _, name in socket.if_nameindex()], len(sys.argv))
"""


class Network(unittest.TestCase):
    def setUp(self) -> None:
        if not any(network.works(options) for options in network.CANDIDATES):
            self.skipTest("this machine allows no network namespace")

    def test_the_tables_have_an_address_that_is_not_loopback(self) -> None:
        hosts, interfaces = network.HOSTS.read_text(), socket.if_nameindex()
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "program.py"
            program.write_text(PROGRAM)
            environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
            ran = subprocess.run([sys.executable, str(program), "kept"], capture_output=True, text=True, env=environment)
        self.assertEqual(ran.stderr, "")
        self.assertEqual(ran.stdout.splitlines(), [network.ADDRESS, "ConnectionRefusedError", "True ['lo'] 2"])
        self.assertEqual((network.HOSTS.read_text(), socket.if_nameindex()), (hosts, interfaces))
        self.assertFalse(network.is_separate())

    def test_the_variable_alone_does_not_make_a_network_separate(self) -> None:
        with mock.patch.dict(os.environ, {network.INSIDE: "yes"}):
            self.assertFalse(network.is_separate())


if __name__ == "__main__":
    sys.exit(unittest.main())

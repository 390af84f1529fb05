"""Faults of dependencies, with real clients. test_dependency.py runs this program in a separate network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

import network
import programs
from stage import HERE, ROOT, Function, Layer, Server, Site, make_certificate

BODY = Site.BODY.decode()
SLOW_MS = 300
PYTHON = ["urllib", "urllib3", "http.client", "socket", "asyncio"]
NODE = ["node.http", "node.fetch", "node.net"]
JAVA = ["java.url", "java.httpclient"]


def fault(**settings: object) -> dict:
    return {"dependency": {"hosts": ["*.shop.test"]} | settings}


class Dependencies(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="dependency-"))
        cls.clients = list(PYTHON)
        node = shutil.which("node") or str(ROOT / ".tools" / "validate" / "bin" / "node")
        if Path(node).exists():
            os.environ["NODE"] = node
            cls.clients += NODE
        if shutil.which("javac") and shutil.which("java"):
            os.environ["JAVA_CLIENT"] = str(cls.folder)
            subprocess.run(["javac", "-d", str(cls.folder), str(HERE / "Client.java")], check=True)
            cls.clients += JAVA
        make_certificate(cls.folder, "pay.shop.test")
        os.environ["AUTHORITY"] = str(cls.folder / "cert.pem")
        cls.layer = Layer()
        cls.ipv4, cls.other = Server(network.IPV4), Server(network.OTHER_IPV4)
        cls.ipv6, cls.tls = Server(network.IPV6), Server(network.IPV4, cls.folder)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.layer.close()
        shutil.rmtree(cls.folder)

    def check_all(self, settings: dict, expected: dict, slow: bool = False) -> None:
        """Fetches with every client, over IPv4 and IPv6, and also what the fault does not name."""
        wanted = [(client, "pay.shop.test", self.ipv4.port) for client in self.clients]
        wanted += [(client, "six.shop.test", self.ipv6.port) for client in self.clients if not client.startswith("java")]
        wanted += [("urllib+tls", "pay.shop.test", self.tls.port)]
        untouched = [(client, "other.test", self.other.port) for client in ["urllib", "asyncio"]]
        with Function(self.layer, [fault(**settings)]) as function:
            results = function.fetch(*wanted, *untouched)
            self.assertEqual(len(results), len(wanted) + len(untouched), function.output())
            for client, result in zip([*wanted, *untouched], results, strict=True):
                with self.subTest(settings=settings, client=client):
                    took = result.pop("ms")
                    is_named = client in wanted
                    self.assertEqual(result, expected if is_named else {"body": BODY})
                    if is_named and slow:
                        self.assertGreaterEqual(took, SLOW_MS)
            injected = [] if settings.get("percentage") == 0 else [("request-1", "*.shop.test")]
            self.assertEqual(function.metrics(), injected, function.output())

    def test_each_fault_with_every_client(self) -> None:
        for settings, expected, slow in [
            ({"refuse": True, "percentage": 0}, {"body": BODY}, False),
            ({"refuse": True}, {"error": "refused"}, False),
            ({"reset": {}}, {"error": "reset"}, False),
            ({"latency": {"delayMs": SLOW_MS}}, {"body": BODY}, True),
            ({"bandwidth": {"bytesPerSecond": 300}}, {"body": BODY}, True),
            ({"unresolvable": "notFound"}, {"error": "unresolved"}, False),
            ({"unresolvable": "tryAgain"}, {"error": "unresolved"}, False),
        ]:
            if "bandwidth" in settings:
                self.limited(settings)
            else:
                self.check_all(settings, expected, slow)

    def limited(self, settings: dict) -> None:
        """Each request and response takes longer than a client's timeout, so only one client fetches."""
        with Function(self.layer, [fault(**settings)]) as function:
            [result] = function.fetch(("node.fetch" if "NODE" in os.environ else "urllib", "pay.shop.test", self.ipv4.port))
            self.assertEqual(result.get("body"), BODY, function.output())
            self.assertGreaterEqual(result["ms"], SLOW_MS)

    def test_a_blackhole_never_connects(self) -> None:
        wanted = [(client, "pay.shop.test", self.ipv4.port) for client in ["urllib", "asyncio", *NODE, *JAVA] if client in self.clients]
        with Function(self.layer, [fault(blackhole=True)]) as function:
            for client, result in zip(wanted, function.fetch(*wanted), strict=True):
                self.assertEqual(result.get("error"), "timeout", client)
            self.assertEqual(function.metrics(), [("request-1", "*.shop.test")])

    def test_conditions_select_invocations_and_reused_connections(self) -> None:
        event = {"do": "reuse", "host": "db.shop.test", "port": self.ipv6.port}
        for settings, error in [({"refuse": True}, "reset"), ({"reset": {"afterBytes": 20}}, "reset"), ({"blackhole": True}, "timeout")]:
            match = [{"path": "break", "equals": True}]
            with self.subTest(settings=settings), Function(self.layer, [fault(**settings, match=match)]) as function:
                self.assertEqual(function.invoke(event), {"body": BODY, "new": True})
                self.assertEqual(function.invoke(event), {"body": BODY, "new": False})
                self.assertEqual(function.invoke(event | {"break": True}), {"error": error, "new": False})
                self.assertEqual(function.invoke(event), {"body": BODY, "new": True})
                self.assertEqual(function.metrics(), [("request-3", "*.shop.test")])

    def test_addresses_ranges_and_ports_are_named(self) -> None:
        both = [("socket", "pay.shop.test", self.ipv4.port), ("socket", "six.shop.test", self.ipv6.port)]
        for settings, expected in [
            ({"hosts": [network.IPV4]}, [True, False]),
            ({"hosts": ["192.0.2.0/24"]}, [True, False]),
            ({"hosts": ["2001:db8::/32"]}, [False, True]),
            ({"hosts": ["0.0.0.0/0", "::/0"]}, [True, True]),
            ({"hosts": ["0.0.0.0/0", "::/0"], "ports": [self.ipv6.port]}, [False, True]),
            ({"hosts": ["shop.test"]}, [False, False]),
        ]:
            with self.subTest(settings=settings), Function(self.layer, [fault(**settings, refuse=True)]) as function:
                refused = [result.get("error") == "refused" for result in function.fetch(*both)]
                self.assertEqual(refused, expected)

    def test_faults_end_at_their_time(self) -> None:
        with Function(self.layer, [fault(refuse=True)], lasts_s=2) as function:
            wanted = ("urllib", "pay.shop.test", self.ipv4.port)
            self.assertEqual(function.fetch(wanted)[0].get("error"), "refused")
            time.sleep(2)
            self.assertEqual(function.fetch(wanted)[0].get("body"), BODY)

    def test_the_shim_is_there_only_with_such_a_fault(self) -> None:
        with Function(self.layer, [{"error": {"percentage": 0}}], LD_PRELOAD="") as function:
            found = function.invoke({"do": "environment"})
            self.assertEqual(({*found} & {"SNAPBACK_SHIM", "SNAPBACK_FAULTS"}, found["LD_PRELOAD"]), (set(), ""))
        with Function(self.layer, [fault(refuse=True)], LD_PRELOAD="libdl.so.2") as function:
            found = function.invoke({"do": "environment"})
            self.assertEqual(found["LD_PRELOAD"], f"{self.layer.folder}/snapback-shim.so:libdl.so.2")
            self.assertNotIn("SNAPBACK_FAULTS", found)

    def test_without_a_shim_the_function_works_and_one_line_says_why(self) -> None:
        empty = self.folder / "empty.so"
        empty.write_bytes(b"")
        for shim in [None, empty]:
            layer = Layer(shim)
            self.addCleanup(layer.close)
            with self.subTest(shim=shim), Function(layer, [fault(refuse=True)]) as function:
                [result] = function.fetch(("urllib", "pay.shop.test", self.ipv4.port))
                self.assertEqual(result.get("body"), BODY)
                lines = [line for line in function.output().splitlines() if "snapback" in line]
                self.assertEqual(len(lines), 1, lines)
                self.assertIn("no `dependency` fault is injected", lines[0])

    def test_static_programs_run_unharmed(self) -> None:
        """The proxy itself is one."""
        with Function(self.layer, [fault(refuse=True)]) as function:
            ran = function.invoke({"do": "run", "run": [str(self.layer.folder / "snapback-proxy"), "--version"]})
            self.assertEqual((ran["code"], ran["err"]), (0, ""))

    def test_random_programs_have_the_same_results_with_the_shim(self) -> None:
        with programs.Servers(network.IPV4, network.IPV6) as servers:
            command = [sys.executable, str(HERE / "programs.py"), str(programs.seed()), "2000", *servers.arguments()]
            plain = subprocess.run(command, capture_output=True, text=True, timeout=120)
            self.assertEqual(plain.stderr, "")
            names = {"hosts": [network.IPV4, network.IPV6], "refuse": True, "percentage": 0}
            with Function(self.layer, [fault(**names)]) as function:
                shimmed = function.invoke({"do": "run", "run": command, "timeout": 120})
        self.assertEqual(shimmed["err"], "")
        results = [text.splitlines() for text in (plain.stdout, shimmed["out"])]
        self.assertEqual(len(results[0]), 2000)
        differing = [pair for pair in zip(*results, strict=True) if pair[0] != pair[1]]
        self.assertEqual(differing[:3], [], f"{len(differing)} programs differ; the command was {command}")


if __name__ == "__main__":
    network.enter()
    unittest.main()

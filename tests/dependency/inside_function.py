"""A function with and without the shim: what a fault names, how long, and what is in its environment."""

from __future__ import annotations

import subprocess
import tempfile
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from places import SHOP_V4
from servers import Site
from stage import HERE, MACHINE, SHIM, TARGET, Function, Layer

OTHER_MACHINE = {"x86_64": "aarch64", "aarch64": "x86_64"}[MACHINE]
OTHER_SHIM = TARGET / f"{OTHER_MACHINE}-unknown-linux-gnu" / "layer" / SHIM.name


def fault(**settings: object) -> dict:
    return {"dependency": {"hosts": ["*.shop.test"], "refuse": True} | settings}


class Functions(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(prefix="dependency-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder, cls.site = Path(folder.name), Site()
        cls.layer = Layer()
        cls.addClassCleanup(cls.layer.close)

    def test_addresses_ranges_and_ports_are_named(self) -> None:
        port = self.site.port
        settings = [
            ({"hosts": [SHOP_V4]}, ["refused", "body"]),
            ({"hosts": ["192.0.2.0/24"]}, ["refused", "body"]),
            ({"hosts": ["2001:db8::/32"]}, ["body", "refused"]),
            ({"hosts": ["0.0.0.0/0", "::/0"]}, ["refused", "refused"]),
            ({"hosts": ["0.0.0.0/0", "::/0"], "ports": [port]}, ["refused", "refused"]),
            ({"hosts": ["0.0.0.0/0", "::/0"], "ports": [port - 1]}, ["body", "body"]),
            ({"hosts": ["::/0"]}, ["body", "refused"]),
            ({"hosts": ["shop.test"]}, ["body", "body"]),
            ({"hosts": ["Pay.shop.test.", "six.*."]}, ["refused", "refused"]),
        ]

        def outcomes(named: dict) -> list[str]:
            with Function(self.layer, [fault(**named)]) as function:
                return [function.fetch("python.socket", name, port) for name in ["pay.shop.test", "six.shop.test"]]

        with ThreadPoolExecutor() as pool:
            for (named, expected), found in zip(settings, pool.map(lambda one: outcomes(one[0]), settings), strict=True):
                with self.subTest(named=named):
                    self.assertEqual(found, expected)

    def test_faults_end_at_their_time(self) -> None:
        with Function(self.layer, [fault()], lasts_s=2) as function:
            wanted = ("python.urllib", "pay.shop.test", self.site.port)
            self.assertEqual(function.fetch(*wanted), "refused")
            time.sleep(2)
            self.assertEqual(function.fetch(*wanted), "body")

    def test_the_shim_is_there_only_with_such_a_fault(self) -> None:
        with Function(self.layer, [{"error": {"percentage": 0}}], LD_PRELOAD="") as function:
            found = function.invoke({"do": "environment"})
            self.assertEqual(({*found} & {"SNAPBACK_SHIM", "SNAPBACK_FAULTS"}, found["LD_PRELOAD"]), (set(), ""))

    def test_a_library_of_the_function_keeps_its_place(self) -> None:
        """It stands before `connect`, too, and is asked after the shim."""
        own, log = self.folder / "own.so", self.folder / "own.log"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(own), str(HERE / "own.c")], check=True)
        with Function(self.layer, [fault()], LD_PRELOAD=str(own), OWN_LOG=str(log)) as function:
            found = function.invoke({"do": "environment"})
            self.assertEqual(found["LD_PRELOAD"], f"{self.layer.folder}/snapback-shim.so:{own}")
            self.assertNotIn("SNAPBACK_FAULTS", found)
            self.assertEqual(function.fetch("python.socket", "other.test", self.site.port), "body")
            connected = log.read_text()
            self.assertIn(f"port {self.site.port}\n", connected)
            self.assertEqual(function.fetch("python.socket", "pay.shop.test", self.site.port), "refused")
            self.assertEqual(log.read_text(), connected)

    def test_without_a_shim_the_function_works_and_one_line_says_why(self) -> None:
        empty = self.folder / "empty.so"
        empty.write_bytes(b"")
        for shim in [None, empty, OTHER_SHIM]:
            layer = Layer(shim)
            self.addCleanup(layer.close)
            with self.subTest(shim=shim), Function(layer, [fault()]) as function:
                self.assertEqual(function.fetch("python.urllib", "pay.shop.test", self.site.port), "body")
                lines = [line for line in function.output().splitlines() if line]
                self.assertEqual(len(lines), 1, lines)
                self.assertIn("no `dependency` fault is injected", lines[0])

    def test_static_programs_connect_unharmed(self) -> None:
        program = self.folder / "static"
        target = ["--target", f"{MACHINE}-unknown-linux-musl", "-C", "linker=rust-lld"]
        subprocess.run(["rustc", "--edition", "2024", *target, "-o", str(program), str(HERE / "static.rs")], check=True)
        with Function(self.layer, [fault(hosts=["192.0.2.0/24"])]) as function:
            [ran] = function.run([str(program), f"{SHOP_V4}:{self.site.port}"])
            self.assertEqual(ran, {"code": 0, "out": f"{SHOP_V4}:{self.site.port}\n", "err": ""})


if __name__ == "__main__":
    unittest.main()

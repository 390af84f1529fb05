"""Tests that the checks of the demos can fail."""

from __future__ import annotations

import io
import sys
import unittest
from typing import Any
from unittest import mock

import comparison
import conclusion
import demo_dependency
import demo_nobody
import demo_proxy
import demos
from evidence import Findings
from stage import Stage
from timeline import Timeline
from traffic import Response, Traffic, times

DEADLINE = 1000.0


def stage(**fields: Any) -> Stage:
    given: dict[str, Any] = {name: None for name in ("account", "stack", "journal", "record")}
    return Stage(**given, timeline=Timeline(io.StringIO()), findings=Findings(), expected={}, **fields)


def traffic(*results: tuple[float, str]) -> Any:
    """Returns traffic that got these results, each at a time relative to the deadline."""
    sent = Traffic(None, "f")  # type: ignore[arg-type]
    sent.responses += [Response(DEADLINE + at, 0.01, result) for at, result in results]
    return sent


class EndOfFault(unittest.TestCase):
    def failures(self, *results: tuple[float, str]) -> list[str]:
        at = stage()
        demo_nobody.show_end_of_fault(at, traffic(*results), DEADLINE)
        self.text = at.timeline.stream.getvalue()  # type: ignore[attr-defined]
        return at.findings.failures

    def test_the_fault_ends_at_its_deadline(self) -> None:
        self.assertEqual(self.failures((-0.2, "failed"), (-0.05, "failed"), (0.02, "answered"), (0.1, "answered")), [])
        self.assertIn("last failure: sent 50 ms before the deadline", self.text)
        self.assertIn("first success: sent 20 ms after the deadline", self.text)

    def test_a_failure_after_the_deadline_is_found(self) -> None:
        self.assertTrue(self.failures((-0.05, "failed"), (0.02, "failed"), (0.1, "answered")))

    def test_a_fault_that_was_never_felt_is_found(self) -> None:
        self.assertTrue(self.failures((-0.05, "answered"), (0.02, "answered")))


class Times(unittest.TestCase):
    def test_a_slow_function_is_seen(self) -> None:
        took = [(0.09, "answered"), (0.08, "answered"), (2.14, "answered"), (9.0, "failed"), (0.001, "throttled")]
        self.assertEqual(times([Response(0, *each) for each in took]), "median 90 ms, slowest 2.1 s")
        self.assertEqual(times([Response(0, 9.0, "failed")]), "")


class Clean(unittest.TestCase):
    def test_only_fast_answers_are_clean(self) -> None:
        fast, slow, failed = Response(0, 0.01, "answered"), Response(0, 0.6, "answered"), Response(0, 0.01, "failed")
        rest = [fast] * (demo_proxy.CLEAN_REQUESTS - 1)
        found = [demo_proxy.is_clean([*rest, last]) for last in (fast, slow, failed)]
        self.assertEqual([*found, demo_proxy.is_clean(rest)], [True, False, False, False])


class Dependency(unittest.TestCase):
    BEFORE = [Response(0, 0.02, "answered")] * 3

    def failures(self, injected: float, *during: Response) -> list[str]:
        at = stage()
        run = mock.Mock(demo=demo_dependency.DEMO, alarms=[demo_dependency.DEMO.target.alarm_name])
        with mock.patch.object(demo_dependency, "injected_faults", return_value={"dependency": injected}):
            demo_dependency.check(at, run, {"before": self.BEFORE, "during": list(during), "after": []})
        return at.findings.failures

    def test_without_a_separate_network_it_is_skipped_in_one_line(self) -> None:
        at = stage()
        demo_dependency.run(at)
        _, title, line, *rest = at.timeline.stream.getvalue().split("\n")  # type: ignore[attr-defined]
        self.assertIn("demo 6", title)
        self.assertIn("skipped", line)
        self.assertEqual((rest, at.findings.failures), ([""], []))

    def test_slow_failures_that_are_counted_are_expected(self) -> None:
        self.assertEqual(self.failures(1, Response(0, 1.4, "failed"), Response(0, 0.02, "answered")), [])

    def test_a_failure_that_nothing_counts_is_found(self) -> None:
        self.assertEqual(len(self.failures(1, *[Response(0, 1.4, "failed")] * 2)), 1)

    def test_failures_without_retries_are_found(self) -> None:
        self.assertEqual(len(self.failures(1, Response(0, 0.02, "failed"))), 1)

    def test_a_fault_that_nothing_met_is_found(self) -> None:
        self.assertEqual(len(self.failures(0, Response(0, 0.02, "answered"))), 2)

    def test_the_table_separates_answers_from_failures(self) -> None:
        at = stage()
        during = [Response(0, 0.1, "answered"), Response(0, 1.4, "failed"), Response(0, 1.6, "failed")]
        demo_dependency.show(at, {"before": self.BEFORE, "during": during})
        _, before, row = at.timeline.stream.getvalue().splitlines()  # type: ignore[attr-defined]
        self.assertTrue(before.endswith("before           3       20 ms         0            "), before)
        self.assertTrue(row.endswith("during           1      100 ms         2     1500 ms"), row)


class Order(unittest.TestCase):
    def demo(self, name: str) -> Any:
        def run(at: Stage) -> None:
            self.began.append(name)
            at.timeline.plain(name)
            if name == "fails":
                raise ValueError(name)

        return run

    def run_all(self, *names: str) -> str:
        self.began: list[str] = []
        at = stage()
        made = {name: self.demo(name) for name in names}
        with mock.patch.object(demos, "BESIDE", {made.get("third"): made[names[-1]]}):
            try:
                demos.run_all(at, list(made.values()))
            except ValueError as failure:
                at.timeline.plain(f"raised {failure}")
        return at.timeline.stream.getvalue()  # type: ignore[attr-defined]

    def test_a_demo_beside_another_one_has_its_lines_in_its_turn(self) -> None:
        self.assertEqual(self.run_all("third", "fourth", "sixth"), "third\nfourth\nsixth\n")
        self.assertEqual(self.began.index("fourth"), 2)

    def test_a_demo_alone_runs_alone(self) -> None:
        self.assertEqual(self.run_all("sixth"), "sixth\n")

    def test_a_failure_beside_another_demo_ends_the_lab(self) -> None:
        self.assertEqual(self.run_all("third", "fourth", "fails"), "third\nfails\nraised fails\n")


class Comparison(unittest.TestCase):
    BEFORE = {"Configuration.Handler": "a.b", "Configuration.Timeout": 30}

    def compare(self, after: dict[str, Any], verbose: bool = False, deployed: Any = ()) -> tuple[bool, str]:
        at = stage(deployed={"f": set(deployed)})
        with mock.patch.object(comparison, "read", return_value=after):
            same = conclusion.compare(at, "f", self.BEFORE, verbose)
        self.assertEqual(at.findings.failures, [] if same else ["f is not restored exactly"])
        return same, at.timeline.stream.getvalue()  # type: ignore[attr-defined]

    def test_an_equal_function_is_one_line(self) -> None:
        self.assertEqual(self.compare(dict(self.BEFORE)), (True, "        f: restored exactly, 2 fields\n"))

    def test_fields_that_were_deployed_are_counted(self) -> None:
        same, text = self.compare(dict(self.BEFORE), deployed=["Configuration.Timeout"])
        self.assertTrue(same and text.endswith("2 fields, 1 of them as deployed during the run\n"), text)

    def test_only_fields_that_differ_are_listed(self) -> None:
        same, text = self.compare({**self.BEFORE, "Configuration.Timeout": 20})
        self.assertFalse(same)
        self.assertIn("1 of 2 fields differ", text)
        self.assertIn("differs   Configuration.Timeout: 30 -> 20", text)
        self.assertNotIn("Handler", text)

    def test_verbose_lists_every_field(self) -> None:
        _, text = self.compare(dict(self.BEFORE), verbose=True)
        self.assertIn("same      Configuration.Handler  a.b", text)


if __name__ == "__main__":
    sys.exit(unittest.main())

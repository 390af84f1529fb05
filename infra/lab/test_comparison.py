"""Tests that the comparison finds every difference, and displays no secret."""

from __future__ import annotations

import unittest
from typing import Any

from comparison import ABSENT, HIDDEN, Difference, differences, display, fields


def flat(value: Any) -> dict[str, Any]:
    return dict(fields("", value))


class ComparisonTest(unittest.TestCase):
    def test_equal_configurations_do_not_differ(self) -> None:
        configuration = {"Configuration": {"Layers": [{"Arn": "a"}], "Handler": "app.handler"}}
        self.assertEqual(differences(flat(configuration), flat(configuration)), [])

    def test_the_order_of_layers_counts(self) -> None:
        one = flat({"Layers": [{"Arn": "a"}, {"Arn": "b"}]})
        other = flat({"Layers": [{"Arn": "b"}, {"Arn": "a"}]})
        self.assertEqual([each.field for each in differences(one, other)], ["Layers[0].Arn", "Layers[1].Arn"])

    def test_absent_is_not_zero(self) -> None:
        found = differences(flat({"Concurrency": {}}), flat({"Concurrency": {"Reserved": 0}}))
        self.assertEqual([each.field for each in found], ["Concurrency", "Concurrency.Reserved"])
        self.assertEqual(display("Concurrency.Reserved", None), ABSENT)

    def test_absent_is_not_empty(self) -> None:
        self.assertEqual(len(differences(flat({}), flat({"Environment": {}}))), 2)

    def test_a_number_is_not_its_text(self) -> None:
        self.assertEqual(len(differences(flat({"Timeout": 3}), flat({"Timeout": "3"}))), 1)

    def test_secrets_are_compared_and_never_displayed(self) -> None:
        before = flat({"Configuration": {"Environment": {"Variables": {"KEY": "s3cret"}}}})
        after = flat({"Configuration": {"Environment": {"Variables": {"KEY": "other"}}}})
        found = differences(before, after)
        self.assertEqual(len(found), 1)
        self.assertNotIn("s3cret", str(found[0]))
        self.assertIn(HIDDEN, str(found[0]))

    def test_a_removed_variable_is_found(self) -> None:
        field = "Configuration.Environment.Variables.KEY"
        self.assertEqual(str(Difference(field, "s3cret", None)), f"{field}: {HIDDEN} -> {ABSENT}")
        self.assertEqual(str(Difference(field, "s3cret", "other")), f"{field}: {HIDDEN} -> (hidden, changed)")


if __name__ == "__main__":
    unittest.main()

"""Tests the search for circles of imports."""

from __future__ import annotations

import unittest

import circles


def found(**sources: str) -> list[list[str]]:
    by_path = {name.replace("__", "/") + ".rs": text for name, text in sources.items()}
    return [["::".join(module) for module in circle] for circle in circles.circles(by_path)]


class CircleTest(unittest.TestCase):
    def test_two_modules_that_import_each_other_are_found(self) -> None:
        self.assertEqual(found(a="use crate::b::B;\n", b="use super::a::A;\n"), [["a", "b"]])
        self.assertEqual(found(a="use crate::{c::C, b::{self, B as D}};\n", b="fn f() { crate::a::f() }\n", c=""), [["a", "b"]])

    def test_a_circle_of_three_is_found_once(self) -> None:
        sources = {"m__a": "use super::b::B;\n", "m__b": "use crate::m::c::C;\n", "m__c": "use super::a;\n", "m__mod": "mod a;\n"}
        self.assertEqual(found(**sources), [["m::a", "m::b", "m::c"]])

    def test_imports_in_one_direction_are_no_circle(self) -> None:
        self.assertEqual(found(a="use crate::b::B;\nuse crate::c::C;\n", b="use crate::c::C;\n", c="use std::fmt;\n"), [])

    def test_parents_tests_and_comments_do_not_count(self) -> None:
        self.assertEqual(found(m__mod="mod a;\nuse a::A;\n", m__a="use super::B;\n"), [])
        self.assertEqual(found(a="use crate::b::B;\n", b="#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"), [])
        self.assertEqual(found(a="use crate::b::B;\n", b="// see crate::a::A\n"), [])

    def test_a_name_as_of_another_crate_is_not_a_module(self) -> None:
        self.assertEqual(found(a="use b::B;\n", b="use crate::a::A;\n"), [])


if __name__ == "__main__":
    unittest.main()

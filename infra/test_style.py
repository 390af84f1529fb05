"""Tests the style check: each rule finds what it should, with the right line, and nothing else."""

from __future__ import annotations

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import style


def found(file: str, text: str) -> list[tuple[str, int]]:
    return [(finding.rule, finding.line) for finding in style.check(file, text)]


class WordTest(unittest.TestCase):
    def test_every_phrase_of_the_list_is_found(self) -> None:
        for phrase, fix in style.DENIED.items():
            text = phrase.removesuffix("-")
            for written in (text, text.capitalize(), text.upper()):
                with self.subTest(written):
                    (finding,) = style.check("page.md", f"One line.\nThen {written}.\n")
                    self.assertEqual((finding.rule, finding.line), ("word", 2))
                    self.assertEqual(finding.message, f"`{written}`; write: {fix}")

    def test_a_phrase_is_found_across_lines_and_in_names(self) -> None:
        for file, text in (
            ("a.rs", "/// In so\n/// many seconds.\n"),
            ("a.rs", "    //! In so\n    //! many seconds.\n"),
            ("a.rs", 'const A: &str = "in so \\\n    many seconds";\n'),
            ("a.py", "# In so\n# many seconds.\n"),
            ("a.md", "In so\nmany seconds.\n"),
            ("a.rs", "const SO_MANY: usize = 1;\n"),
            ("a.rs", "fn lasts_so_many_seconds() {}\n"),
        ):
            with self.subTest(text):
                self.assertEqual(found(file, text), [("word", 1)])

    def test_parts_of_other_words_are_not_found(self) -> None:
        self.assertEqual(found("a.md", "Also many finalists; optimistic; organism; of ourselves; a greyhound.\n"), [])
        self.assertEqual(found("a.md", "uninitialised\n"), [("word", 1)])

    def test_option_is_none_is_allowed_in_code(self) -> None:
        self.assertEqual(found("a.rs", "fn a(b: Option<u8>) -> bool {\n    b.is_none()\n}\n"), [])
        self.assertEqual(found("a.py", "a = b is None\n"), [])
        self.assertEqual(found("a.py", "# Where there is none.\n"), [("word", 1)])


class NameTest(unittest.TestCase):
    def test_a_name_over_60_characters_is_found(self) -> None:
        for length, expected in ((60, []), (61, [("name", 2)])):
            name = "n" * length
            self.assertEqual(found("a.rs", f"#[test]\nfn {name}() {{}}\n"), expected)
            self.assertEqual(found("a.rs", f"#[test]\n    pub(crate) async fn {name}() {{\n    }}\n"), expected)
            self.assertEqual(found("a.py", f"\ndef {name}(): pass\n"), expected)


class UnitTest(unittest.TestCase):
    def test_a_time_needs_a_unit_in_its_name(self) -> None:
        for document, declaration, expected in (
            ("How many seconds a read may be late.", "pub const STALENESS: i64 = 5;", [("unit", 2)]),
            ("Milliseconds between two polls.", "const POLL: u64 = 1000;", [("unit", 2)]),
            ("At most 5 s.", "pub(crate) const LIMIT: usize = 5;", [("unit", 2)]),
            ("How many seconds a read may be late.", "pub const STALENESS_S: i64 = 5;", []),
            ("Milliseconds between two polls.", "const POLL_INTERVAL_MS: u64 = 1000;", []),
            ("Calls in a second.", "const CALLS_PER_SECOND: u64 = 15;", []),
            ("How many seconds a read may be late.", "const STALENESS: Duration = Duration::from_secs(5);", []),
            ("The second of the two.", "const PAGE: usize = 2;", [("unit", 2)]),
            ("How many pages.", "const PAGES: usize = 2;", []),
        ):
            with self.subTest(f"{document} {declaration}"):
                self.assertEqual(found("a.rs", f"/// {document}\n{declaration}\n"), expected)

    def test_attributes_and_several_lines_do_not_hide_it(self) -> None:
        text = "/// How long,\n/// in seconds.\n#[cfg(test)]\nconst LONG: u32 = 5;\n"
        self.assertEqual(found("a.rs", text), [("unit", 4)])


class LengthTest(unittest.TestCase):
    def test_a_file_over_500_lines_is_found(self) -> None:
        self.assertEqual(found("a.rs", "\n" * 500), [])
        self.assertEqual(found("a.rs", "\n" * 501), [("file", 1)])
        self.assertEqual(found("a.md", "\n" * 501), [])

    def test_a_function_over_60_lines_is_found(self) -> None:
        for inner, expected in ((58, []), (59, [("function", 1)])):
            self.assertEqual(found("a.rs", "fn a() {\n" + "    b();\n" * inner + "}\n"), expected)
            self.assertEqual(found("a.py", "def a():\n" + "    b()\n" * (inner + 1)), expected)

    def test_braces_in_literals_do_not_end_a_function(self) -> None:
        text = 'fn a<\'a>(c: &\'a str) {\n    b("\n}\n", r#"\n}\n"#, \'{\', \'"\');\n    // }\n' + "    b();\n" * 54 + "}\n\nfn c() {}\n"
        self.assertEqual(list(style.rust_functions(text)), [("a", 1, 62), ("c", 64, 1)])

    def test_a_signature_may_have_several_lines(self) -> None:
        text = "trait T {\n    fn a(\n        b: u8,\n    ) -> u8;\n\n    fn c(\n        d: u8,\n    ) {\n        d();\n    }\n}\n"
        self.assertEqual(list(style.rust_functions(text)), [("a", 2, 3), ("c", 6, 5)])


class CitationTest(unittest.TestCase):
    def test_a_missing_file_or_test_is_found(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "src").mkdir()
            (root / "src" / "a.rs").write_text("fn a_run_is_restored() {}\n")
            page = "`src/a.rs`, `a_run_is_restored`, `a_name`, `cargo test`\n`src/b.rs`\n`a_run_is_lost`\n"
            (root / "a.md").write_text(page)
            (root / "CHANGELOG.md").write_text(page)
            found = [(finding.rule, finding.file, finding.line) for finding in style.findings(root)]
            self.assertEqual(found, [("citation", "a.md", 2), ("citation", "a.md", 3)])


class LinkTest(unittest.TestCase):
    def test_a_link_to_a_missing_file_or_heading_is_found(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "docs").mkdir()
            (root / "docs" / "b.md").write_text("# Two words: `code`\n\n```sh\n# a comment\n```\n\n[up](../a.md#first)\n[up](../c.md)\n")
            (root / "a.md").write_text(
                "# First\n[b](docs/b.md#two-words-code), [web](https://example.com/#no), [self](#first)\n"
                "[b](docs/b.md#a-comment)\n[self](#second)\n"
            )
            found = [(finding.rule, finding.file, finding.line) for finding in style.findings(root)]
            self.assertEqual(sorted(found), [("link", "a.md", 3), ("link", "a.md", 4), ("link", "docs/b.md", 8)])


class CommandTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        patch = mock.patch.object(style, "ROOT", self.root)
        patch.start()
        self.addCleanup(patch.stop)

    def style(self, *arguments: str) -> tuple[int, str]:
        with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
            return style.main(list(arguments)), said.getvalue()

    def test_a_clean_tree_passes(self) -> None:
        (self.root / "a.md").write_text("Fine.\n")
        self.assertEqual(self.style(), (0, "style: 0 findings\n"))

    def test_a_finding_fails_with_its_line_and_fix(self) -> None:
        (self.root / "a.md").write_text("Fine.\nSomebody.\n")
        code, said = self.style()
        self.assertEqual(code, 1)
        self.assertIn("a.md:2: word: `Somebody`; write: name the actor", said)

    def test_an_argument_is_refused(self) -> None:
        self.assertEqual(self.style("--all"), (2, "usage: infra/style.py\n"))

    def test_ignored_folders_are_not_read(self) -> None:
        for folder in style.SKIPPED_FOLDERS:
            (self.root / folder).mkdir()
            (self.root / folder / "a.md").write_text("Somebody.\n")
        self.assertEqual(self.style()[0], 0)


if __name__ == "__main__":
    unittest.main()

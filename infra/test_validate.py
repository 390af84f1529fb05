"""Tests that the validators of the pipelines' files find what is wrong."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import validate  # noqa: E402

GITLAB_JOB = validate.INFRA / "gitlab" / "snapback.gitlab-ci.yml"


class Pipelines(unittest.TestCase):
    def spoiled(self, file: Path, before: str, after: str) -> Path:
        """Returns a copy of a file that has one change."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        text = file.read_text(encoding="utf-8")
        self.assertIn(before, text)
        copy = Path(folder.name) / file.name
        copy.write_text(text.replace(before, after), encoding="utf-8")
        return copy

    def test_the_files_have_no_finding(self) -> None:
        self.assertEqual([], list(validate.pipelines()))

    def test_a_file_that_breaks_its_schema_is_found(self) -> None:
        for file, before, after in (
            (validate.GITHUB_ACTION, "using: composite", "using: compost"),
            (GITLAB_JOB, "when: always", "when: sometimes"),
        ):
            findings = list(validate.check_jsonschema(self.spoiled(file, before, after), validate.PIPELINES[file]))
            self.assertEqual({"schema"}, {finding.rule for finding in findings}, findings)

    def test_an_input_in_a_script_or_a_loose_pin_is_found(self) -> None:
        for before, after, rule in (
            ('plan "$EXPERIMENT"', 'plan "${{ inputs.experiment }}"', "template-injection"),
            ("upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f", "upload-artifact@main", "unpinned-uses"),
        ):
            findings = list(validate.zizmor(self.spoiled(validate.GITHUB_ACTION, before, after)))
            self.assertIn(rule, {finding.rule for finding in findings})

    def test_mistakes_in_a_workflow_are_found(self) -> None:
        release = validate.INFRA.parent / ".github" / "workflows" / "release.yml"
        for before, after, rule in (
            ("needs: [linux, macos]", "needs: [linux, windows]", "job-needs"),
            ("TARGET: ${{ matrix.target }}", "TARGET: ${{ matrix.goal }}", "expression"),
            ("if: vars.CODE_BUCKETS", "if: varz.CODE_BUCKETS", "expression"),
            ("attestations: write", "attestation: write", "permissions"),
        ):
            findings = list(validate.actionlint(self.spoiled(release, before, after)))
            self.assertIn(rule, {finding.rule for finding in findings}, before)
        unsafe = self.spoiled(release, 'cli "$TARGET"', 'cli "${{ github.event.head_commit.message }}"')
        self.assertIn("template-injection", {finding.rule for finding in validate.zizmor(unsafe)})


if __name__ == "__main__":
    unittest.main()

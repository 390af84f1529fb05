"""Tests the files of a release that need no build: the template, the archives and the checksums."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent))

import release  # noqa: E402
import validate  # noqa: E402

TEMPLATE = release.TEMPLATE.read_text(encoding="utf-8")


class Template(unittest.TestCase):
    def test_all_code_is_in_the_bucket_and_in_the_release(self) -> None:
        for buckets in ("", "snapback-code"):
            text = release.release_template(TEMPLATE, "1.2.3", buckets)
            self.assertNotRegex(text, r"(Code|Content|DefinitionS3Location): \S")
            keys = set(re.findall(r'Key: !Sub "\$\{CodePrefix\}(.+)"', text))
            self.assertEqual(keys, set(release.LOCAL.values()))
            self.assertIn("    Default: v1.2.3/\n", text)
            self.assertEqual('"snapback-code-${AWS::Region}"' in text, bool(buckets))

    def test_the_linter_accepts_it(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for buckets in ("", "snapback-code"):
                files.append(Path(folder) / f"snapback{buckets}.yaml")
                files[-1].write_text(release.release_template(TEMPLATE, "1.2.3", buckets), encoding="utf-8")
            output = validate.run("cfn-lint", ["--format", "json", "--template", *map(str, files)], ok=(0,))
        self.assertEqual([], json.loads(output or "[]") if output.strip() else [])

    def test_a_path_that_the_template_lost_is_an_error(self) -> None:
        with self.assertRaisesRegex(release.Wrong, "does not refer to ../target/layer/handler.zip"):
            release.release_template(TEMPLATE.replace("layer/handler.zip", "layer/other.zip"), "1.2.3", "")

    def test_bad_names_are_refused(self) -> None:
        with self.assertRaisesRegex(release.Wrong, "CODE_BUCKETS=`My Buckets`"):
            release.release_template(TEMPLATE, "1.2.3", "My Buckets")
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(release.main(["tag", "v0.0.0"]), 1)
            self.assertEqual(release.main(["tag", f"v{release.version()}"]), 0)
            self.assertEqual(release.main(["everything"]), 2)
        self.assertIn(f"tag the commit v{release.version()}", said.getvalue())


class Files(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(dir=release.ROOT / "target")
        self.addCleanup(folder.cleanup)
        self.dist = Path(folder.name)
        patch = mock.patch.object(release, "DIST", self.dist)
        patch.start()
        self.addCleanup(patch.stop)
        said = contextlib.redirect_stdout(io.StringIO())
        said.__enter__()
        self.addCleanup(said.__exit__, None, None, None)

    def test_an_archive_has_the_command_line_and_is_reproducible(self) -> None:
        binary = self.dist / "binary"
        page = release.ROOT / "LICENSE"
        sums = []
        for time in (1, 2):
            binary.write_bytes(b"a program")
            binary.chmod(0o755)
            with mock.patch("time.time", return_value=time):
                release.archive_cli(binary, "linux-arm64", {"man/man1/snapback.1": page})
            binary.unlink()
            [archive] = self.dist.iterdir()
            sums.append(hashlib.sha256(archive.read_bytes()).hexdigest())
        self.assertEqual(sums[0], sums[1])
        self.assertEqual(archive.name, f"snapback-{release.version()}-linux-arm64.tar.gz")
        with tarfile.open(archive) as tar:
            modes = {member.name: member.mode for member in tar}
        documents = ("LICENSE", "README.md", "CHANGELOG.md", "man/man1/snapback.1")
        self.assertEqual(modes, {"snapback": 0o755, **dict.fromkeys(documents, 0o644)})

    def test_the_man_pages_are_those_that_the_command_line_writes(self) -> None:
        binary = self.dist / "snapback"
        binary.write_text('#!/bin/sh\n[ "$1 $2" = "man --folder" ] && mkdir "$3" && touch "$3/snapback.1" "$3/snapback-run.1"\n')
        binary.chmod(0o755)
        with mock.patch.object(release, "MAN", self.dist / "man"):
            for _ in range(2):
                pages = release.man_pages(binary)
            self.assertEqual(set(pages), {"man/man1/snapback.1", "man/man1/snapback-run.1"})
            binary.write_bytes(b"\x7fELF of another machine")
            with self.assertRaisesRegex(release.Wrong, "does not run on this machine, which its man pages need"):
                release.man_pages(binary)

    def test_the_checksums_are_those_of_all_files(self) -> None:
        (self.dist / "a").write_bytes(b"a")
        (self.dist / "code").mkdir()
        for _ in range(2):
            release.write_checksums()
        self.assertEqual((self.dist / "SHA256SUMS").read_text(), f"{hashlib.sha256(b'a').hexdigest()}  a\n")


class Workflow(unittest.TestCase):
    def play(self, step: str, tool: str, variables: dict[str, str]) -> list[list[str]]:
        """Runs a step of the workflow in a folder with a release; `tool` records its arguments. Returns them, one list a call."""
        workflow = yaml.safe_load((release.ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8"))
        [script] = [each["run"] for each in workflow["jobs"]["publish"]["steps"] if each.get("name") == step]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        root = Path(folder.name)
        (root / "target" / "dist" / "code").mkdir(parents=True)
        for name in ("snapback.yaml", "a name with blanks", "SHA256SUMS", "code/handler.zip"):
            (root / "target" / "dist" / name).touch()
        fake = root / tool
        fake.write_text('#!/bin/sh\nfor word; do printf "%s\\n" "$word"; done >>calls\necho >>calls\n')
        fake.chmod(0o755)
        environment = {**variables, "PATH": f"{root}:/usr/bin:/bin", "TAG": "v1.2.3"}
        subprocess.run(["bash", "-e", "-o", "pipefail", "-c", script], cwd=root, env=environment, check=True)
        return [call.splitlines() for call in (root / "calls").read_text().split("\n\n") if call]

    def test_every_file_is_in_the_draft(self) -> None:
        [call] = self.play("Draft the release", "gh", {})
        self.assertEqual(call[:3], ["release", "create", "v1.2.3"])
        self.assertIn("--draft", call)
        files = {word.removeprefix("target/dist/") for word in call if word.startswith("target/")}
        self.assertEqual(files, {"snapback.yaml", "a name with blanks", "SHA256SUMS"})

    def test_the_code_is_copied_to_the_bucket_of_each_region(self) -> None:
        variables = {"CODE_BUCKETS": "snapback-code", "CODE_REGIONS": "eu-west-1 us-east-1"}
        calls = self.play("Copy the stack's code to the bucket of each Region", "aws", variables)
        copied = [(call[call.index("--region") + 1], call[-1]) for call in calls]
        self.assertEqual(copied, [(r, f"s3://snapback-code-{r}/v1.2.3/") for r in ("eu-west-1", "us-east-1")])
        # The template looks for the code there.
        self.assertIn("Default: v1.2.3/", release.release_template(TEMPLATE, "1.2.3", "snapback-code"))

    def test_it_runs_the_same_steps_as_make(self) -> None:
        workflow = (release.ROOT / ".github" / "workflows" / "release.yml").read_text(encoding="utf-8")
        self.assertIn("run: make release\n", workflow)
        for step in re.findall(r"infra/release\.py (\w+)", workflow):
            self.assertRegex(release.__doc__ or "", rf"(?m)^  {step} ")


if __name__ == "__main__":
    unittest.main()

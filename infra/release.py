#!/usr/bin/env python3
"""Builds the files of a release in target/dist: `infra/release.py STEP...`. `make release` runs all steps that a Linux machine can.

  code          what the stack runs, in code/: functions and layers for both architectures, and the state machine; and the template
  linux         the command line for Linux on both architectures
  cli TARGET    the command line for one target of Rust, for instance aarch64-apple-darwin on macOS
  sbom          the bill of materials, as CycloneDX
  checksums     SHA256SUMS, of all files that are there
  tag TAG       checks that a tag names the version

With CODE_BUCKETS in the environment, the template takes its code from the bucket CODE_BUCKETS-REGION, which the release fills.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import layer
import package
from binaries import ROOT, TARGETS, Binary, host_architecture, pack, target_directory

DIST = ROOT / "target" / "dist"
CODE = DIST / "code"
MAN = ROOT / "target" / "man"
TEMPLATE = ROOT / "infra" / "template.yaml"
STATE_MACHINE = ROOT / "infra" / "statemachine.asl.json"
BUCKETS = re.compile(r"[a-z0-9][a-z0-9-]{1,40}")
# What the template refers to by a local path, and the file in code/ that has it. A bootstrap is chosen by the architecture.
LOCAL = {
    "../target/package/bootstrap.zip": "bootstrap-${Architecture}.zip",
    "../target/layer/arm64.zip": "proxy-arm64.zip",
    "../target/layer/x86_64.zip": "proxy-x86_64.zip",
    "../target/layer/handler.zip": "handler.zip",
    "statemachine.asl.json": "statemachine.asl.json",
}


class Wrong(Exception):
    """The release cannot be built; the text has the reason and the fix."""


def main(arguments: list[str]) -> int:
    steps = {"code": build_code, "linux": build_linux, "sbom": write_sbom, "checksums": write_checksums}
    try:
        match arguments:
            case ["cli", target]:
                build_cli(target)
            case ["tag", tag]:
                check_tag(tag)
            case [_, *_] if set(arguments) <= set(steps):
                for step in arguments:
                    steps[step]()
            case _:
                print(f"usage: infra/release.py {'|'.join(steps)}... or infra/release.py cli TARGET, or tag TAG", file=sys.stderr)
                return 2
    except Wrong as wrong:
        print(f"release: {wrong}", file=sys.stderr)
        return 1
    return 0


def version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise Wrong("Cargo.toml has no version")
    return found[1]


def check_tag(tag: str) -> None:
    if tag != f"v{version()}":
        raise Wrong(f"the tag {tag} is not that of the version in Cargo.toml; tag the commit v{version()}")


# ------------------------------------------------------------------------------------------------------------ code


def build_code() -> None:
    CODE.mkdir(parents=True, exist_ok=True)
    if layer.main([]) != 0:
        raise Wrong("the layers were not built")
    for architecture in TARGETS:
        binary = package.build_for_release(architecture)
        print(pack([Binary(binary, "bootstrap", package.LARGEST_BINARY)], CODE / f"bootstrap-{architecture}.zip"))
        shutil.copyfile(layer.LAYERS / f"{architecture}.zip", CODE / f"proxy-{architecture}.zip")
    shutil.copyfile(layer.LAYERS / "handler.zip", CODE / "handler.zip")
    shutil.copyfile(STATE_MACHINE, CODE / STATE_MACHINE.name)
    write_template()
    write_archive(DIST / f"snapback-{version()}-code.tar.gz", {file.name: file for file in CODE.iterdir()})


def write_template() -> None:
    DIST.mkdir(parents=True, exist_ok=True)
    text = release_template(TEMPLATE.read_text(encoding="utf-8"), version(), os.environ.get("CODE_BUCKETS", ""))
    (DIST / "snapback.yaml").write_text(text, encoding="utf-8")


def release_template(template: str, of_version: str, buckets: str) -> str:
    """Returns the template with its code in a bucket of the stack's Region instead of in local files."""
    if buckets and not BUCKETS.fullmatch(buckets):
        raise Wrong(f"CODE_BUCKETS=`{buckets}`: write the first part of the buckets' names: small letters, digits and hyphens")
    for path, file in LOCAL.items():
        template, count = re.subn(
            rf"^( +)(Code|Content|DefinitionS3Location): {re.escape(path)}$",
            lambda found, file=file: located(found[1], found[2], file, buckets),
            template,
            flags=re.MULTILINE,
        )
        if not count:
            raise Wrong(f"infra/template.yaml does not refer to {path}; correct LOCAL in infra/release.py")
    template = template.replace("\nParameters:\n", f"\nParameters:\n{parameters(of_version, buckets)}", 1)
    if buckets:
        template = template.replace("\nConditions:\n", '\nConditions:\n  HasCodeBucket: !Not [!Equals [!Ref CodeBucket, ""]]\n', 1)
    return template


def located(indent: str, property_name: str, file: str, buckets: str) -> str:
    bucket, key = ("Bucket", "Key") if property_name.startswith("Definition") else ("S3Bucket", "S3Key")
    name = f'!If [HasCodeBucket, !Ref CodeBucket, !Sub "{buckets}-${{AWS::Region}}"]' if buckets else "!Ref CodeBucket"
    return f'{indent}{property_name}:\n{indent}  {bucket}: {name}\n{indent}  {key}: !Sub "${{CodePrefix}}{file}"'


def parameters(of_version: str, buckets: str) -> str:
    default = '    Default: ""\n' if buckets else ""
    optional = "; empty for the release's own" if buckets else ""
    return f"""  CodeBucket:
    Description: The bucket in the stack's Region that has the files of the release's code archive{optional}.
    Type: String
{default}  CodePrefix:
    Description: The first part of the keys of these files.
    Type: String
    Default: v{of_version}/
"""


# -------------------------------------------------------------------------------------------------- the command line


def build_linux() -> None:
    for architecture, target in TARGETS.items():
        package.build_for_release(architecture)
    # The pages are the same on every platform.
    pages = man_pages(cli_of(TARGETS[host_architecture()]))
    for architecture, target in TARGETS.items():
        archive_cli(cli_of(target), f"linux-{architecture}", pages)


def build_cli(target: str) -> None:
    """Builds the command line alone, with Rust's own linker for the target."""
    package.add_target(target)
    package.cargo([*package.BUILD, "release", "--bin", "snapback", "--target", target])
    system = "macos" if target.endswith("-apple-darwin") else "linux"
    architecture = target.partition("-")[0].replace("aarch64", "arm64")
    archive_cli(cli_of(target), f"{system}-{architecture}", man_pages(cli_of(target)))


def cli_of(target: str) -> Path:
    return target_directory() / target / "release" / "snapback"


def man_pages(binary: Path) -> dict[str, Path]:
    """Has the command line write its man pages; returns them by their name in an archive."""
    shutil.rmtree(MAN, ignore_errors=True)
    try:
        subprocess.run([binary, "man", "--folder", MAN], check=True)
    except OSError as problem:
        # Rosetta runs a binary for x86_64 on a Mac with an Apple chip.
        raise Wrong(f"{binary} does not run on this machine, which its man pages need: {problem.strerror}") from problem
    return {f"man/man1/{page.name}": page for page in MAN.iterdir()}


def archive_cli(binary: Path, platform: str, pages: dict[str, Path]) -> None:
    DIST.mkdir(parents=True, exist_ok=True)
    archive = DIST / f"snapback-{version()}-{platform}.tar.gz"
    documents = {name: ROOT / name for name in ("LICENSE", "README.md", "CHANGELOG.md")}
    write_archive(archive, {"snapback": binary, **documents, **pages})


def write_archive(archive: Path, files: dict[str, Path]) -> None:
    """Writes an archive that is the same for the same files."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = member.mtime = 0
        member.uname = member.gname = ""
        member.mode = 0o755 if member.mode & 0o100 else 0o644
        return member

    with archive.open("wb") as raw:
        # Without the time and the name that gzip would store.
        with gzip.GzipFile("", "wb", 9, raw, mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
            for name, file in sorted(files.items()):
                tar.add(file, name, filter=plain)
    print(f"{archive.relative_to(ROOT)}: {archive.stat().st_size / 1e6:.1f} MB")


# ------------------------------------------------------------------------------------------ what a user checks it with


def write_sbom() -> None:
    """Writes what the command line and the functions are built from, with cargo-cyclonedx."""
    DIST.mkdir(parents=True, exist_ok=True)
    tool = os.environ.get("CYCLONEDX")
    if not tool:
        raise Wrong("CYCLONEDX is not set to cargo-cyclonedx; run make release")
    options = ["--format", "json", "--no-default-features", "--features", "task,cli,proxy", "--target", TARGETS[host_architecture()]]
    written = ROOT / "snapback-sbom.json"
    subprocess.run([tool, "cyclonedx", *options, "--override-filename", written.stem], cwd=ROOT, check=True)
    shutil.move(written, DIST / f"snapback-{version()}.cdx.json")


def write_checksums() -> None:
    files = sorted(file for file in DIST.iterdir() if file.is_file() and file.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files]
    (DIST / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
    print(f"target/dist/SHA256SUMS: {len(lines)} files")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        # The command has printed the reason.
        sys.exit(failure.returncode)

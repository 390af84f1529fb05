#!/usr/bin/env python3
"""Builds the bootstrap for one architecture and zips it for Lambda: `infra/package.py [--lab] arm64|x86_64`.
`infra/package.py --cli` builds the command line alone.

The bootstrap is static (musl), because provided.al2023 has an older glibc than most build machines. TLS compiles some C. For this
machine's architecture, cc does that (.cargo/config.toml); another architecture needs zig (infra/tools/install.sh cross).

Most of the build is AWS's SDKs. To compile them once, the command line and the bootstrap of a Linux machine have one target, one
profile and one set of features, and one cargo command builds both. With `--lab` the profile is the lab's, which is not optimized
and builds in a fraction of the time. With the arguments of a `cargo test` after the architecture, the same command builds those tests:
`infra/package.py --lab x86_64 --all-features --test stack`.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from binaries import MEGABYTE, ROOT, TARGETS, Binary, TooLarge, add_target, host_architecture, pack, target_directory

CROSS = ROOT / ".tools" / "cross" / "bin"
PACKAGE = ROOT / "target" / "package" / "bootstrap.zip"
# Where a plain `cargo build --release` puts the command line, too, less optimized.
CLI = target_directory() / "release" / "snapback"
LARGEST_BINARY = 12 * MEGABYTE
# Lambda's limit for an unzipped package is 250 MB (lambda/latest/dg/gettingstarted-limits).
LARGEST_PACKAGE = 250 * MEGABYTE
FIRST_MINUTES = {"lab": 2, "deploy": 4}
BUILD = ["build", "--locked", "--profile"]
# By default, Cargo builds the command line alone.
BOTH = ["--bin", "bootstrap", "--bin", "snapback", "--features", "task"]


def main(arguments: list[str]) -> int:
    profile, tests = "deploy", []
    if arguments[:1] == ["--lab"]:
        profile, arguments, tests = "lab", arguments[1:2], arguments[2:]
    if len(arguments) != 1 or arguments[0] not in (*TARGETS, "--cli"):
        print(f"usage: infra/package.py --cli | [--lab] {'|'.join(TARGETS)}; after --lab ARCHITECTURE, also the arguments of cargo test", file=sys.stderr)
        return 2
    [what] = arguments
    if what == "--cli":
        build_cli(profile)
        return 0
    largest = LARGEST_BINARY if profile == "deploy" else LARGEST_PACKAGE
    try:
        packed = pack([Binary(build_bootstrap(what, profile, tests), "bootstrap", largest)], PACKAGE)
    except TooLarge as grown:
        print(f"package: {grown}", file=sys.stderr)
        return 1
    print(f"{packed}, for {what}")
    return 0


def build_cli(profile: str) -> None:
    announce("the command line", f"*/{profile}/snapback", profile)
    if is_linux():
        build_both(profile)
    else:
        cargo([*BUILD, profile, "--bin", "snapback"])
        put_cli(target_directory() / profile / "snapback")


def build_bootstrap(architecture: str, profile: str, tests: list[str]) -> Path:
    bootstrap = f"{TARGETS[architecture]}/{profile}/bootstrap"
    if is_linux() and architecture == host_architecture():
        announce("the command line and the Lambda functions" + (", and their tests" if tests else ""), bootstrap, profile)
        build_both(profile, tests)
    else:
        announce(f"the Lambda functions for {architecture}", bootstrap, profile)
        build_for_other_machine(architecture, profile)
    return target_directory() / bootstrap


def build_for_release(architecture: str) -> Path:
    """Builds functions and command line for a release, and returns the bootstrap; the command line is next to it."""
    if is_linux() and architecture == host_architecture():
        build_both("deploy")
    else:
        build_for_other_machine(architecture, "deploy", BOTH)
    return target_directory() / TARGETS[architecture] / "deploy" / "bootstrap"


def announce(what: str, result: str, profile: str) -> None:
    """Prints what is being built, and how long that takes if its result does not exist."""
    built = any(target_directory().glob(result))
    first = "" if built else f"; the first time, this takes about {FIRST_MINUTES[profile]} minutes on two cores"
    print(f"building {what}{first}", flush=True)


def is_linux() -> bool:
    return platform.system() == "Linux"


def build_both(profile: str, tests: Sequence[str] = ()) -> None:
    """Builds the command line and the bootstrap for this machine, which runs Linux. To build tests builds all binaries, too."""
    target = TARGETS[host_architecture()]
    add_target(target)
    what = ["test", "--no-run", *tests] if tests else ["build", *BOTH]
    cargo([*what, "--locked", "--profile", profile, "--target", target])
    put_cli(target_directory() / target / profile / "snapback")


def put_cli(built: Path) -> None:
    """Puts the command line at CLI. It is moved there, so that a running one keeps its file."""
    if built == CLI:
        return
    draft = CLI.with_suffix(f".{os.getpid()}")
    CLI.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(built, draft)
    draft.replace(CLI)


# The command line is not for another machine: without its features, less is compiled.
BOOTSTRAP_ALONE = ["--bin", "bootstrap", "--no-default-features", "--features", "task"]


def build_for_other_machine(architecture: str, profile: str, what: list[str] = BOOTSTRAP_ALONE) -> None:
    """Builds with zig, which brings the C compiler and the C library of every architecture."""
    target = TARGETS[architecture]
    subprocess.run([str(ROOT / "infra" / "tools" / "install.sh"), "cross"], cwd=ROOT, check=True)
    add_target(target)
    # It expects zig as a module of the python3 on the path.
    environment = {**os.environ, "PATH": f"{CROSS}{os.pathsep}{os.environ['PATH']}"}
    command = ["zigbuild", *BUILD[1:], profile, *what, "--target", target]
    subprocess.run([str(CROSS / "cargo-zigbuild"), *command], cwd=ROOT, env=environment, check=True)


def cargo(arguments: list[str]) -> None:
    subprocess.run([os.environ.get("CARGO", "cargo"), *arguments], cwd=ROOT, check=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        # The command has printed the reason.
        sys.exit(failure.returncode)

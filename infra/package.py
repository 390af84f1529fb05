#!/usr/bin/env python3
"""Builds the bootstrap for one architecture and zips it for Lambda: `infra/package.py arm64|x86_64`. `infra/package.py --cli`
builds the command line alone.

The bootstrap is static (musl), because provided.al2023 has an older glibc than most build machines. TLS compiles some C. For this
machine's architecture, cc does that; another architecture needs zig (infra/tools/install.sh cross).

Most of the build is AWS's SDKs. To compile them once, the command line and the bootstrap of a Linux machine have one target, one
profile and one set of features, and one cargo command builds both.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from binaries import MEGABYTE, ROOT, TARGETS, TooLarge, add_target, host_architecture, pack, target_directory

CROSS = ROOT / ".tools" / "cross" / "bin"
PACKAGE = ROOT / "target" / "package" / "bootstrap.zip"
# Where a plain `cargo build --release` puts the command line, too.
CLI = target_directory() / "release" / "snapback"
LARGEST_BINARY = 12 * MEGABYTE
FIRST_BUILD = "about three minutes"
BUILD = ["build", "--release", "--locked"]


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in (*TARGETS, "--cli"):
        print(f"usage: infra/package.py {'|'.join(TARGETS)}|--cli", file=sys.stderr)
        return 2
    [what] = arguments
    if what == "--cli":
        build_cli()
        return 0
    try:
        packed = pack(build_bootstrap(what), "bootstrap", PACKAGE, LARGEST_BINARY)
    except TooLarge as grown:
        print(f"package: {grown}", file=sys.stderr)
        return 1
    print(f"{packed}, for {what}")
    return 0


def build_cli() -> None:
    announce("the command line")
    if is_linux():
        build_both()
    else:
        subprocess.run(["cargo", *BUILD, "--bin", "snapback"], cwd=ROOT, check=True)


def build_bootstrap(architecture: str) -> Path:
    announce("the command line and the Lambda functions")
    if is_linux() and architecture == host_architecture():
        build_both()
    else:
        build_for_other_machine(architecture)
    return target_directory() / TARGETS[architecture] / "release" / "bootstrap"


def announce(what: str) -> None:
    first = "" if CLI.exists() else f"; the first time, {FIRST_BUILD} on two cores, most of it AWS's SDKs"
    print(f"building {what}{first}", flush=True)


def is_linux() -> bool:
    return platform.system() == "Linux"


def build_both() -> None:
    """Builds the command line and the bootstrap for this machine, which runs Linux, and puts the command line at CLI."""
    target = TARGETS[host_architecture()]
    add_target(target)
    environment = dict(os.environ)
    name = target.replace("-", "_")
    # Only if the user has not chosen a compiler: by default, the build uses one that few machines have.
    environment.setdefault(f"CC_{name}", "cc")
    # Fortified calls exist in glibc, for which cc is built, but not in musl.
    environment.setdefault(f"CFLAGS_{name}", "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0")
    binaries = ["--bin", "bootstrap", "--bin", "snapback"]
    subprocess.run(["cargo", *BUILD, *binaries, "--target", target], cwd=ROOT, env=environment, check=True)
    # Moved into place, so that a running command line keeps its file.
    draft = CLI.with_suffix(f".{os.getpid()}")
    CLI.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(target_directory() / target / "release" / "snapback", draft)
    draft.replace(CLI)


def build_for_other_machine(architecture: str) -> None:
    """Builds the bootstrap with zig, which brings the C compiler and the C library of every architecture."""
    target = TARGETS[architecture]
    subprocess.run([str(ROOT / "infra" / "tools" / "install.sh"), "cross"], cwd=ROOT, check=True)
    add_target(target)
    # It expects zig as a module of the python3 on the path.
    environment = {**os.environ, "PATH": f"{CROSS}{os.pathsep}{os.environ['PATH']}"}
    command = [str(CROSS / "cargo-zigbuild"), "zigbuild", *BUILD[1:], "--bin", "bootstrap", "--target", target]
    # The command line is not for another machine: without its features, less is compiled.
    subprocess.run([*command, "--no-default-features", "--features", "task"], cwd=ROOT, env=environment, check=True)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        # The command has printed the reason.
        sys.exit(failure.returncode)

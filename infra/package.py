#!/usr/bin/env python3
"""Builds the bootstrap for one architecture and zips it for Lambda: `infra/package.py arm64|x86_64`.

The binary is static (musl), because provided.al2023 has an older glibc than most build machines. TLS compiles some C. For this
machine's architecture, cc does that; another architecture needs zig (infra/tools/install.sh cross).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from binaries import MEGABYTE, ROOT, TARGETS, TooLarge, add_target, host_architecture, pack, target_directory

CROSS = ROOT / ".tools" / "cross" / "bin"
PACKAGE = ROOT / "target" / "package" / "bootstrap.zip"
LARGEST_BINARY = 12 * MEGABYTE


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in TARGETS:
        print(f"usage: infra/package.py {'|'.join(TARGETS)}", file=sys.stderr)
        return 2
    architecture = arguments[0]
    try:
        packed = pack(build(architecture), "bootstrap", PACKAGE, LARGEST_BINARY)
    except TooLarge as grown:
        print(f"package: {grown}", file=sys.stderr)
        return 1
    print(f"{packed}, for {architecture}")
    return 0


def build(architecture: str) -> Path:
    target = TARGETS[architecture]
    environment = dict(os.environ)
    if architecture == host_architecture():
        command = ["cargo", "build"]
        name = target.replace("-", "_")
        # Only if the user has not chosen a compiler: by default, the build uses one that few machines have.
        environment.setdefault(f"CC_{name}", "cc")
        # Fortified calls exist in glibc, for which cc is built, but not in musl.
        environment.setdefault(f"CFLAGS_{name}", "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0")
    else:
        command = [str(CROSS / "cargo-zigbuild"), "zigbuild"]
        # It expects zig as a module of the python3 on the path.
        environment["PATH"] = f"{CROSS}{os.pathsep}{environment['PATH']}"
    add_target(target)
    # Only the tasks, because a binary without the command line is smaller and starts sooner.
    features = ["--no-default-features", "--features", "task"]
    command += ["--release", "--locked", "--bin", "bootstrap", "--target", target, *features]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return target_directory() / target / "release" / "bootstrap"


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        # The command has printed the reason.
        sys.exit(failure.returncode)

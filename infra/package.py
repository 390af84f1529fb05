#!/usr/bin/env python3
"""Builds the bootstrap for one architecture and zips it, as Lambda wants it: `infra/package.py arm64|x86_64`.

The binary is static (musl): provided.al2023 has an older glibc than most machines that build. TLS compiles some C, so a
foreign architecture needs a C compiler for it, which is zig (infra/tools/install.sh cross); for this machine's own, cc
is enough.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CROSS = ROOT / ".tools" / "cross" / "bin"
PACKAGE = ROOT / "target" / "package" / "bootstrap.zip"
TARGETS = {"arm64": "aarch64-unknown-linux-musl", "x86_64": "x86_64-unknown-linux-musl"}
# The first moment that a zip file can name, so that equal binaries make equal packages, and a deploy uploads no copy.
EPOCH = (1980, 1, 1, 0, 0, 0)
MEGABYTE = 1_000_000
LARGEST_BINARY = 12 * MEGABYTE


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in TARGETS:
        print(f"usage: infra/package.py {'|'.join(TARGETS)}", file=sys.stderr)
        return 2
    architecture = arguments[0]
    binary = build(architecture)
    size = binary.stat().st_size
    if size > LARGEST_BINARY:
        print(f"package: {binary} has {size} bytes, more than the {LARGEST_BINARY} that it may have", file=sys.stderr)
        return 1
    archive(binary)
    zipped = PACKAGE.stat().st_size
    print(
        f"{PACKAGE.relative_to(ROOT)}: bootstrap for {architecture}, "
        f"{size / MEGABYTE:.1f} MB, zipped {zipped / MEGABYTE:.1f} MB"
    )
    return 0


def build(architecture: str) -> Path:
    target = TARGETS[architecture]
    environment = dict(os.environ)
    if architecture == host_architecture():
        command = ["cargo", "build"]
        name = target.replace("-", "_")
        # Only where nobody has chosen a compiler: by default one would be looked for that few machines have.
        environment.setdefault(f"CC_{name}", "cc")
        # cc is made for glibc; fortified calls are glibc's and do not exist in musl.
        environment.setdefault(f"CFLAGS_{name}", "-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0")
    else:
        command = [str(CROSS / "cargo-zigbuild"), "zigbuild"]
        # It looks for zig as a module of the python3 on the path.
        environment["PATH"] = f"{CROSS}{os.pathsep}{environment['PATH']}"
    add_target(target)
    # Only the tasks: without the command line, the binary is smaller and starts sooner.
    features = ["--no-default-features", "--features", "task"]
    command += ["--release", "--locked", "--bin", "bootstrap", "--target", target, *features]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return target_directory() / target / "release" / "bootstrap"


def host_architecture() -> str:
    machine = platform.machine().lower()
    return {"aarch64": "arm64", "amd64": "x86_64"}.get(machine, machine)


def add_target(target: str) -> None:
    """Asks rustup only when the target is missing; without rustup, cargo says itself what it misses."""
    listing = subprocess.run(["rustc", "--print", "target-libdir", "--target", target], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0 or not Path(listing.stdout.strip()).is_dir():
        subprocess.run(["rustup", "target", "add", target], cwd=ROOT, check=True)


def target_directory() -> Path:
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


def archive(binary: Path) -> None:
    PACKAGE.parent.mkdir(parents=True, exist_ok=True)
    entry = zipfile.ZipInfo("bootstrap", EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.create_system = 3  # Unix, so that the mode below counts
    entry.external_attr = 0o100755 << 16
    # Written beside and moved: whoever packages at the same time never reads half a file.
    draft = PACKAGE.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(draft, "w", compresslevel=9) as package:
        package.writestr(entry, binary.read_bytes())
    draft.replace(PACKAGE)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except subprocess.CalledProcessError as failure:
        # The tool has said why.
        sys.exit(failure.returncode)

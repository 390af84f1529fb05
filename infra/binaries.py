"""Builds and packs binaries for Lambda: their targets, and archives that are the same for the same binary."""

from __future__ import annotations

import os
import platform
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {"arm64": "aarch64-unknown-linux-musl", "x86_64": "x86_64-unknown-linux-musl"}
# The earliest time of a zip file. Equal binaries make equal archives, so a deploy does not upload the same binary again.
EPOCH = (1980, 1, 1, 0, 0, 0)
MEGABYTE = 1_000_000


class TooLarge(Exception):
    """A binary is larger than its limit, which would slow down every cold start."""


def host_architecture() -> str:
    machine = platform.machine().lower()
    return {"aarch64": "arm64", "amd64": "x86_64"}.get(machine, machine)


def add_target(target: str) -> None:
    """Adds a missing target with rustup. Without rustup, cargo reports what is missing."""
    listing = subprocess.run(["rustc", "--print", "target-libdir", "--target", target], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode != 0 or not Path(listing.stdout.strip()).is_dir():
        subprocess.run(["rustup", "target", "add", target], cwd=ROOT, check=True)


def target_directory() -> Path:
    return ROOT / os.environ.get("CARGO_TARGET_DIR", "target")


@dataclass(frozen=True)
class Binary:
    """A binary, its name in the archive, and the most bytes that it may have."""

    path: Path
    name: str
    largest: int

    def described(self) -> str:
        size = self.path.stat().st_size
        if size > self.largest:
            raise TooLarge(f"{self.path}: {size} bytes, more than the limit of {self.largest}")
        return f"{self.name}, {size / MEGABYTE:.2g} MB"


def pack(binaries: list[Binary], into: Path) -> str:
    """Zips binaries under their names, if they are small enough, and returns a line about the result."""
    described = "; ".join(binary.described() for binary in binaries)
    write(into, [(binary.name, binary.path, 0o100755) for binary in binaries])
    return f"{into.relative_to(ROOT)}: {described}; zipped {into.stat().st_size / MEGABYTE:.1f} MB"


def pack_folder(folder: Path, into: Path) -> str:
    """Zips the sources below a folder, and returns a line about the result."""
    sources = [path for path in sorted(folder.rglob("*")) if path.suffix in (".py", ".mjs")]
    write(into, [(str(path.relative_to(folder)), path, 0o100644) for path in sources])
    return f"{into.relative_to(ROOT)}: {len(sources)} files, zipped {into.stat().st_size / MEGABYTE:.2f} MB"


def write(into: Path, members: list[tuple[str, Path, int]]) -> None:
    """Zips files, each under a name and with a mode."""
    into.parent.mkdir(parents=True, exist_ok=True)
    # Written next to it and moved, so that a process that packages at the same time never reads half a file.
    draft = into.with_suffix(f".{os.getpid()}")
    with zipfile.ZipFile(draft, "w", compresslevel=9) as package:
        for name, file, mode in members:
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, so that the mode counts
            entry.external_attr = mode << 16
            package.writestr(entry, file.read_bytes())
    draft.replace(into)

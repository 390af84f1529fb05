"""Creates zip archives of code and layers. The same files give the same bytes, and scripts stay executable."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

# The earliest time of a zip file.
EPOCH = (1980, 1, 1, 0, 0, 0)


def of_file(file: Path, name: str) -> bytes:
    """Packs `file` under another name."""
    return pack([(name, file)])


def of_directory(directory: Path) -> bytes:
    """Packs everything under `directory`, ordered by name."""
    files = (path for path in sorted(directory.rglob("*")) if path.is_file() and "__pycache__" not in path.parts)
    return pack([(str(path.relative_to(directory)), path) for path in files])


def pack(members: list[tuple[str, Path]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in members:
            member = zipfile.ZipInfo(name, EPOCH)
            # The upper half has the file's type and mode. A wrapper must stay executable.
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            member.external_attr = (0o100000 | mode) << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, path.read_bytes())
    return buffer.getvalue()

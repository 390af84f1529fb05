#!/usr/bin/env python3
"""Finds the Python interpreters of this machine, one of each version: `interpreters.py` prints a line with version and path for each.

The registries that the tools come from have no interpreters of Python. So the tests use those that the machine has: on the path as
python3.N, and those of pyenv. For Node.js, infra/tools/nodes locks the versions.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# The oldest that the client of Lambda's runtime has wheels for, and the newest to look for.
OLDEST, NEWEST_MINOR = (3, 10), 20


def pythons(oldest: tuple[int, int] = OLDEST) -> dict[str, str]:
    """Returns the interpreters by version, such as 3.13, from the oldest on. Each can make virtual environments."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = {}
    for minor in range(oldest[1], NEWEST_MINOR):
        version = f"{oldest[0]}.{minor}"
        candidates = [shutil.which(f"python{version}"), *map(str, sorted(pyenv.glob(f"versions/{version}.*/bin/python")))]
        usable = next((each for each in candidates if each and is_usable(each, version)), None)
        if usable:
            found[version] = usable
    return found


def is_usable(python: str, version: str) -> bool:
    check = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", check], capture_output=True, text=True, timeout=60)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def nodes(tools: Path) -> dict[str, str]:
    """Returns the installed versions of Node.js by their major number."""
    homes = [*(tools / "versions" / "nodes").glob("*"), tools / "runtimes" / "nodejs"]
    found = [home / "bin" / "node" for home in homes]
    by_version = {}
    for node in found:
        version = subprocess.run([str(node), "--version"], capture_output=True, text=True, check=True).stdout
        by_version[version.strip().removeprefix("v").split(".")[0]] = str(node)
    return dict(sorted(by_version.items()))


if __name__ == "__main__":
    for version, python in pythons().items():
        sys.stdout.write(f"{version} {python}\n")

#!/usr/bin/env python3
"""Changes decisions, steps and the proxy's pure part, one operator at a time, and fails where no test notices.

`make mutants` runs it. It fails on every survivor that tests/MUTANTS.md does not argue, on every argument that nothing
needs any more, and where too few are killed. It works on a copy, so that the files here stay as they are and the copy's
builds stay warm.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "target" / "mutants"
COPY = WORK / "tree"
ARGUED = ROOT / "tests" / "MUTANTS.md"
NOT_COPIED = {".git", ".tools", "target", "__pycache__"}
# What is changed, by the configuration that says which tests have to notice.
FILES = {
    ".cargo/mutants.toml": ["src/plan/*.rs", "src/steps/*.rs"],
    ".cargo/mutants-proxy.toml": [
        *(f"src/proxy/{name}.rs" for name in ("dice", "event", "framing", "json", "message", "payload", "route", "verdict")),
        "src/model/invocation/*.rs",
    ],
}
# Files that belong to the proxy, where some are named.
PROXY_FOLDERS = ("src/proxy/", "src/model/invocation/")
SHARDS = ["0/4", "1/4", "2/4", "3/4"]
# Of those that compile. A mutant that hangs the tests is noticed, too.
KILLED_PERCENT = 95
# What makes one mutant quick: little to link, tests that run optimized, no traces, no search for a smaller example.
QUICK = {
    "CARGO_TARGET_DIR": str(WORK / "build"),
    "CARGO_PROFILE_DEV_DEBUG": "0",
    "CARGO_PROFILE_DEV_OPT_LEVEL": "1",
    "RUST_BACKTRACE": "0",
    "PROPTEST_MAX_SHRINK_ITERS": "0",
    "SNAPBACK_SEEDS": os.environ.get("SNAPBACK_SEEDS", "300"),
}
# cargo-mutants: all were caught, some were missed, some timed out. Everything else is a run that came to nothing.
RAN = (0, 2, 3)


def files(root: Path) -> set[Path]:
    found: set[Path] = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in NOT_COPIED]
        found |= {(Path(folder) / name).relative_to(root) for name in names if name not in NOT_COPIED}
    return found


def refresh_copy() -> None:
    """Writes only what differs: cargo builds again what is newer than its last build."""
    ours = files(ROOT)
    for gone in files(COPY) - ours:
        (COPY / gone).unlink()
    for name in ours:
        copy = COPY / name
        if not copy.is_file() or copy.read_bytes() != (ROOT / name).read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)


def chosen(files: list[str]) -> dict[str, list[str]]:
    """These files by their configuration; all that there are, if none is given."""
    control, proxy = FILES
    if not files:
        return FILES
    parts = {
        control: [name for name in files if not name.startswith(PROXY_FOLDERS)],
        proxy: [name for name in files if name.startswith(PROXY_FOLDERS)],
    }
    return {config: names for config, names in parts.items() if names}


def run(tool: str, shard: str, config: str, globs: list[str]) -> Counter[str]:
    """One shard; returns how many outcomes of each kind there were, and prints those that no test noticed."""
    out = WORK / f"{Path(config).stem}-{shard.replace('/', '-of-')}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [tool, "mutants", "--in-place", "--no-shuffle", "--config", config, "--shard", shard]
    command += ["--output", str(out)]
    command += [part for glob in globs for part in ("--file", glob)]
    code = subprocess.run(command, cwd=COPY, env=os.environ | QUICK, check=False).returncode
    if code not in RAN:
        sys.exit(f"mutants: shard {shard} came to nothing (cargo mutants ended with {code})")
    return read(out / "mutants.out")


def read(out: Path) -> Counter[str]:
    outcomes = json.loads((out / "outcomes.json").read_text())
    counts = Counter({kind: outcomes[kind] for kind in ("caught", "missed", "timeout", "unviable")})
    # Without line and column, which change with every edit.
    names = [re.sub(r":\d+:\d+: ", ": ", line) for line in (out / "missed.txt").read_text().splitlines()]
    return counts + Counter(f"missed {name}" for name in names)


def argued() -> Counter[str]:
    return Counter(re.findall(r"^- `(.+?)`: ", ARGUED.read_text(), flags=re.MULTILINE))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tool", default="cargo-mutants", help="the program cargo-mutants")
    parser.add_argument("--shard", action="append", help="K/N: only that part; all parts of four, if none is given")
    parser.add_argument("files", nargs="*", help="only these; all of FILES, if none is given")
    arguments = parser.parse_args()
    refresh_copy()
    total: Counter[str] = Counter()
    for config, globs in chosen(arguments.files).items():
        for shard in arguments.shard or SHARDS:
            total += run(arguments.tool, shard, config, globs)

    killed, viable = total["caught"] + total["timeout"], total["caught"] + total["timeout"] + total["missed"]
    percent = 100 * killed / viable if viable else 100.0
    print(f"{viable} mutants, {total['unviable']} more that do not compile: {percent:.1f} % killed, "
          f"{total['timeout']} of them by a timeout; {total['missed']} survived")
    missed = Counter({name.removeprefix("missed "): count for name, count in total.items() if name.startswith("missed ")})
    problems = [f"survived, and tests/MUTANTS.md does not argue it: {name}" for name in (missed - argued()).elements()]
    if not arguments.shard and not arguments.files:
        problems += [f"tests/MUTANTS.md argues what does not survive: {name}" for name in (argued() - missed).elements()]
        if percent < KILLED_PERCENT:
            problems.append(f"fewer than {KILLED_PERCENT} % were killed")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Mutates decisions, steps and the proxy's pure part, one operator at a time, and fails if no test notices a mutant.

`make mutants` runs it. It fails on every survivor that tests/MUTANTS.md does not explain, on every explanation that no survivor
needs any more, and if too few mutants are killed. It works on a copy, so that the files here do not change and the copy's builds
stay warm.
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
# The files to mutate, by the configuration that selects the tests.
FILES = {
    ".cargo/mutants.toml": ["src/plan/*.rs", "src/steps/*.rs"],
    ".cargo/mutants-proxy.toml": [
        *(
            f"src/proxy/{name}.rs"
            for name in ("damage", "dice", "event", "framing", "http_payload", "json", "message", "payload", "route", "verdict")
        ),
        "src/model/invocation/*.rs",
    ],
}
# Named files in these folders belong to the proxy.
PROXY_FOLDERS = ("src/proxy/", "src/model/invocation/")
SHARDS = ["0/4", "1/4", "2/4", "3/4"]
# Percentage of the mutants that compile. A mutant on which the tests hang counts as killed.
KILLED_PERCENT = 95
# Settings that make one mutant fast: little to link, optimized tests, no backtraces, no search for a smaller example.
QUICK = {
    "CARGO_TARGET_DIR": str(WORK / "build"),
    "CARGO_PROFILE_DEV_DEBUG": "0",
    "CARGO_PROFILE_DEV_OPT_LEVEL": "1",
    "RUST_BACKTRACE": "0",
    "PROPTEST_MAX_SHRINK_ITERS": "0",
    "SNAPBACK_SEEDS": os.environ.get("SNAPBACK_SEEDS", "300"),
}
# cargo-mutants' exit codes: all were caught, some were missed, some timed out. Any other code is a failed run.
RAN = (0, 2, 3)


def files(root: Path) -> set[Path]:
    found: set[Path] = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in NOT_COPIED]
        found |= {(Path(folder) / name).relative_to(root) for name in names if name not in NOT_COPIED}
    return found


def refresh_copy() -> None:
    """Copies only files that differ, because cargo rebuilds every file that is newer than its last build."""
    ours = files(ROOT)
    for removed in files(COPY) - ours:
        (COPY / removed).unlink()
    for name in ours:
        copy = COPY / name
        if not copy.is_file() or copy.read_bytes() != (ROOT / name).read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy)


def chosen(files: list[str]) -> dict[str, list[str]]:
    """Groups these files by their configuration; without any, returns all of FILES."""
    control, proxy = FILES
    if not files:
        return FILES
    parts = {
        control: [name for name in files if not name.startswith(PROXY_FOLDERS)],
        proxy: [name for name in files if name.startswith(PROXY_FOLDERS)],
    }
    return {config: names for config, names in parts.items() if names}


def run(tool: str, shard: str, config: str, globs: list[str]) -> Counter[str]:
    """Runs one shard. Returns the number of outcomes of each kind, and of each missed mutant."""
    out = WORK / f"{Path(config).stem}-{shard.replace('/', '-of-')}"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [tool, "mutants", "--in-place", "--no-shuffle", "--config", config, "--shard", shard]
    command += ["--output", str(out)]
    command += [part for glob in globs for part in ("--file", glob)]
    code = subprocess.run(command, cwd=COPY, env=os.environ | QUICK, check=False).returncode
    if code not in RAN:
        sys.exit(f"mutants: shard {shard} failed (cargo mutants ended with {code})")
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
    parser.add_argument("--shard", action="append", help="K/N: only this part; by default all four parts")
    parser.add_argument("files", nargs="*", help="only these; by default all of FILES")
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
    problems = [f"survived, and tests/MUTANTS.md does not explain it: {name}" for name in (missed - argued()).elements()]
    if not arguments.shard and not arguments.files:
        problems += [f"tests/MUTANTS.md explains a mutant that does not survive: {name}" for name in (argued() - missed).elements()]
        if percent < KILLED_PERCENT:
            problems.append(f"fewer than {KILLED_PERCENT} % were killed")
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

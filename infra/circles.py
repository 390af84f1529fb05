#!/usr/bin/env python3
"""Finds Rust modules that import each other, directly or through others: `infra/circles.py [FOLDER]` lists them.

A module may use what its parent declares, and a parent uses its children, so an import between the two does not count. Unit
tests at the end of a file do not count either.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

Module = tuple[str, ...]

TESTS = re.compile(r"#\[cfg\(test\)\]\s*mod tests\b.*", re.DOTALL)
COMMENT = re.compile(r"//[^\n]*")
USE = re.compile(r"\buse\s+([^;]+);")
FULL_PATH = re.compile(r"\bcrate(?:::\w+)+")
ALIAS = re.compile(r"\s+as\s+\w+$")


def main(arguments: list[str]) -> int:
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parent.parent / "src"
    sources = {str(file.relative_to(root)): file.read_text(encoding="utf-8") for file in root.rglob("*.rs")}
    found = circles(sources)
    for circle in found:
        print(", ".join("::".join(module) for module in circle))
    print(f"{len(found)} circles in {len(sources)} files")
    return 1 if found else 0


def circles(sources: dict[str, str]) -> list[list[Module]]:
    """Returns the groups of modules in which each reaches each other by imports. The sources are by path below `src`."""
    modules = {module_of(path): text for path, text in sources.items() if not path.startswith("bin/")}
    imports = {module: set(imported(module, text, modules.keys())) for module, text in modules.items()}
    reached = {module: reachable(module, imports) for module in imports}
    groups = {frozenset(other for other in reached[module] if module in reached[other]) for module in imports}
    return sorted(sorted(group) for group in groups if group)


def module_of(path: str) -> Module:
    parts = Path(path).with_suffix("").parts
    return parts[:-1] if parts[-1] in ("mod", "lib") else parts


def imported(module: Module, text: str, modules: Iterable[Module]) -> Iterator[Module]:
    """Returns the other modules that a module names, except for its parents and children."""
    known = set(modules)
    code = COMMENT.sub("", TESTS.sub("", text))
    paths = [path for tree in USE.findall(code) for path in paths_of(tree)]
    paths += [path.split("::") for path in FULL_PATH.findall(code)]
    for path in paths:
        full = absolute(module, path)
        for length in range(len(full), 0, -1):
            target = full[:length]
            if target in known:
                if target != module[: len(target)] and module != target[: len(module)]:
                    yield target
                break


def paths_of(tree: str) -> Iterator[list[str]]:
    """Returns each path of a `use` tree such as `a::{b, c::d}`."""
    depth, item = 0, ""
    for character in tree + ",":
        depth += {"{": 1, "}": -1}.get(character, 0)
        if character != "," or depth:
            item += character
            continue
        head, brace, rest = item.strip().partition("{")
        prefix = [part.strip() for part in head.split("::") if part.strip()]
        if brace:
            yield from (prefix + path for path in paths_of(rest.rstrip().removesuffix("}")))
        elif prefix:
            yield [*prefix[:-1], ALIAS.sub("", prefix[-1])]
        item = ""


def absolute(module: Module, path: list[str]) -> Module:
    """Returns a path from the crate's root. A path that starts with neither keyword is one below the module, or of another crate."""
    if path[0] == "crate":
        return tuple(path[1:])
    levels = 0
    while levels < len(path) and path[levels] == "super":
        levels += 1
    start = module[: len(module) - levels]
    return (*start, *(path[1:] if path[0] == "self" else path[levels:]))


def reachable(start: Module, imports: dict[Module, set[Module]]) -> set[Module]:
    """Returns what a module reaches by one import or more."""
    reached: set[Module] = set()
    left = list(imports[start])
    while left:
        module = left.pop()
        if module not in reached:
            reached.add(module)
            left.extend(imports[module])
    return reached


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

#!/usr/bin/env python3
"""Checks how the sources are written: `infra/style.py`; `make style` and `make validate` run it.

Rules:
  word      no word or phrase of DENIED in comments, documents, messages and names
  name      at most 60 characters in the name of a function or a test
  unit      a unit in the name of a Rust constant that is a time of an integer type
  file      at most 500 lines in a source file
  function  at most 60 lines in a function
  citation  every file, and every test, that a document names in backticks exists
  circle    no Rust modules import each other, directly or through others
  link      every file and heading to which a document links exists

Each finding has its file, line and fix.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import circles

ROOT = Path(__file__).resolve().parent.parent
MAX_NAME, MAX_FILE_LINES, MAX_FUNCTION_LINES = 60, 500, 60

# To extend the list: add a phrase in lower case, and what to write instead. A phrase is also found in identifiers, where it is
# broken over two lines, and where it starts with a capital or is in capitals. A hyphen at the end: any word with this part.
ACTOR = "name the actor: a deploy, a user, another run, the reaper, AWS"
DENIED = {
    "somebody": ACTOR,
    "whoever": ACTOR,
    "so many": "write the number, `n` or `at most n`",
    "meanwhile": "concurrently, in the meantime, since then",
    "of its own": "its own, separate, dedicated",
    "of ours": "our",
    "of theirs": "their",
    "all the same": "anyway, still",
    "carry on": "continue, resume",
    "took down": "recorded",
    "put right": "repaired, recovered",
    "became of": "the outcome of",
    "came of": "the result of",
    "come of": "result from",
    "comes of": "results from",
    "comes to": "results in, resolves to",
    "came to": "resulted in, resolved to",
    "is none": "is absent, is not a ..., has no ...",
    "anybody": ACTOR,
    "everybody": ACTOR,
    "once more": "again",
    "for good": "permanently",
    "goes on": "continues",
    "is through": "has completed",
    "put back": "restored",
    "take down": "record",
    "taken down": "recorded",
    "cut off": "interrupted, crashed, truncated",
    "says so": "reports it, requires it",
    "said so": "reported it",
    "behaviour-": "behavior",
    "catalogue-": "catalog",
    "colour-": "color",
    "favour-": "favor",
    "honour-": "honor",
    "neighbour-": "neighbor",
    "licence-": "license",
    "artefact-": "artifact",
    "centre-": "center",
    "defence-": "defense",
    "labell-": "labeled, labeling",
    "modell-": "modeled, modeling",
    "grey": "gray",
    "whilst": "while",
    "amongst": "among",
    **{
        f"{stem}is{ending}-": f"{stem}iz{ending}"
        for stem in (
            "author", "categor", "custom", "final", "general", "initial", "maxim", "minim", "normal", "optim", "organ",
            "parameter", "priorit", "random", "recogn", "serial", "special", "summar", "synchron", "util",
        )
        for ending in ("e", "ing", "ation")
    },
}  # fmt: skip

SOURCES = {".rs", ".py"}
TEXTS = SOURCES | {".md", ".sh", ".toml", ".yaml", ".in"}
NAMED_TEXTS = {"Makefile", "statemachine.asl.json", "accepted-findings.json", "chaos-wrapper", "telemetry-wrapper", "run"}
SKIPPED_FOLDERS = {".git", ".tools", "target", "__pycache__", "node_modules"}
# The name of a method in Rust, so not denied in identifiers.
NOT_IN_NAMES = {"is none"}
# Documents that may name what no longer exists.
HISTORY = {"CHANGELOG.md"}
# A setting of another tool, and a placeholder.
NOT_CITED = {
    "events/fault-NAME.json",
    # Settings and actions of other tools.
    "aws_access_key_id",
    "aws_assume_role_arn",
    "aws_profile_name",
    "aws_secret_access_key",
    "aws_session_token",
    "delete_event_source_mapping",
    "delete_function_concurrency",
    "put_function_concurrency",
    "put_function_memory_size",
    "put_function_timeout",
    "timeout_buffer_ms",
    "toggle_event_source_mapping_state",
}
# These two quote what they deny.
SKIPPED_FILES = {"infra/style.py", "infra/test_style.py"}

# Between two words of a phrase: a blank, or the end of a line and the beginning of the next one.
GAP = r"(?:[\s\\\"]|//[/!]?|#)+"
RUST_OPAQUE = re.compile(
    r"//[^\n]*|/\*.*?\*/|\bb?r(#*)\".*?\"\1|b?\"(?:\\.|[^\"\\])*\"|b?'(?:\\[^\n']+|[^\\'\n])'", re.DOTALL
)
RUST_FUNCTION = re.compile(
    r"^([ \t]*)(?:pub(?:\([^)\n]*\))?\s+)?(?:(?:const|async|unsafe|extern(?: +\"[^\"]*\")?)\s+)*fn\s+(\w+)", re.MULTILINE
)
ANY_FUNCTION = re.compile(r"\b(?:fn|def) (\w+)")
# A path, or a name with at least three words, which only tests have in documents.
CITED = re.compile(r"`(?:((?:src|tests|infra|events|docs|\.ci)/[\w./-]+)|([a-z][a-z0-9]*(?:_[a-z0-9]+){2,}))`")
LINK = re.compile(r"\]\((?!\w+:)([^)\s#]*)(?:#([^)\s]+))?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE_BLOCK = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
RUST_CONSTANT = re.compile(
    r"((?:^[ \t]*///[^\n]*\n)+)(?:^[ \t]*#\[[^\n]*\n)*^[ \t]*(?:pub(?:\([^)\n]*\))?\s+)?const (\w+): [iu](?:8|16|32|64|128|size)\b",
    re.MULTILINE,
)
TIME = re.compile(r"\b(?:milli)?seconds?\b|\bms\b|\b\d+ s\b", re.IGNORECASE)
UNIT = re.compile(r"(?:^|_)(?:S|MS|US|NS|SECS?|SECONDS?|MILLIS(?:ECONDS)?|MICROS|NANOS|MINUTES?|HOURS?|DAYS?)(?:_|$)")


@dataclass(frozen=True)
class Finding:
    rule: str
    file: str
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.rule}: {self.message}"


def main(arguments: list[str]) -> int:
    if arguments:
        print("usage: infra/style.py", file=sys.stderr)
        return 2
    found = list(findings(ROOT))
    for finding in found:
        print(finding)
    print(f"style: {len(found)} findings")
    return 1 if found else 0


# ------------------------------------------------------------------------------------------------------------ rules


def findings(root: Path) -> Iterator[Finding]:
    """Checks every file under `root`."""
    files = {str(file.relative_to(root)): file.read_text(encoding="utf-8") for file in texts(root)}
    for file, text in files.items():
        yield from check(file, text)
    yield from circles_of_imports(files)
    names = {match[1] for file, text in files.items() if Path(file).suffix in SOURCES for match in ANY_FUNCTION.finditer(text)}
    for file, text in files.items():
        if file.endswith(".md") and file not in HISTORY:
            yield from dead_citations(root, file, text, names)
            yield from dead_links(root, file, text)


def texts(root: Path) -> Iterator[Path]:
    """Returns the files to check, in order. It does not ask git, because a source archive has no repository."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = Path(folder) / name
            if path.suffix in TEXTS or name in NAMED_TEXTS:
                yield path


def check(file: str, text: str) -> Iterator[Finding]:
    """Checks one file."""
    if file not in SKIPPED_FILES:
        yield from denied_words(file, text)
    suffix = Path(file).suffix
    if suffix not in SOURCES:
        return
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        yield Finding("file", file, 1, f"{lines} lines, more than {MAX_FILE_LINES}; split it")
    for name, line, length in rust_functions(text) if suffix == ".rs" else python_functions(text):
        if len(name) > MAX_NAME:
            yield Finding("name", file, line, f"{name} has {len(name)} characters, more than {MAX_NAME}; shorten it")
        if length > MAX_FUNCTION_LINES:
            yield Finding("function", file, line, f"{name} has {length} lines, more than {MAX_FUNCTION_LINES}; split it")
    if suffix == ".rs":
        yield from constants_without_unit(file, text)


def pattern(phrase: str) -> re.Pattern[str]:
    """Returns the regular expression for a phrase of DENIED, in its three cases: `so many`, `So many`, `SO MANY`."""
    stem = phrase.removesuffix("-")
    gap = GAP if phrase in NOT_IN_NAMES else f"(?:_|{GAP})"
    cases = dict.fromkeys((stem, stem[0].upper() + stem[1:], stem.upper()))
    either = "|".join(gap.join(map(re.escape, case.split())) for case in cases)
    # A part of a word may be anywhere in it (`uninitialised`, `has_colour`), a whole word may not.
    return re.compile(f"(?:{either})" if phrase.endswith("-") else f"(?<![A-Za-z])(?:{either})(?![A-Za-z])")


# The last word of a phrase is rarer than the first. Searching for it first keeps the check fast.
PATTERNS = [(phrase.removesuffix("-").split()[-1], pattern(phrase), fix) for phrase, fix in DENIED.items()]


def denied_words(file: str, text: str) -> Iterator[Finding]:
    lines, lower = Lines(text), text.lower()
    for last_word, expression, fix in PATTERNS:
        if last_word in lower:
            for match in expression.finditer(text):
                said = " ".join(re.split(GAP, match[0]))
                yield Finding("word", file, lines.number(match.start()), f"`{said}`; write: {fix}")


def dead_citations(root: Path, file: str, text: str, names: set[str]) -> Iterator[Finding]:
    """Finds what a document names and what does not exist. `names` are the functions of all sources."""
    lines = Lines(text)
    for match in CITED.finditer(text):
        path, name = match[1], match[2]
        if path in NOT_CITED or name in NOT_CITED:
            continue
        if path and not (root / path).exists():
            yield Finding("citation", file, lines.number(match.start()), f"{path} does not exist; name the file that replaced it")
        if name and name not in names:
            yield Finding("citation", file, lines.number(match.start()), f"no test is called {name}; name the one that replaced it")


def dead_links(root: Path, file: str, text: str) -> Iterator[Finding]:
    """Finds links to files and headings that do not exist."""
    lines = Lines(text)
    for match in LINK.finditer(text):
        path, heading = match[1], match[2]
        target = (root / file).parent / path if path else root / file
        if not target.exists():
            yield Finding("link", file, lines.number(match.start()), f"{path} does not exist; link to what replaced it")
        elif heading and heading not in headings(target.read_text(encoding="utf-8")):
            yield Finding("link", file, lines.number(match.start()), f"no heading #{heading}; link to the one that replaced it")


def circles_of_imports(files: dict[str, str]) -> Iterator[Finding]:
    sources = {file.removeprefix("src/"): text for file, text in files.items() if re.fullmatch(r"src/.*\.rs", file)}
    for circle in circles.circles(sources):
        named = ", ".join("::".join(module) for module in circle)
        yield Finding("circle", f"src/{'/'.join(circle[0])}", 1, f"{named} import each other; move what they share to another module")


def headings(text: str) -> set[str]:
    """Returns the headings of a document, as GitHub spells them in links."""
    titles = HEADING.findall(CODE_BLOCK.sub("", text))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def constants_without_unit(file: str, text: str) -> Iterator[Finding]:
    lines = Lines(text)
    for match in RUST_CONSTANT.finditer(text):
        if TIME.search(match[1]) and not UNIT.search(match[2]):
            message = f"{match[2]} is a time without a unit in its name; append _S or _MS, or make it a Duration"
            yield Finding("unit", file, lines.number(match.start(2)), message)


def python_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Returns name, line and length of each function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno is not None
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def rust_functions(text: str) -> Iterator[tuple[str, int, int]]:
    """Returns name, line and length of each function. It relies on the indentation that rustfmt keeps."""
    code = without_literals(text)
    lines, starts = code.split("\n"), Lines(code)
    for match in RUST_FUNCTION.finditer(code):
        line = starts.number(match.start(2))
        end = line - 1
        while end < len(lines) and not lines[end].rstrip().endswith(("{", ";", "}")):
            end += 1
        if end < len(lines) and lines[end].rstrip().endswith("{"):
            closing = match[1] + "}"
            while end < len(lines) and lines[end].rstrip(" ;,)") != closing:
                end += 1
        yield match[2], line, end - line + 2


def without_literals(text: str) -> str:
    """Empties comments, strings and characters of Rust; lines keep their numbers."""
    return RUST_OPAQUE.sub(lambda match: "\n" * match[0].count("\n"), text)


class Lines:
    """Finds the line of a position in a text."""

    def __init__(self, text: str) -> None:
        self.ends = [match.start() for match in re.finditer("\n", text)]

    def number(self, position: int) -> int:
        return bisect_right(self.ends, position - 1) + 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

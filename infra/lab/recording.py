#!/usr/bin/env python3
"""Draws the terminal output of the lab as a picture: `infra/lab/recording.py TYPESCRIPT`. `make recording` records and draws it.

The picture has the whole first demo, and the headings and outcomes of the rest.
"""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path

CODE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")
COLORS = {"31": "#f47067", "32": "#57ab5a", "33": "#c69026", "34": "#539bf5", "35": "#b083f0", "36": "#39c5cf", "2": "#768390"}
PLAIN, BACKGROUND = "#adbac7", "#1c2128"
# What the demos after the first one show of their outcome.
OUTCOME = re.compile(
    r"function .*(during|released|after): |run \S+: (ended|changed|deviated|steady|no|NOT) |fields(, |$)|restored exactly: |metrics |requests: |traffic +(answered|before|during|after) |the deadline$|deployed: | drift "
)
LINE, CHARACTER, MARGIN = 17, 7.8, 14
WIDTH = 132


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with Path(arguments[0]).open(newline="") as typescript:
        lines = [final(line) for line in typescript.read().split("\n")]
    print(picture([spans(line) for line in chosen(lines)]))
    return 0


def final(line: str) -> str:
    """Returns the text of a line after everything that was written over it."""
    return line.rstrip("\r").rsplit("\r", 1)[-1].replace("\x1b[2K", "").replace("\x1b[K", "")


def plain(line: str) -> str:
    return CODE.sub("", line)


def chosen(lines: list[str]) -> list[str]:
    """Selects the whole first demo, and the headings and outcomes of the rest."""
    kept: list[str] = []
    demo = 0
    for line in lines:
        text = plain(line)
        if text.startswith(("Script ", "$ ", "make", "python")) or ".tools/" in text and "install" in text:
            continue
        if text.startswith("demo "):
            demo += 1
        telling = text.startswith(("demo ", "every field", "The lab took"))
        outcome = OUTCOME.search(text)
        if demo == 1 or demo == 0 and text or telling or outcome:
            if telling and kept and plain(kept[-1]):
                kept.append("")
            kept.append(line)
    return kept


def spans(line: str) -> list[tuple[str, str, bool]]:
    """Splits a line into pieces: text, color, bold. A line that is too wide is cut, and ends with an ellipsis."""
    pieces: list[tuple[str, str, bool]] = []
    color, bold, at, left = PLAIN, False, 0, WIDTH
    for code in [*CODE.finditer(line), None]:
        text = line[at : code.start() if code else len(line)]
        if len(text) > left:
            text = text[: left - 1] + "…" if left else ""
        left -= len(text)
        if text:
            pieces.append((text, color, bold))
        if code is None:
            break
        at = code.end()
        for number in (code.group(1) or "0").split(";"):
            if number in ("0", ""):
                color, bold = PLAIN, False
            elif number == "1":
                bold = True
            else:
                color = COLORS.get(number, color)
    return pieces


def picture(lines: list[list[tuple[str, str, bool]]]) -> str:
    width = int(WIDTH * CHARACTER + 2 * MARGIN)
    height = LINE * len(lines) + 2 * MARGIN
    rows = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'font-family="ui-monospace,Menlo,Consolas,monospace" font-size="13">',
        # Browsers collapse blanks in each text, unless its own style says otherwise.
        "<style>text { white-space: pre }</style>",
        f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
    ]
    for number, pieces in enumerate(lines):
        inner = "".join(
            f'<tspan fill="{color}"{" font-weight=" + chr(34) + "bold" + chr(34) if bold else ""}>{escape(text)}</tspan>'
            for text, color, bold in pieces
        )
        if inner:
            rows.append(f'<text x="{MARGIN}" y="{MARGIN + LINE * (number + 1) - 5}">{inner}</text>')
    return "\n".join([*rows, "</svg>"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

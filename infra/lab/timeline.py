"""Prints the lab's output: a line per event; on a terminal also colors, and a last line that is updated in place.

Without a terminal: plain lines only. With NO_COLOR set (https://no-color.org), no colors.
"""

from __future__ import annotations

import io
import os
import shutil
import sys
import threading
import time
from typing import TextIO

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}
SOURCES = {"lab": "dim", "snapback": "cyan", "traffic": "blue", "alarm": "yellow", "function": "green", "metrics": "yellow"}
ERASE_LINE = "\r\x1b[2K"


class Timeline:
    """Lines with the time since the start and their source; safe to use from several threads."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stdout
        self.is_live = self.stream.isatty() and os.environ.get("TERM") != "dumb"
        # By the standard, an empty value does not count.
        self.has_color = self.is_live and not os.environ.get("NO_COLOR")
        self.started = time.monotonic()
        self.live_line = ""
        self.lock = threading.Lock()
        # A terminal that cannot show a character gets a question mark.
        if hasattr(self.stream, "reconfigure"):
            self.stream.reconfigure(errors="replace")

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def title(self, text: str) -> None:
        self.write(f"\n{self.styled(text, 'bold')}")

    def line(self, source: str, text: str, style: str = "") -> None:
        """Prints an event of this moment."""
        when = self.styled(f"{self.elapsed():5.1f}s", "dim")
        who = self.styled(f"{source:<9}", SOURCES.get(source, ""))
        self.write(f"{when}  {who} {self.styled(text, style)}")

    def plain(self, text: str, style: str = "") -> None:
        self.write(self.styled(text, style))

    def live(self, text: str) -> None:
        """Updates the last line, which the next event overwrites. Does nothing without a terminal."""
        if not self.is_live:
            return
        width = shutil.get_terminal_size().columns - 1
        with self.lock:
            self.live_line = f"{self.elapsed():5.1f}s  {text}"[:width]
            self.draw()

    def clear_live(self) -> None:
        """Removes the line that is updated in place."""
        with self.lock:
            self.live_line = ""
            self.draw()

    def write(self, text: str) -> None:
        with self.lock:
            if self.is_live:
                self.stream.write(ERASE_LINE)
            self.stream.write(text + "\n")
            self.draw()

    def draw(self) -> None:
        if self.is_live:
            self.stream.write(ERASE_LINE + self.styled(self.live_line, "dim"))
        self.stream.flush()

    def styled(self, text: str, style: str) -> str:
        if not (self.has_color and style and text):
            return text
        return f"\x1b[{STYLES[style]}m{text}\x1b[0m"


class Later(Timeline):
    """Keeps its lines until they are shown, for what runs beside something else. Their times are those of the events."""

    def __init__(self, shown: Timeline) -> None:
        super().__init__(io.StringIO())
        self.shown = shown
        self.started = shown.started
        self.has_color = shown.has_color

    def show(self) -> None:
        assert isinstance(self.stream, io.StringIO)
        self.shown.write(self.stream.getvalue().rstrip("\n"))

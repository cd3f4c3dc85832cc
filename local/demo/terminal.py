"""What the demonstration writes to: plain lines, or colours and a moving status line."""

import itertools
import shutil
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from typing import TextIO

WIDTH = 100
"""No line is longer."""

_TICK_SECONDS = 0.1


class Style(StrEnum):
    """How a piece of text looks, as parameters of ANSI's Select Graphic Rendition."""

    TITLE = "1"
    GOOD = "32"
    BAD = "1;31"
    QUIET = "2"


class Terminal:
    """Writes lines, from any thread.

    Args:
        stream: Where to; a person looks on if it is a terminal.
        environment: `NO_COLOR` (https://no-color.org) and `TERM=dumb` are honoured.
    """

    def __init__(self, stream: TextIO, environment: Mapping[str, str]) -> None:
        self._stream = stream
        capable = stream.isatty() and environment.get("TERM") != "dumb"
        self._colours = capable and not environment.get("NO_COLOR")
        self._moves = capable
        self._lock = threading.Lock()
        self._status = ""
        self.good, self.bad, self.dot, frames = _signs(stream)
        self._frames = itertools.cycle(frames)

    def styled(self, text: str, style: Style) -> str:
        """Return the text as it is to look."""
        return f"\x1b[{style}m{text}\x1b[0m" if self._colours and text else text

    def title(self, text: str) -> None:
        """Write a heading, with an empty line before it."""
        self.line()
        self.line(self.styled(text, Style.TITLE))

    def claim(self, text: str, *, held: bool) -> None:
        """Write what must hold, and whether it did."""
        mark = self.styled(self.good, Style.GOOD) if held else self.styled(self.bad, Style.BAD)
        for line in textwrap.wrap(text, WIDTH - 4):
            self.line(f"  {mark} {line if held else self.styled(line, Style.BAD)}")
            mark = " "

    def quiet(self, text: str) -> None:
        """Write a line of less importance."""
        self.line(self.styled(text, Style.QUIET))

    def line(self, text: str = "") -> None:
        """Write a line, above the status line if there is one."""
        with self._lock:
            self._erase()
            self._stream.write(f"{text}\n")
            self._draw()
            self._stream.flush()

    @contextmanager
    def status(self, text: str) -> Iterator[None]:
        """Show what is going on, and for how long, until it is over; nothing off a terminal."""
        if not self._moves:
            yield
            return
        over = threading.Event()
        began = time.monotonic()

        def tick() -> None:
            while True:
                with self._lock:
                    self._erase()
                    self._status = f"  {next(self._frames)} {text} {time.monotonic() - began:.0f} s"
                    self._draw()
                    self._stream.flush()
                if over.wait(_TICK_SECONDS):
                    return

        ticking = threading.Thread(target=tick, daemon=True)
        ticking.start()
        try:
            yield
        finally:
            over.set()
            ticking.join()
            with self._lock:
                self._erase()
                self._status = ""
                self._stream.flush()

    def _erase(self) -> None:
        if self._status:
            self._stream.write("\r\x1b[K")

    def _draw(self) -> None:
        if self._status:
            columns = shutil.get_terminal_size((WIDTH, 24)).columns
            self._stream.write(self._status[: columns - 1])


def _signs(stream: TextIO) -> tuple[str, str, str, str]:
    """Return the signs that the stream can write: good, bad, dot, frames of a spinner."""
    signs = ("✓", "✗", "·", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
    try:
        "".join(signs).encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return "+", "!", "-", "|/-\\"
    return signs

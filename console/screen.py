"""What a person sees, or a program reads.

Text from outside (names, tags, log lines) never steers a terminal: whatever one would obey is
written out, and nothing is read as markup. Standard output has the result alone, so that it can be
piped on; progress goes to standard error, and only to a terminal.
"""

import json
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import datetime
from typing import TextIO, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from console.outcome import Exit, Stop

UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
"""Unicode's categories of what steers a terminal, reorders a line, or cannot be seen."""
FAR = 100_000
"""Characters in a line that goes to no terminal: nothing is wrapped or cut there."""
WORKERS = 12
"""Requests under way at the same time."""

STYLES: Mapping[Exit, str] = {
    Exit.WELL: "green",
    Exit.FAILURE: "bold red",
    Exit.WARNINGS: "yellow",
    Exit.USAGE: "bold red",
    Exit.BLIND: "magenta",
}

Item = TypeVar("Item")
Result = TypeVar("Result")


def plain(text: object) -> str:
    r"""Return a text with all that a terminal would obey written out, as ``\x1b``."""
    return "".join(
        character
        if unicodedata.category(character) not in UNPRINTABLE
        else character.encode("unicode_escape", "surrogatepass").decode()
        for character in str(text)
    )


def counted(secrets: int) -> str:
    """Say how many secrets."""
    return f"{secrets} secret{'' if secrets == 1 else 's'}"


class Screen:
    """Says what a command has to say.

    Args:
        as_json: One JSON document on standard output, and nothing else.
        quiet: The verdict, and nothing else.
        out: Where results go; standard output when None.
        err: Where questions, progress and errors go; standard error when None.
    """

    def __init__(
        self,
        *,
        as_json: bool = False,
        quiet: bool = False,
        out: TextIO | None = None,
        err: TextIO | None = None,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self._out = _console(out or sys.stdout)
        self._err = _console(err or sys.stderr)
        self._told: dict[str, object] = {}

    @property
    def is_silent(self) -> bool:
        """Whether only a result is wanted."""
        return self.as_json or self.quiet

    @property
    def asks(self) -> bool:
        """Whether somebody is there to answer a question."""
        return sys.stdin is not None and sys.stdin.isatty()

    def say(self, text: str = "", style: str = "") -> None:
        """Say one line."""
        if not self.is_silent:
            self._out.print(Text(plain(text), style=style), soft_wrap=True)

    def table(self, head: Sequence[str], rows: Iterable[Sequence[object]], last: str = "") -> None:
        """Show a table.

        Args:
            head: The columns' names; a column that is empty in all rows is left out.
            rows: Cells, and as the last one, beyond the columns, a style.
            last: The one column that may be folded; the others stay whole.
        """
        told = [[plain(cell) for cell in row] for row in rows]
        kept = [index for index, _ in enumerate(head) if any(row[index] for row in told)]
        if self.is_silent or not told:
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for index in kept:
            folds = head[index] == last
            table.add_column(head[index], no_wrap=not folds, overflow="fold", min_width=20 * folds)
        for row in told:
            style = row[len(head)] if len(row) > len(head) else ""
            table.add_row(*(Text(row[index]) for index in kept), style=style)
        with self._out.capture() as capture:
            self._out.print(table)
        for line in capture.get().splitlines():
            self._out.out(line.rstrip(), highlight=False)

    def tell(self, **facts: object) -> None:
        """Put something into the JSON document."""
        self._told |= facts

    def text(self, written: str) -> None:
        """Write a text as it is, such as CSV, whose cells were made safe."""
        if not self.quiet:
            self._out.out(written, end="", highlight=False)

    def verdict(self, status: Exit, text: str) -> Exit:
        """Say the one line that sums everything up; give the status back."""
        if self.as_json:
            document = {**self._told, "verdict": text, "status": int(status)}
            # Escaped: in JSON, too, what a terminal would obey is written out.
            self._out.out(json.dumps(document, indent=2, default=_as_json), highlight=False)
        else:
            self._out.print(Text(plain(text), style=STYLES[status]), soft_wrap=True)
        return status

    def stopped(self, stop: Stop) -> Exit:
        """Say why a command has ended early."""
        if self.as_json:
            return self.verdict(stop.status, stop.message)
        self._err.print(Text(plain(stop.message), style=STYLES[stop.status]), soft_wrap=True)
        return stop.status

    def confirmed(self, question: str, *, yes: bool) -> bool:
        """Ask, unless the answer was given beforehand.

        Raises:
            Stop: Nobody is there to answer.
        """
        if yes:
            return True
        if not self.asks or self.as_json:
            raise Stop(f"{question} Nobody is there to say so: add --yes.")
        self._err.print(Text(f"{plain(question)} [y/N] "), end="")
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def each(
        self,
        what: str,
        items: Sequence[Item],
        work: Callable[[Item], Result],
        *,
        workers: int = WORKERS,
    ) -> Iterator[tuple[Item, Result]]:
        """Do something for each item, several at a time, and show how far it is.

        Yields:
            Each item with its result, as they come in.
        """
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        hidden = self.is_silent or not self._err.is_terminal
        with (
            ThreadPoolExecutor(workers) as pool,
            Progress(*columns, console=self._err, transient=True, disable=hidden) as progress,
        ):
            task = progress.add_task(what, total=len(items))
            under_way = {pool.submit(work, item): item for item in items}
            try:
                for done in as_completed(under_way):
                    progress.advance(task)
                    yield under_way[done], done.result()
            except BaseException:
                # Ctrl-C: what was begun ends, nothing more begins.
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def clear(self) -> None:
        """Begin on an empty screen, where there is one."""
        if self._out.is_terminal and not self.is_silent:
            self._out.clear()


def _console(file: TextIO) -> Console:
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = FAR
    return console


def _as_json(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)

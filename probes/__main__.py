"""Asks a live account: ``python -m probes [--yes] [--probe P1 …]``; ``make verify-live``.

Exit status: 0 every question has its answer, and nothing is left; 1 some have none; 2 something
could not be removed, and the report says what; 3 it was not begun; 130 after Ctrl-C.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from types import FrameType, ModuleType
from typing import Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from probes import keys, labels, messages, rotations
from probes.account import KEY_DAYS, PREFIX, Account
from probes.report import page

FOLDER: Final = Path(__file__).parent.parent / "build" / "verify-live"
PROBES: Final[Mapping[str, ModuleType]] = {
    "P1": labels,
    "P2": messages,
    "P3": rotations,
    "P4": keys,
}
ANSWERED, UNANSWERED, LEFT, NOT_BEGUN, INTERRUPTED = 0, 1, 2, 3, 130


class Run:
    """Answers and what went wrong, of the probes that are run one after the other."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.answers: dict[str, str] = {}
        self.notes: list[str] = []
        self.left: list[str] = []
        self.interrupted = False

    def carry_out(self, name: str, probe: Callable[[Account], Iterable[tuple[str, str]]]) -> None:
        """Run one probe, and remove what it made whatever happens."""
        try:
            for question, answer in probe(self._account):
                self.answers[question] = answer
                print(f"{question}: {answer}", flush=True)
        except KeyboardInterrupt:
            self.interrupted = True
            self.notes.append(f"{name} was interrupted.")
        except (ClientError, BotoCoreError, RuntimeError, LookupError) as error:
            self.notes.append(f"{name} stopped: {type(error).__name__}: {error}")
        finally:
            # From here on Ctrl-C waits: what is there must go.
            with _undisturbed():
                self.left = self._account.remove()


class _undisturbed:  # noqa: N801 (read as a statement)
    """Signals that end a program are put off; a second Ctrl-C must not leave things behind."""

    def __enter__(self) -> None:
        self._before = {one: signal.signal(one, _say) for one in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *_error: object) -> None:
        for one, handler in self._before.items():
            signal.signal(one, handler)


def _say(_signal: int, _frame: FrameType | None) -> None:
    print("Removing what was made; this takes some seconds more.", flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Ask, and return the exit status."""
    options = _options(arguments)
    session = boto3.Session()
    run = options.remove.stem if options.remove else token_hex(4)
    journal = options.remove or options.folder / f"{run}.left"
    account = Account(session, run, journal, pace=options.pace)
    if options.remove:
        left = account.remove()
        print("\n".join(left) or "Nothing is left.")
        return LEFT if left else ANSWERED
    try:
        caller = account.ask("sts", "get_caller_identity")
    except (ClientError, BotoCoreError) as error:
        print(f"No account: {error} Try: aws sts get-caller-identity", file=sys.stderr)
        return NOT_BEGUN
    where = f"Region {session.region_name}" + _endpoint()
    print(
        f"Account {caller['Account']}, {where}, as {caller['Arn']}.\n{announcement(options.probe)}"
    )
    if not options.yes and not _agreed():
        print("Nothing was made.")
        return NOT_BEGUN
    signal.signal(signal.SIGTERM, _interrupt)
    began = datetime.now(UTC)
    done = Run(account)
    for name in options.probe:
        done.carry_out(name, _bound(name, options))
        if done.interrupted or done.left:
            break
    questions = {
        key: text for name in options.probe for key, text in PROBES[name].QUESTIONS.items()
    }
    notes = done.notes + [f"Not removed: {one}" for one in done.left]
    if done.left:
        notes.append(f"Try again: .venv/bin/python -m probes --remove {journal}")
    options.folder.mkdir(parents=True, exist_ok=True)
    report = options.folder / f"{began:%Y-%m-%d-%H%M%S}-{session.region_name}-{run}.md"
    report.write_text(page(questions, done.answers, notes, where=where, when=began))
    print("\n".join([*notes, f"Report: {report}"]))
    if done.left:
        return LEFT
    if done.interrupted:
        return INTERRUPTED
    return ANSWERED if questions.keys() <= done.answers.keys() else UNANSWERED


def _agreed() -> bool:
    try:
        return input("Go on? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        return False


def announcement(names: Sequence[str]) -> str:
    """Return what will be made, what it costs, and what becomes of it."""
    return "\n".join(
        [
            "This makes, under names that begin with " + PREFIX + ", one probe after the other:",
            *(f"  {name}: {PROBES[name].COSTS}" for name in names),
            "Costs are list prices as remembered, below one dollar in all. Everything is removed",
            f"at the end, also after Ctrl-C; a key's deletion takes {KEY_DAYS} days, for nothing.",
            "Nothing else is touched. No database is needed.",
        ]
    )


def _bound(
    name: str, options: argparse.Namespace
) -> Callable[[Account], Iterator[tuple[str, str]]]:
    def probe(account: Account) -> Iterator[tuple[str, str]]:
        more = {"watch_minutes": options.watch_minutes} if name == "P3" else {}
        found: Iterator[tuple[str, str]] = PROBES[name].probe(account, **more)
        return found

    return probe


def _endpoint() -> str:
    url = os.environ.get("AWS_ENDPOINT_URL")
    return f" of {url}, which is not AWS" if url else ""


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m probes", description=__doc__)
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument("--probe", action="append", choices=PROBES, help="this one; repeatable")
    parser.add_argument(
        "--watch-minutes", type=float, default=10, help="how long P3 watches retries; 1440 is a day"
    )
    parser.add_argument("--remove", type=Path, help="remove what this journal of a run names")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the report goes")
    parser.add_argument("--pace", type=float, default=1.0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.probe = sorted(set(options.probe or PROBES))
    return options


if __name__ == "__main__":
    sys.exit(main())

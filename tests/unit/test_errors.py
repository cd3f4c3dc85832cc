"""The error tree, and what it tells people to do."""

import inspect
import re

import pytest

from shared import errors
from shared.errors import Remedy, RotationError

CLASSES = [
    found
    for _, found in inspect.getmembers(errors, inspect.isclass)
    if issubclass(found, RotationError) and found.__module__ == errors.__name__
]
DRAWING = (errors.__doc__ or "").split("::", 1)[1].split("A message never")[0]
FRAME = "│├└─ "


def drawn() -> dict[str, str]:
    """Read the drawing: class to the class that it hangs on."""
    parents: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in DRAWING.splitlines():
        start = len(line) - len(line.lstrip(FRAME))
        words = line[start:].rstrip()
        if not words:
            continue
        while above and above[-1][0] >= start:
            above.pop()
        # Several names in a line, with nothing but spaces between, are leaves side by side.
        names = words.split() if re.fullmatch(r"([A-Z]\w+\s*)+", words) else words.split()[:1]
        for name in names:
            if above:
                parents[name] = above[-1][1]
        above.append((start, names[0]))
    return parents


def test_every_class_is_drawn_where_it_hangs() -> None:
    """The drawing in the module's docstring shows the tree as it is."""
    assert drawn() == {
        found.__name__: found.__bases__[0].__name__
        for found in CLASSES
        if found is not RotationError
    }


LEAVES = [found for found in CLASSES if not found.__subclasses__()]


@pytest.mark.parametrize("kind", LEAVES)
def test_every_leaf_tells_what_to_do(kind: type[RotationError]) -> None:
    """Each error that can be raised has a hint of its own, a sentence that begins with a verb."""
    assert "hint" in vars(kind)
    assert re.match(r"[A-Z][a-z]+ ", kind.hint)
    assert kind.hint.endswith(".")
    assert len(kind.hint) > 30
    assert kind.__doc__


def test_hints_differ() -> None:
    """No two errors give the same advice, but for those that are mended by one command."""
    hints = [kind.hint for kind in LEAVES]
    assert len(set(hints)) == len(hints)


def test_message_and_hint_are_shown_together() -> None:
    """The text is the message and the advice; a hint of the moment takes the class's place."""
    assert str(errors.WrongEngine("It is wrong.")) == f"It is wrong. {errors.WrongEngine.hint}"
    assert str(errors.WrongEngine("It is wrong.", hint="Do this.")) == "It is wrong. Do this."
    assert errors.WrongEngine("It is wrong.").message == "It is wrong."


def test_only_some_errors_prove_a_password() -> None:
    """A database error proves nothing unless it says so."""
    assert not errors.ServerBusy("Busy.").proves_password
    assert errors.ServerBusy("Busy.", proves_password=True).proves_password


def test_only_what_passes_by_itself_is_worth_a_retry() -> None:
    """What waits for time is cured by a retry, what waits for a DBA's or a developer's hand is not.

    In between is what may be either: an old answer, a network, a refused login, an unknown error of
    the server.
    """
    waiting = {kind for kind in LEAVES if kind.remedy is Remedy.WAIT}
    assert {kind for kind in waiting if not kind.retry_cures} == {
        errors.AttemptOutdated,
        errors.CurrentChanged,
        errors.IdleUserInUse,
    }
    cured = {kind for kind in LEAVES if kind.retry_cures} - waiting
    assert cured == {
        errors.UnknownVersion,
        errors.VersionNotPending,
        errors.LoginRefused,
        errors.NameNotResolved,
        errors.StatementFailed,
    }


def test_every_remedy_is_somebodys() -> None:
    """No remedy, and so no alarm, stands for nothing."""
    assert {kind.remedy for kind in LEAVES} == set(Remedy)


def test_applications_out_of_the_database_are_urgent() -> None:
    """The errors after which applications may be unable to log in have the urgent remedy."""
    urgent = {kind for kind in LEAVES if kind.remedy is Remedy.LOCKED_OUT}
    assert urgent == {errors.NoLoginWorks, errors.ProofFailed}

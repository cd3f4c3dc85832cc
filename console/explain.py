"""`rotation explain`: what a code means and what to do, from the registry and the errors."""

import difflib
import inspect
import re

from console.condition import kind_of
from console.outcome import Exit, Misused
from console.screen import Screen
from shared import errors
from shared.errors import RotationError
from shared.examination.code import Code
from shared.examination.finding import Level
from shared.examination.registry import CODES, FAILS, FAILS_AND_IS_REPEATED, RETIRED


def explain(screen: Screen, name: str) -> Exit:
    """Say what a code means.

    Raises:
        Misused: There is no such code.
    """
    code = find(name)
    retired = code in RETIRED
    screen.tell(
        code=code.name, level=code.level, title=code.title, meaning=code.meaning, do=code.do
    )
    screen.say(f"{code.name}: {code.title}.", "bold")
    screen.say(f"  What it does:  {code.meaning}")
    screen.say(f"  What to do:    {code.do}")
    screen.say(f"  Found by:      {'nobody any more' if retired else f'the {code.examiner}'}")
    return screen.verdict(Exit.WELL, f"{code.name} is a {code.level}.")


def find(name: str) -> Code:
    """Return a code of the registry, or one made of an error that no examination foresees.

    Raises:
        Misused: There is no such code.
    """
    known = {each.lower(): each for each in (*CODES, *_causes())}
    exact = known.get(name.lower())
    if exact is None:
        near = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0)
        raise Misused(f"There is no code {name}; did you mean {known[near[0]]}?")
    return CODES.get(exact) or _of_error(exact)


def codes(incomplete: str) -> list[str]:
    """Return the codes that begin so, for completion."""
    return [each for each in (*CODES, *_causes()) if each.lower().startswith(incomplete.lower())]


def _causes() -> list[str]:
    """Return the names of all errors that a log may name."""
    return [
        name
        for name, each in vars(errors).items()
        if inspect.isclass(each) and issubclass(each, RotationError) and not each.__subclasses__()
    ]


def _of_error(name: str) -> Code:
    kind = kind_of(name)
    if kind is None:
        raise Misused(f"There is no code {name}.")
    title = re.split(r"\n\n", inspect.getdoc(kind) or "")[0]
    meaning = FAILS_AND_IS_REPEATED if kind.retry_cures else FAILS
    return Code(name, Level.FAILURE, " ".join(title.split()).removesuffix("."), meaning, kind.hint)

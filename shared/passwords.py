"""Which passwords are generated, and how.

They are drawn in the function with :mod:`secrets`, the operating system's generator: a call to
GetRandomPassword would cost a request and an IAM right and give the same. The environment variables
are the ones that AWS's rotation functions have, so an operator's settings go on to hold. A secret's
tags may ask for more than the function's variables do, never for less.
"""

import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Self

from shared.errors import BadSetting
from shared.options import Options, Tag, Variable

DEFAULT_LENGTH = 32
SHORTEST = 8
"""Shorter ones no server with a password policy takes, and can be guessed."""
LONGEST = 4096
"""What GetRandomPassword allows; an engine's own limit (its profile) is usually lower."""

DEFAULT_EXCLUDED = "/@\"'\\"
"""Characters that break connection URIs, shells and .pgpass files; also what AWS's functions
exclude unless told otherwise."""

CLASSES: dict[Variable, str] = {
    Variable.EXCLUDE_NUMBERS: string.digits,
    Variable.EXCLUDE_PUNCTUATION: string.punctuation,
    Variable.EXCLUDE_UPPERCASE: string.ascii_uppercase,
    Variable.EXCLUDE_LOWERCASE: string.ascii_lowercase,
}
"""Character classes by the variable that excludes them."""

ENOUGH = 2**80
"""So many possible passwords nobody tries out; a tag may not leave fewer (unless the function's own
policy does)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What an engine can take as a password.

    Attributes:
        longest: In characters.
        forbidden: Characters that the engine or its clients cannot take.
    """

    longest: int = LONGEST
    forbidden: str = ""


@dataclass(frozen=True, slots=True)
class PasswordPolicy:
    """What generated passwords look like.

    Attributes:
        length: In characters.
        longest: What the engine takes.
        classes: The allowed characters of each class that is not excluded; none is empty.
        require_each: Whether at least one character of each class must occur.
    """

    length: int
    longest: int
    classes: tuple[str, ...]
    require_each: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], profile: Profile) -> Self:
        """Read PASSWORD_LENGTH, EXCLUDE_* and REQUIRE_EACH_INCLUDED_TYPE.

        Raises:
            BadSetting: A variable has an impossible value, or nothing is left to draw from.
        """
        options = Options(environment)
        length = options.number(
            Variable.PASSWORD_LENGTH, range(SHORTEST, profile.longest + 1), " for this engine"
        )
        # Empty means that none is excluded: unlike other variables, this one has a use for it.
        excluded = environment.get(Variable.EXCLUDE_CHARACTERS, DEFAULT_EXCLUDED)
        classes = _without(
            excluded + profile.forbidden,
            (allowed for variable, allowed in CLASSES.items() if not options.flag(variable)),
        )
        if not classes:
            msg = "EXCLUDE_CHARACTERS and the other EXCLUDE_* variables leave no character."
            raise BadSetting(msg)
        return cls(
            length=length or min(DEFAULT_LENGTH, profile.longest),
            longest=profile.longest,
            classes=classes,
            require_each=options.flag(Variable.REQUIRE_EACH) is not False,
        )

    def tightened(self, tags: Options) -> Self:
        """Return the policy for a secret whose tags ask for longer passwords or fewer characters.

        Raises:
            BadSetting: They ask for shorter ones than the function's, for longer ones than the
                engine takes, or leave too few characters.
        """
        length = tags.number(
            Tag.PASSWORD_LENGTH,
            range(self.length, self.longest + 1),
            ", from the function's own length to the longest that the engine takes",
        )
        classes = _without(tags.text(Tag.EXCLUDE_CHARACTERS), self.classes)
        found = replace(self, length=length or self.length, classes=classes)
        if found.possible() < min(self.possible(), ENOUGH):
            left = len("".join(classes))
            raise tags.bad_value(
                Tag.EXCLUDE_CHARACTERS,
                f"less: it leaves {left} characters, too few for passwords of {found.length}",
            )
        return found

    def possible(self) -> int:
        """Return how many passwords there are, those that lack a class counted in."""
        possible: int = len("".join(self.classes)) ** self.length
        return possible

    def generate(self) -> str:
        """Return a new password; every one that the policy allows is equally likely.

        Drawing anew until each class occurs keeps that so; putting a character of each class in
        place first would not.
        """
        alphabet = "".join(self.classes)
        while True:
            password = "".join(secrets.choice(alphabet) for _ in range(self.length))
            if not self.require_each or all(
                any(c in characters for c in password) for characters in self.classes
            ):
                return password


def _without(excluded: str, classes: Iterable[str]) -> tuple[str, ...]:
    left = ("".join(c for c in characters if c not in excluded) for characters in classes)
    return tuple(characters for characters in left if characters)

"""Which passwords are generated, and how.

They are drawn in the function with :mod:`secrets`, the operating system's generator: a call to
GetRandomPassword would cost a request and an IAM right and give the same. The environment variables
are the ones that AWS's rotation functions have, so an operator's settings go on to hold.
"""

import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from shared.errors import BadSetting

DEFAULT_LENGTH = 32
SHORTEST = 8
"""Shorter ones no server with a password policy takes, and can be guessed."""
LONGEST = 4096
"""What GetRandomPassword allows; an engine's own limit (its profile) is usually lower."""

DEFAULT_EXCLUDED = "/@\"'\\"
"""Characters that break connection URIs, shells and .pgpass files; also what AWS's functions
exclude unless told otherwise."""

CLASSES: dict[str, str] = {
    "NUMBERS": string.digits,
    "PUNCTUATION": string.punctuation,
    "UPPERCASE": string.ascii_uppercase,
    "LOWERCASE": string.ascii_lowercase,
}
"""Character classes by the word that ends their variable: EXCLUDE_NUMBERS and so on."""

TRUE_WORDS = frozenset({"true", "1", "yes"})
FALSE_WORDS = frozenset({"false", "0", "no", ""})


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
        classes: The allowed characters of each class that is not excluded; none is empty.
        require_each: Whether at least one character of each class must occur.
    """

    length: int
    classes: tuple[str, ...]
    require_each: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], profile: Profile) -> Self:
        """Read PASSWORD_LENGTH, EXCLUDE_* and REQUIRE_EACH_INCLUDED_TYPE.

        Raises:
            BadSetting: A variable has an impossible value, or nothing is left to draw from.
        """
        length = _length(environment.get("PASSWORD_LENGTH", ""), profile)
        excluded = environment.get("EXCLUDE_CHARACTERS", DEFAULT_EXCLUDED) + profile.forbidden
        classes = tuple(
            allowed
            for word, characters in CLASSES.items()
            if not read_flag(environment, f"EXCLUDE_{word}", default=False)
            and (allowed := "".join(c for c in characters if c not in excluded))
        )
        if not classes:
            msg = "EXCLUDE_CHARACTERS and the other EXCLUDE_* variables leave no character."
            raise BadSetting(msg)
        require_each = read_flag(environment, "REQUIRE_EACH_INCLUDED_TYPE", default=True)
        return cls(length, classes, require_each)

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


def _length(text: str, profile: Profile) -> int:
    if not text:
        return min(DEFAULT_LENGTH, profile.longest)
    length = int(text) if text.isascii() and text.isdigit() and len(text) <= len("4096") else 0
    if not SHORTEST <= length <= profile.longest:
        msg = (
            f"PASSWORD_LENGTH is {text[:20]!r}; this engine takes {SHORTEST} to {profile.longest}."
        )
        raise BadSetting(msg)
    return length


def read_flag(environment: Mapping[str, str], name: str, *, default: bool) -> bool:
    """Read a yes/no variable.

    Raises:
        BadSetting: It says neither.
    """
    text = environment.get(name)
    if text is None:
        return default
    word = text.strip().lower()
    if word in TRUE_WORDS:
        return True
    if word in FALSE_WORDS:
        return False
    msg = f"{name} is {text[:20]!r}; it must be true or false."
    raise BadSetting(msg)

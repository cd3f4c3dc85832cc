"""What operators set: the function's environment variables and the secrets' tags.

Both are texts by name, read and refused by one mechanism. What is not set, or empty, has its
default: CloudFormation gives empty texts for parameters that are left out.
"""

import difflib
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypeVar

from shared.errors import BadSetting

SHOWN = 40
"""Characters of an impossible value that a message shows."""


class Variable(StrEnum):
    """The environment variables of a function; docs/settings.md has what each means."""

    STRATEGY = "ROTATION_STRATEGY"
    PROMOTE_IN = "ROTATION_PROMOTE_IN"
    REFUSED_LOGINS = "ROTATION_REFUSED_LOGINS"
    LOCK_SECONDS = "ROTATION_LOCK_SECONDS"
    BEFORE_CHANGE = "ROTATION_BEFORE_CHANGE"
    CA_FILE = "DATABASE_CA_FILE"
    PASSWORD_LENGTH = "PASSWORD_LENGTH"  # noqa: S105 (a variable's name)
    EXCLUDE_CHARACTERS = "EXCLUDE_CHARACTERS"
    EXCLUDE_NUMBERS = "EXCLUDE_NUMBERS"
    EXCLUDE_PUNCTUATION = "EXCLUDE_PUNCTUATION"
    EXCLUDE_UPPERCASE = "EXCLUDE_UPPERCASE"
    EXCLUDE_LOWERCASE = "EXCLUDE_LOWERCASE"
    REQUIRE_EACH = "REQUIRE_EACH_INCLUDED_TYPE"
    ENDPOINT = "SECRETS_MANAGER_ENDPOINT"


class Tag(StrEnum):
    """The tags that steer rotations (tags, since applications read the JSON)."""

    STRATEGY = "rotation:strategy"
    FIRST_USER = "rotation:first-user"
    SECOND_USER = "rotation:second-user"
    ADOPT = "rotation:adopt"
    RIGHTS = "rotation:rights"
    IN_USE = "rotation:in-use"
    READER_HOSTS = "rotation:reader-hosts"
    PASSWORD_LENGTH = "rotation:password-length"  # noqa: S105 (a tag's name)
    EXCLUDE_CHARACTERS = "rotation:exclude-characters"
    ADMINISTRATOR = "rotation:administrator"
    """On an administrator's secret; read by the function's policy."""
    ROTATES = "rotation:rotates"
    """On an administrator's secret: the users whom he may be used for."""


TAG_PREFIX = "rotation:"

FLAGS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}

Word = TypeVar("Word", bound=StrEnum)
Meaning = TypeVar("Meaning")


@dataclass(frozen=True, slots=True)
class Options:
    """Texts by name; every reader raises BadSetting, with the name, for an impossible one.

    Attributes:
        values: Name to text.
        secret_arn: The secret whose tags they are; empty for a function's variables.
    """

    values: Mapping[str, str]
    secret_arn: str = ""

    @classmethod
    def of_tags(cls, secret_arn: str, tags: Mapping[str, str]) -> Self:
        """Return the tags of a secret.

        Raises:
            BadSetting: One begins as the project's do and is none of them: misspelt, it would be
                passed over in silence.
        """
        options = cls(tags, secret_arn)
        for name in tags:
            if name.lower().startswith(TAG_PREFIX) and name not in set(Tag):
                near = difflib.get_close_matches(name.lower(), Tag, n=1, cutoff=0)
                raise options.bad(name, f"no tag that there is; did you mean {near[0]}?")
        return options

    def text(self, name: str) -> str:
        """Return the text without spaces at its ends; empty when there is none."""
        return self.values.get(name, "").strip()

    def word(self, name: str, words: type[Word]) -> Word | None:
        """Return the one of ``words`` that is set, None when none is."""
        return self._meaning(name, self.text(name), {word.value: word for word in words})

    def flag(self, name: str) -> bool | None:
        """Return what yes or no is set, None when neither is."""
        return self._meaning(name, self.text(name).lower(), FLAGS)

    def number(self, name: str, allowed: range, reason: str = "") -> int | None:
        """Return the whole number that is set, None when none is.

        Args:
            name: The option.
            allowed: What it may be.
            reason: Why nothing else, where that is not plain.
        """
        text = self.text(name)
        if not text:
            return None
        # Beyond 4,300 digits int() raises ValueError.
        if text.isascii() and text.isdigit() and len(text) <= len(str(allowed[-1])):
            number = int(text)
            if number in allowed:
                return number
        raise self.bad_value(name, f"a number from {allowed[0]} to {allowed[-1]}{reason}")

    def _meaning(self, name: str, text: str, meanings: Mapping[str, Meaning]) -> Meaning | None:
        if not text:
            return None
        if text not in meanings:
            raise self.bad_value(name, f"one of {', '.join(meanings)}")
        return meanings[text]

    def bad_value(self, name: str, expected: str) -> BadSetting:
        """Return the error for a value that is not what it must be."""
        text = self.values.get(name, "")
        shown = text if len(text) <= SHOWN else text[:SHOWN] + "…"
        return self.bad(name, f"{shown!r}; it must be {expected}.")

    def bad(self, name: str, found: str) -> BadSetting:
        """Return the error for an option that cannot be used, with the way back to its default."""
        if not self.secret_arn:
            return BadSetting(f"{name} is {found}")
        command = ["aws", "secretsmanager", "untag-resource", "--secret-id", self.secret_arn]
        return BadSetting(
            f"Tag {name} of {self.secret_arn} is {found}",
            hint="Correct it, or take it off with "
            f"`{shlex.join([*command, '--tag-keys', name])}`; nothing was changed.",
        )

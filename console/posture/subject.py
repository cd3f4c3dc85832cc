"""What one row is about, and how its checks say what they have found."""

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from console.condition import Standing
from console.fleet import Secret
from console.functions import Function
from console.posture.place import Place
from console.posture.view import Unseen, View
from shared.examination.finding import Finding, Level
from shared.examination.registry import CODES

DENIED = "AccessDenied"
"""The code that stands in the way where something could not be seen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check has found.

    Attributes:
        code: Of the registry.
        text: What was seen.
        do: The command that mends it.
        level: Where it is another than the code's.
    """

    code: str
    text: str
    do: str = ""
    level: Level | None = None

    def finding(self, check: str) -> Finding:
        """Return the finding of a check."""
        code = CODES[self.code]
        return Finding(check, self.code, self.level or code.level, self.text, self.do or code.do)


@dataclass
class Subject:
    """One secret.

    Attributes:
        view: The account, as far as it tells.
        standing: How its rotation stands.
        days: How old a password may be.
        keys: The ARNs of the keys of all secrets that its function rotates, as far as known.
        place: Where its database is, or why that is not known.
        unread: Why the log of its function could not be read; empty where it was.
        facts: What the row tells, filled by the checks.
    """

    view: View
    standing: Standing
    days: int
    keys: frozenset[str] = frozenset()
    place: Place | Unseen = field(default_factory=Place)
    unread: str = ""
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def secret(self) -> Secret:
        """The secret."""
        return self.standing.secret

    @property
    def function(self) -> Function:
        """What rotates it."""
        return self.standing.function

    def require_place(self) -> Place:
        """Return where its database is.

        Raises:
            Unseen: That is not known.
        """
        if isinstance(self.place, Unseen):
            raise Unseen(str(self.place))
        return self.place

    @property
    def account(self) -> str:
        """The number of the account."""
        return self.secret.arn.split(":")[4]

    @property
    def region(self) -> str:
        """The Region."""
        return self.view.account.region


Check = Callable[[Subject], Iterator[Seen]]
"""Looks, and yields what is not as it should be.

Raises:
    Unseen: It could not look.
"""


def command(service: str, operation: str, **options: str | bool) -> str:
    """Return a command of the AWS CLI.

    Args:
        service: Such as ``kms``.
        operation: Such as ``enable-key``.
        **options: By the names of options, ``_`` for ``-``; True and False for switches. What
            stands in angle brackets is for whoever types it to fill in.
    """
    words = ["aws", service, operation]
    for name, value in options.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", value if value.startswith("<") else shlex.quote(value)]
    return " ".join(words)

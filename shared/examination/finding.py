"""A finding of an examination, and the examination's answer, as they are written and read.

The function answers ``{"Examine": "<ARN>"}`` with::

    {
      "Examination": 1,                       the version of this shape
      "Secret": "<ARN>",
      "Engine": "postgres",                   by the secret, as far as it was read; else null
      "Server": "PostgreSQL 18.6",            as the server calls itself; else null
      "Strategy": "alternating-users",        of the next rotation; else null
      "Checks": ["secret", "login", ...],     what there was to look at, in this order
      "Findings": [
        {"Check": "login", "Code": "LoginRefused", "Level": "failure",
         "Seen": "User app was refused ...", "Do": "Compare the secret with ..."},
        {"Check": "lock", "Code": "LoginRefused", "Level": "not-looked-at",
         "Seen": "", "Do": ""}
      ]
    }

A check without a finding is well. Where the level is ``not-looked-at``, the code is that of what
stands in the way. No value of a secret is ever in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

SHAPE = 1
"""Goes up when an older reader could take an answer for another."""


class Level(StrEnum):
    """How bad a finding is, the worst first."""

    FAILURE = "failure"
    """A rotation fails or shuts applications out, or what is secret is open to anybody."""
    WARNING = "warning"
    """The next rotation succeeds; a later one may not, or something is less safe than it could."""
    NOTE = "note"
    """Worth knowing; nothing has to be done."""
    NOT_LOOKED_AT = "not-looked-at"
    """Something else stands in the way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Attributes:
        check: The check's name.
        code: What was found, a name of the registry; at NOT_LOOKED_AT, what stands in the way.
        level: The code's own, or a milder one.
        seen: What was seen: account, host or field, no value.
        do: What to do next, a command that works when it is typed where there is one; or empty.
    """

    check: str
    code: str
    level: Level
    seen: str = ""
    do: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the finding as JSON has it."""
        return {
            "Check": self.check,
            "Code": self.code,
            "Level": self.level.value,
            "Seen": self.seen,
            "Do": self.do,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` has written.

        Raises:
            KeyError, ValueError: It is none.
        """
        return cls(
            check=str(document["Check"]),
            code=str(document["Code"]),
            level=Level(document["Level"]),
            seen=str(document["Seen"]),
            do=str(document["Do"]),
        )


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found about one secret.

    Attributes:
        secret: Its ARN.
        checks: The names of all checks that there were, those without a finding too, in order.
        findings: In the checks' order.
        engine: By the secret's value; None where it was not read.
        server: Product and version, as the server calls itself; None where it was not reached.
        strategy: Of the next rotation; None where that could not be decided.
    """

    secret: str
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    engine: str | None = None
    server: str | None = None
    strategy: str | None = None

    @property
    def failures(self) -> list[Finding]:
        """The findings because of which a rotation fails."""
        return [each for each in self.findings if each.level is Level.FAILURE]

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON has it."""
        return {
            "Examination": SHAPE,
            "Secret": self.secret,
            "Engine": self.engine,
            "Server": self.server,
            "Strategy": self.strategy,
            "Checks": list(self.checks),
            "Findings": [each.to_dict() for each in self.findings],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_dict` has written.

        Raises:
            KeyError, ValueError: It is none, or of a newer shape.
        """
        if document["Examination"] != SHAPE:
            msg = f"The shape {document['Examination']!r} of an examination is not known here."
            raise ValueError(msg)
        return cls(
            secret=str(document["Secret"]),
            checks=tuple(map(str, document["Checks"])),
            findings=tuple(map(Finding.from_dict, document["Findings"])),
            engine=document["Engine"],
            server=document["Server"],
            strategy=document["Strategy"],
        )

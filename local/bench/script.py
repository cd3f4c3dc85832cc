"""What a rotation sends, with gaps for what every rotation has of its own."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from local.bench.bare import PROCESS, VERIFIER
from rotators.mysql.password_hashes import native_hash
from shared.plan import is_plan

Steps = Sequence[Sequence[Sequence[Any]]]
"""The messages of :mod:`local.bench.recording`, by step."""

GAPS = ("new password", "old password", "token", "current version")

PATTERNS = (
    (re.compile(r"SCRAM-SHA-256\$[^']+"), VERIFIER),
    (re.compile(r"(?<=OPERATOR\(pg_catalog\.=\) )\d+"), PROCESS),
)


@dataclass(frozen=True, slots=True)
class Counts:
    """How much a rotation sends.

    Attributes:
        calls: To Secrets Manager.
        logins: At the database.
        statements: Messages of statements; what goes together counts once.
    """

    calls: int
    logins: int
    statements: int


@dataclass(frozen=True, slots=True)
class Script:
    """One rotation's messages as text, with gaps."""

    text: str

    @classmethod
    def of(cls, steps: Steps, values: Mapping[str, str]) -> "Script":
        """Take out of recorded messages what is that rotation's own.

        Args:
            steps: The messages.
            values: What each of GAPS was.
        """
        text = json.dumps([[each for each in step if not _cleans(each)] for step in steps])
        for gap, value in _with_hashes(values).items():
            text = text.replace(value, f"<{gap}>")
        for pattern, gap in PATTERNS:
            text = pattern.sub(gap, text)
        return cls(text)

    def filled(self, values: Mapping[str, str]) -> list[list[Any]]:
        """Return the messages of another rotation."""
        text = self.text
        for gap, value in _with_hashes(values).items():
            text = text.replace(f"<{gap}>", value)
        steps: list[list[Any]] = json.loads(text)
        return steps

    @property
    def counts(self) -> Counts:
        """How much is sent."""
        words = Counter(message[0] for step in json.loads(self.text) for message in step)
        return Counts(words["call"], words["login"], words["statement"])


def _with_hashes(values: Mapping[str, str]) -> dict[str, str]:
    """Add what MariaDB is sent in place of a password."""
    hashes = {
        f"hash of the {gap}": native_hash(values[gap]) for gap in GAPS if gap.endswith("password")
    }
    return {**values, **hashes}


def _cleans(message: Sequence[Any]) -> bool:
    """Say whether a message takes a former plan off, as every fifth rotation does."""
    return message[:2] == ["call", "UpdateSecretVersionStage"] and is_plan(
        message[2]["VersionStage"]
    )

"""What createSecret decides: a frozen plan, written as one staging label, read back here alone.

A step of a rotation knows nothing but what is stored. So whatever must be the same in all four of
them is decided once, when the new value is stored, and stands in the *name* of a staging label that
is stored with the value, in the same call::

    rotation--<attempt>--<strategy>--<made from>--<rights>[-readers][--<first>--<second>]

``attempt`` and ``made from`` are digests of version ids. The name is the attempt's own: storing a
label takes it from whatever version had it, and a request that arrives late must take nothing from
another rotation. User names are written in letters, digits and ``_``; any other byte as ``-`` and
two digits, so that the whole stays within an alphabet that every label may have. A name that does
not fit is written as a digest, and found again among the names that are known.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Self

from shared.engine import Engine, choose_strategy
from shared.errors import BadSetting
from shared.model import Description, Login, Stage, Version
from shared.options import Tag
from shared.session import Pair
from shared.settings import Rights, SecretSettings, StrategyName

PREFIX = "rotation--"
SEPARATOR = "--"
ESCAPE = "-"
DIGEST_MARK = "-z"
"""Begins a name that is written as a digest: no escaped byte begins so."""
DIGEST_DIGITS = 16
LONGEST_NAME = 85
"""In characters of the label: two such names, and all the rest, stay within 256."""

READERS = "readers"

SECOND_USER_SUFFIX = "_clone"
"""What AWS's rotation functions append, so that existing pairs keep their names."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one attempt at a rotation will do.

    Attributes:
        strategy: How the new password comes into force.
        made_from: Digest of the id of the AWSCURRENT that the new value was made from.
        users: The (first, second) user that take turns; None where one user is rotated.
        rights_are_managed: False when a DBA keeps the rights of both users.
        asks_readers: Whether readers must accept the new login before it is promoted.
    """

    strategy: StrategyName
    made_from: str
    users: tuple[str, str] | None = None
    rights_are_managed: bool = True
    asks_readers: bool = False

    @classmethod
    def choose(
        cls,
        engines: Iterable[Engine],
        current: Version,
        login: Login,
        description: Description,
        wanted: SecretSettings,
    ) -> Self:
        """Decide, from what the secret's tags and the function's settings want, and what can be.

        Args:
            engines: Those that the secret may be of.
            current: The version with AWSCURRENT.
            login: Its value.
            description: The secret's labels: they tell which users took turns so far.
            wanted: How the secret is to be rotated.

        Raises:
            BadSetting: The tags name users that cannot take turns.
            StrategyNeedsAdministrator, CapabilityMissing: The strategy cannot be; see
                :func:`shared.engine.choose_strategy`.
        """
        strategy = choose_strategy(
            engines,
            description.arn,
            wanted.strategy,
            administrator=login.administrator_arn is not None,
        )
        alternates = strategy is StrategyName.ALTERNATING_USERS
        return cls(
            strategy=strategy,
            made_from=digest(current.id),
            users=choose_users(login.username, description, wanted) if alternates else None,
            rights_are_managed=wanted.rights is Rights.MANAGED,
            asks_readers=bool(wanted.reader_hosts),
        )

    @classmethod
    def read(cls, labels: Iterable[str]) -> Self | None:
        """Return the plan that stands in a version's labels, None when there is none."""
        return next((plan for label in labels if (plan := cls._parse(label))), None)

    @classmethod
    def _parse(cls, label: str) -> Self | None:
        if not label.startswith(PREFIX):
            return None
        match label.removeprefix(PREFIX).split(SEPARATOR):
            case [_, strategy, made_from, options, *names] if strategy in set(StrategyName):
                rights, _, readers = options.partition(ESCAPE)
                return cls(
                    strategy=StrategyName(strategy),
                    made_from=made_from,
                    users=(_decoded(names[0]), _decoded(names[1])) if names[1:] else None,
                    rights_are_managed=rights != Rights.UNTOUCHED,
                    asks_readers=readers == READERS,
                )
        return None

    def label(self, token: str) -> str:
        """Return the staging label that holds the plan of the attempt ``token``."""
        rights = Rights.MANAGED if self.rights_are_managed else Rights.UNTOUCHED
        options = rights + (ESCAPE + READERS if self.asks_readers else "")
        names = [_encoded(name) for name in self.users or ()]
        fields = [digest(token), self.strategy, self.made_from, options, *names]
        return PREFIX + SEPARATOR.join(fields)

    def is_made_from(self, version_id: str | None) -> bool:
        """Say whether ``version_id`` is the version that the new value was made from."""
        return version_id is not None and digest(version_id) == self.made_from

    def next_user(self, current_user: str) -> str:
        """Return the user whose password is rotated when ``current_user`` is in use."""
        if self.users is None:
            return current_user
        first, second = self.users
        return second if current_user == first else first

    @property
    def lacks_names(self) -> bool:
        """Whether a user's name did not fit, so that its digest stands in its place."""
        return any(name.startswith(DIGEST_MARK) for name in self.users or ())

    def with_names(self, *known: str) -> Self:
        """Return the plan with names instead of digests, as far as they are among ``known``."""
        if self.users is None:
            return self
        names = {DIGEST_MARK + digest(name): name for name in known}
        first, second = (names.get(name, name) for name in self.users)
        return replace(self, users=(first, second))

    def pair(self, owner: str) -> Pair | None:
        """Return the two users as sessions know them; None where one user is rotated."""
        return None if self.users is None else Pair(*self.users, owner=owner)


def is_plan(label: str) -> bool:
    """Say whether a label is one of :meth:`Plan.label`."""
    return Plan.read([label]) is not None


def digest(text: str) -> str:
    """Return a short name for a version id, or for a name that does not fit."""
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]


def _encoded(name: str) -> str:
    text = "".join(
        character
        if character.isascii() and (character.isalnum() or character == "_")
        else "".join(f"{ESCAPE}{byte:02x}" for byte in character.encode())
        for character in name
    )
    return text if len(text) <= LONGEST_NAME else DIGEST_MARK + digest(name)


def _decoded(text: str) -> str:
    if text.startswith(DIGEST_MARK):
        return text
    parts = re.split(f"{ESCAPE}([0-9a-f]{{2}})", text)
    raw = b"".join(
        bytes.fromhex(part) if index % 2 else part.encode(errors="replace")
        for index, part in enumerate(parts)
    )
    return raw.decode(errors="replace")


def choose_users(
    current_user: str, description: Description, wanted: SecretSettings
) -> tuple[str, str]:
    """Return the (first, second) user that take turns.

    The secret's tags say; else the pair of an earlier rotation; else the current user is the first,
    whatever its name ends with: ``svc_clone`` may well be somebody's own user.

    Raises:
        BadSetting: The tags name a pair that the current user is not one of, or another second user
            while the second one is in use.
    """
    first, second = wanted.first_user, wanted.second_user
    earlier = None if first else _earlier_users(current_user, description, second)
    if earlier:
        if second not in ("", earlier[1]) and current_user == earlier[1]:
            msg = (
                f"Tag {Tag.SECOND_USER} of {description.arn} names {second}, but {current_user}, "
                f"the second user of {earlier[0]}, is in use: take the tag off, rotate once, so "
                f"that {earlier[0]} is, and set it again."
            )
            raise BadSetting(msg)
        first, second = earlier[0], second or earlier[1]
    first = first or current_user
    second = second or first + SECOND_USER_SUFFIX
    if first == second or current_user not in (first, second):
        msg = (
            f"The tags {Tag.FIRST_USER} and {Tag.SECOND_USER} of {description.arn} name {first} "
            f"and {second}; they must be two users, one of them the secret's {current_user}."
        )
        raise BadSetting(msg)
    return first, second


def _earlier_users(
    current_user: str, description: Description, second: str
) -> tuple[str, str] | None:
    """Return the pair of an earlier rotation: that of AWSCURRENT, else of any other version.

    Raises:
        BadSetting: A name did not fit into the label, and nothing tells it.
    """
    known = (
        current_user,
        current_user + SECOND_USER_SUFFIX,
        current_user.removesuffix(SECOND_USER_SUFFIX),
        second,
    )
    current = description.holder(Stage.CURRENT)
    for version in sorted(description.stages, key=lambda each: each != current):
        found = Plan.read(description.stages[version])
        plan = found and found.with_names(*known)
        if plan is None or current_user not in (plan.users or ()):
            continue
        if plan.lacks_names:
            msg = (
                f"The users that take turns with {current_user} have names too long to be "
                f"remembered: name both with the tags {Tag.FIRST_USER} and {Tag.SECOND_USER}."
            )
            raise BadSetting(msg)
        return plan.users
    return None

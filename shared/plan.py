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

from shared.errors import BadSetting, StrategyNeedsAdministrator
from shared.model import Description, Login, Stage, Version
from shared.session import Pair
from shared.settings import StrategyName, Tag

PREFIX = "rotation--"
SEPARATOR = "--"
ESCAPE = "-"
DIGEST_MARK = "-z"
"""Begins a name that is written as a digest: no escaped byte begins so."""
DIGEST_DIGITS = 16
LONGEST_NAME = 88
"""In characters of the label: two such names, and all the rest, stay within 256."""

READERS = "readers"
RIGHTS_MANAGED, RIGHTS_UNTOUCHED = "managed", "untouched"

SECOND_USER_SUFFIX = "_clone"
"""What AWS's rotation functions append, so that existing pairs keep their names."""

NEEDS_ADMINISTRATOR = frozenset(
    {StrategyName.SINGLE_USER_BY_ADMINISTRATOR, StrategyName.ALTERNATING_USERS}
)


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
        current: Version,
        login: Login,
        description: Description,
        default: StrategyName | None,
    ) -> Self:
        """Decide, from the secret's tags, the function's setting, and what the secret allows.

        Args:
            current: The version with AWSCURRENT.
            login: Its value.
            description: The secret's tags and labels.
            default: The function's strategy for secrets without a tag of their own.

        Raises:
            BadSetting: A tag has an impossible value.
            StrategyNeedsAdministrator: The strategy works through an administrator, and the secret
                names none.
        """
        tags = description.tags
        strategy = choose_strategy(login, description, default)
        if strategy in NEEDS_ADMINISTRATOR and login.administrator_arn is None:
            msg = f"Strategy {strategy} of {description.arn} needs an administrator."
            raise StrategyNeedsAdministrator(msg)
        alternates = strategy is StrategyName.ALTERNATING_USERS
        return cls(
            strategy=strategy,
            made_from=digest(current.id),
            users=choose_users(login.username, description) if alternates else None,
            rights_are_managed=_rights_are_managed(tags.get(Tag.RIGHTS, RIGHTS_MANAGED).strip()),
            asks_readers=bool(tags.get(Tag.READER_HOSTS, "").strip()),
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
                    rights_are_managed=rights != RIGHTS_UNTOUCHED,
                    asks_readers=readers == READERS,
                )
        return None

    def label(self, token: str) -> str:
        """Return the staging label that holds the plan of the attempt ``token``."""
        rights = RIGHTS_MANAGED if self.rights_are_managed else RIGHTS_UNTOUCHED
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
        if self.users is None or not self.lacks_names:
            return self
        names = {DIGEST_MARK + digest(name): name for name in known}
        first, second = (names.get(name, name) for name in self.users)
        return replace(self, users=(first, second))

    def pair(self, owner: str) -> Pair | None:
        """Return the two users as sessions know them; None where one user is rotated."""
        return None if self.users is None else Pair(*self.users, owner=owner)


def is_plan(label: str) -> bool:
    """Say whether a label is one of :meth:`Plan.label`."""
    return label.startswith(PREFIX)


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
        bytes.fromhex(part) if index % 2 else part.encode() for index, part in enumerate(parts)
    )
    return raw.decode(errors="replace")


def choose_strategy(
    login: Login, description: Description, default: StrategyName | None
) -> StrategyName:
    """Choose by the secret's tag, else the function's setting, else what the secret allows.

    Raises:
        BadSetting: The tag names no strategy.
    """
    tags = description.tags
    if Tag.STRATEGY in tags:
        return StrategyName.read(tags[Tag.STRATEGY], f"The secret's tag {Tag.STRATEGY}")
    if default is not None:
        return default
    if login.administrator_arn:
        return StrategyName.ALTERNATING_USERS
    return StrategyName.SINGLE_USER


def choose_users(current_user: str, description: Description) -> tuple[str, str]:
    """Return the (first, second) user that take turns.

    The secret's tags say; else the pair of an earlier rotation; else the current user is the first,
    whatever its name ends with: ``svc_clone`` may well be somebody's own user.

    Raises:
        BadSetting: The tags name a pair that the current user is not one of, or another second user
            while the second one is in use.
    """
    first = description.tags.get(Tag.FIRST_USER, "")
    second = description.tags.get(Tag.SECOND_USER, "")
    earlier = _earlier_users(current_user, description)
    if earlier and not first:
        if second not in ("", earlier[1]) and current_user == earlier[1]:
            msg = (
                f"The secret's tag {Tag.SECOND_USER} names {second}, but {current_user}, the "
                f"second user of {earlier[0]}, is in use: set {Tag.FIRST_USER} to {earlier[0]} and "
                f"rotate back to it first, or take {Tag.SECOND_USER} off."
            )
            raise BadSetting(msg)
        first, second = earlier[0], second or earlier[1]
    first = first or current_user
    second = second or first + SECOND_USER_SUFFIX
    if first == second or current_user not in (first, second):
        msg = (
            f"The secret's tags {Tag.FIRST_USER} and {Tag.SECOND_USER} name {first} and {second}; "
            f"they must be two users, one of them the secret's {current_user}."
        )
        raise BadSetting(msg)
    return first, second


def _earlier_users(current_user: str, description: Description) -> tuple[str, str] | None:
    """Return the pair of an earlier rotation: that of AWSCURRENT, else of any other version."""
    tagged = (description.tags.get(tag, "") for tag in (Tag.FIRST_USER, Tag.SECOND_USER))
    known = (
        current_user,
        current_user + SECOND_USER_SUFFIX,
        current_user.removesuffix(SECOND_USER_SUFFIX),
        *tagged,
    )
    current = description.holder(Stage.CURRENT)
    for version in sorted(description.stages, key=lambda each: each != current):
        plan = Plan.read(description.stages[version])
        users = plan.with_names(*known).users if plan else None
        if users and current_user in users:
            return users
    return None


def _rights_are_managed(text: str) -> bool:
    """Say whether the framework keeps the second user's rights equal to the first's.

    Raises:
        BadSetting: The tag says neither ``managed`` nor ``untouched``.
    """
    if text not in (RIGHTS_MANAGED, RIGHTS_UNTOUCHED):
        msg = (
            f"The secret's tag {Tag.RIGHTS} is {text[:20]!r}; it must be {RIGHTS_MANAGED} or "
            f"{RIGHTS_UNTOUCHED}."
        )
        raise BadSetting(msg)
    return text == RIGHTS_MANAGED

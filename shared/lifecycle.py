"""The decisions of a rotation, as tables. Nothing here does any I/O.

Rule 1. The labels decide what a step may do.
    A rotation makes one version of the secret, whose id is the rotation's token. Where that version
    stands (:class:`Standing`) is read from its labels afresh in every step, and :data:`ACTIONS`
    says what the step does then. Every step may be delivered twice, late, or at the same time as
    its twin, so each has an answer for every standing.

Rule 2. AWSPENDING is the write-ahead log.
    The new password is stored before the database hears of it. So whatever a crash leaves in the
    database, some stored version logs in: the truth is found by asking the database.

Rule 3. The database is asked in a fixed order.
    :data:`SEARCH` is the order in which a user's own passwords are tried and what it means when one
    is accepted. The current one comes first: it normally works, so that a healthy rotation leaves
    no failed login in the database's audit log. Only a *refused* login moves the search along;
    every other error ends the attempt, and the service repeats it.

Rule 4. Nothing is promoted that has not just logged in.

Rule 5. A version that may be in use keeps a label.
    Abandoned versions lose AWSPENDING, and only a few of the newest are
    tried. So the version about to be written to the database is labelled first
    (:attr:`Label.APPLYING <shared.model.Label.APPLYING>`), and the version that logs in, if no
    label of the service's names it, too (``LOGS_IN``). At every moment the database's password is
    that of AWSCURRENT, AWSPREVIOUS, APPLYING or LOGS_IN.
"""

from collections.abc import Mapping
from enum import Enum, auto

from shared.errors import (
    ForeignPending,
    NotRotatable,
    UnknownVersion,
    ValueNotReadable,
    VersionNotPending,
)
from shared.model import Label, Stage, Step
from shared.settings import StrategyName


class Standing(Enum):
    """Where the version that the token names stands."""

    CURRENT = auto()
    """Promoted: it has AWSCURRENT, perhaps AWSPENDING besides."""
    PENDING = auto()
    """It has AWSPENDING, a value, and the strategy pinned beside it."""
    FOREIGN = auto()
    """It has AWSPENDING and a value that this framework did not store."""
    EMPTY = auto()
    """It has AWSPENDING and no value: as RotateSecret makes it."""
    ABANDONED = auto()
    """It exists and has neither label."""
    UNKNOWN = auto()
    """No such version."""


class Action(Enum):
    """What a step does."""

    DONE = auto()
    """Nothing: the step's work is done already."""
    STORE = auto()
    """Choose the strategy, make a password, store the pending value."""
    APPLY = auto()
    """Bring the database to the pending value, and prove it."""
    VERIFY = auto()
    """Log in with the version and check its rights."""
    PROBE = auto()
    """Log in with AWSCURRENT: a test of the configuration, as RotateImmediately=false asks for."""
    PROMOTE = auto()
    """Log in with the version, then make it AWSCURRENT."""


Refusal = type[NotRotatable] | type[ValueNotReadable]

ACTIONS: Mapping[tuple[Step, Standing], Action | Refusal] = {
    # createSecret
    (Step.CREATE, Standing.CURRENT): Action.DONE,
    (Step.CREATE, Standing.PENDING): Action.DONE,
    (Step.CREATE, Standing.FOREIGN): ForeignPending,
    (Step.CREATE, Standing.EMPTY): Action.STORE,
    (Step.CREATE, Standing.ABANDONED): VersionNotPending,
    (Step.CREATE, Standing.UNKNOWN): UnknownVersion,
    # setSecret
    (Step.SET, Standing.CURRENT): Action.DONE,
    (Step.SET, Standing.PENDING): Action.APPLY,
    (Step.SET, Standing.FOREIGN): ForeignPending,
    (Step.SET, Standing.EMPTY): ValueNotReadable,
    (Step.SET, Standing.ABANDONED): VersionNotPending,
    (Step.SET, Standing.UNKNOWN): UnknownVersion,
    # testSecret. It alone runs under RotateImmediately=false, on a temporary version that is empty
    # or a copy of AWSCURRENT; nothing is ever promoted from that one.
    (Step.TEST, Standing.CURRENT): Action.VERIFY,
    (Step.TEST, Standing.PENDING): Action.VERIFY,
    (Step.TEST, Standing.FOREIGN): Action.PROBE,
    (Step.TEST, Standing.EMPTY): Action.PROBE,
    (Step.TEST, Standing.ABANDONED): VersionNotPending,
    (Step.TEST, Standing.UNKNOWN): UnknownVersion,
    # finishSecret
    (Step.FINISH, Standing.CURRENT): Action.DONE,
    (Step.FINISH, Standing.PENDING): Action.PROMOTE,
    (Step.FINISH, Standing.FOREIGN): ForeignPending,
    (Step.FINISH, Standing.EMPTY): ValueNotReadable,
    (Step.FINISH, Standing.ABANDONED): VersionNotPending,
    (Step.FINISH, Standing.UNKNOWN): UnknownVersion,
}


def standing(labels: frozenset[str] | None, *, has_value: bool) -> Standing:
    """Say where a version stands.

    Args:
        labels: Its staging labels; None when the secret has no such version.
        has_value: Whether a value was read. When only labels were read: False; the pinned strategy
            tells all the same, because it is stored with the value in one call.
    """
    if labels is None:
        return Standing.UNKNOWN
    if Stage.CURRENT in labels:
        return Standing.CURRENT
    if Stage.PENDING not in labels:
        return Standing.ABANDONED
    if pinned_strategy(labels) is not None:
        return Standing.PENDING
    return Standing.FOREIGN if has_value else Standing.EMPTY


def pinned_strategy(labels: frozenset[str]) -> StrategyName | None:
    """Return the strategy that createSecret chose for a version, None when it chose none."""
    return next((name for name in StrategyName if Label.of_strategy(name) in labels), None)


class Source(Enum):
    """Where a password that may log in comes from."""

    CURRENT = auto()
    PENDING = auto()
    PREVIOUS = auto()
    APPLYING = auto()
    LOGS_IN = auto()
    UNLABELLED = auto()


class Meaning(Enum):
    """What to do when a login is accepted."""

    CHANGE = auto()
    """The old password is still in force: change it."""
    PROMOTE = auto()
    """The change was made by an earlier delivery: only the promotion is missing."""


SEARCH: tuple[tuple[Source, Meaning], ...] = (
    (Source.CURRENT, Meaning.CHANGE),
    (Source.PENDING, Meaning.PROMOTE),
    (Source.PREVIOUS, Meaning.CHANGE),
    (Source.APPLYING, Meaning.CHANGE),
    (Source.LOGS_IN, Meaning.CHANGE),
    (Source.UNLABELLED, Meaning.CHANGE),
)
"""The order in which a user's own passwords are tried."""

SEARCH_BEFORE_ADMINISTRATOR = SEARCH[:2]
"""Where an administrator can reset the password, no guessing: each refused login counts against
the account (FAILED_LOGIN_ATTEMPTS) and shows in the audit log."""

LABEL_OF_SOURCE: Mapping[Source, str] = {
    Source.CURRENT: Stage.CURRENT,
    Source.PENDING: Stage.PENDING,
    Source.PREVIOUS: Stage.PREVIOUS,
    Source.APPLYING: Label.APPLYING,
    Source.LOGS_IN: Label.LOGS_IN,
}

SURE_OF_A_LABEL = frozenset({Source.CURRENT, Source.LOGS_IN})
"""Sources whose version keeps a label when the pending one is marked, or somebody edits AWSCURRENT
after a crash; any other version that logs in gets ``LOGS_IN`` first (rule 5)."""

"""The decisions of a rotation, as tables. Nothing here does any I/O.

Rule 1. The labels decide what a step may do.
    A rotation makes one version of the secret, whose id is the rotation's token. Where that version
    stands (:class:`Standing`) is read from its labels afresh in every step, and :data:`ACTIONS`
    says what the step does then. Every step may be delivered twice, late, or at the same time as
    its twin, so each has an answer for every standing.

Rule 2. The new value is the write-ahead log.
    It is stored before the database hears of it, and never rewritten. So whatever a crash leaves
    in the database, some stored version logs in: the truth is found by asking the database.
    createSecret names no label but the attempt's own: a request that arrives late takes nothing
    from another rotation.

Rule 3. Only who holds the lock changes anything, and promotes.
    Under the lock labels are read once more, and :data:`VERDICTS` says what the attempt may still
    do. A login from before the lock is no evidence under it.

Rule 4. Before every change the fence is moved.
    The fence is one label (:attr:`Label.FENCE <shared.model.Label.FENCE>`) that is moved from its
    holder to the attempt's version, or not at all: the service refuses whoever is mistaken about
    the holder. So the version whose password may be in force always carries a label, and whoever
    comes late is found out, however old his reads are.

Rule 5. Nothing is promoted that has not just logged in, under the same lock.
    AWSCURRENT is moved from the version that the plan was made from, or not at all.

Rule 6. The database is asked in a fixed order.
    :data:`SEARCH` is the order in which a user's own passwords are tried. AWSCURRENT comes first:
    it normally works, so that a healthy rotation leaves no failed login in the database's audit
    log. Then the fence's holder: no other attempt can have changed anything since. Only a *refused*
    login moves the search along; every other error ends the attempt.

Rule 7. What cannot succeed ends itself.
    An attempt without the fence has changed nothing: an error that no retry cures takes AWSPENDING
    off its version. With the fence on it, only after AWSCURRENT has just logged in.
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
from shared.model import Stage, Step


class Standing(Enum):
    """Where the version that the token names stands."""

    CURRENT = auto()
    """Promoted: it has AWSCURRENT, perhaps AWSPENDING besides."""
    PENDING = auto()
    """It has AWSPENDING, a value, and the plan beside it."""
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


def standing(labels: frozenset[str] | None, *, has_plan: bool, has_value: bool = False) -> Standing:
    """Say where a version stands.

    Args:
        labels: Its staging labels; None when the secret has no such version.
        has_plan: Whether a plan stands in its labels. It is stored with the value, in one call.
        has_value: Whether a value was read; False also when only labels were.
    """
    if labels is None:
        return Standing.UNKNOWN
    if Stage.CURRENT in labels:
        return Standing.CURRENT
    if Stage.PENDING not in labels:
        return Standing.ABANDONED
    if has_plan:
        return Standing.PENDING
    return Standing.FOREIGN if has_value else Standing.EMPTY


class Verdict(Enum):
    """What an attempt may do, as it is read under the lock."""

    PROMOTED = auto()
    """A twin was faster: the attempt's version is AWSCURRENT, nothing is left to do."""
    SAME = auto()
    """AWSPENDING and AWSCURRENT are where they were when the plan was made: go on."""
    EDITED = auto()
    """AWSCURRENT is another version. If this attempt carries the fence, nobody has changed anything
    since it did: where a user has one password, the database follows AWSCURRENT. It ends."""
    OVERTAKEN = auto()
    """AWSPENDING is elsewhere, or nowhere: the attempt is over, and changes nothing any more."""


VERDICTS: Mapping[tuple[bool, bool, bool], Verdict] = {
    # AWSPENDING is on the attempt's version; AWSCURRENT is that version; or the one planned from
    (True, True, False): Verdict.PROMOTED,
    (False, True, False): Verdict.PROMOTED,
    (True, False, True): Verdict.SAME,
    (True, False, False): Verdict.EDITED,
    (False, False, True): Verdict.OVERTAKEN,
    (False, False, False): Verdict.OVERTAKEN,
}


class Source(Enum):
    """Where a password that may log in comes from."""

    CURRENT = auto()
    """AWSCURRENT."""
    FENCE = auto()
    """The version that was last about to be brought into force, the attempt's own perhaps."""
    PREVIOUS = auto()
    """AWSPREVIOUS."""
    REST = auto()
    """Any other version, newest first."""


SEARCH = (Source.CURRENT, Source.FENCE, Source.PREVIOUS, Source.REST)
"""The order in which a user's own passwords are tried."""

SEARCH_WITHOUT_GUESSING = (Source.CURRENT, Source.FENCE)
"""Where an administrator can set the password, and where an earlier delivery of the attempt has
searched in vain: each refused login counts against the account (FAILED_LOGIN_ATTEMPTS) and shows in
the audit log."""

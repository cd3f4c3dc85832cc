"""How MariaDB's second users are known, and what is remembered of them.

MariaDB keeps no comment on an account. So a pair's second user is marked by a *role* without any
right, whose name is made of secret, first and second user. How the second user was left is told by
a second role, with a digest of that state at the end of its name.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from rotators.mysql.connection import Connection, quote_name
from rotators.mysql.mariadb_rights import MariadbPairRights, Possessions
from rotators.mysql.pairs import Twins
from shared.session import Pair

MARK_PREFIX = "secret-rotation:"
MARK_DIGITS = 40
STATE_SEPARATOR = ":"
STATE_DIGITS = 20
"""So that the name of the role that remembers a state has less than the 80 characters that MariaDB
10.5 allows."""


def mark_name(pair: Pair) -> str:
    """Return the name of the role that marks the pair's second user."""
    identity = json.dumps([pair.owner, pair.first, pair.second])
    return MARK_PREFIX + hashlib.sha256(identity.encode()).hexdigest()[:MARK_DIGITS]


class Mark:
    """The roles of one pair.

    Args:
        connection: An administrator's; with CREATE USER roles can be made and dropped.
        pair: The users.

    Attributes:
        name: Of the role that marks the second user.
    """

    def __init__(self, connection: Connection, pair: Pair) -> None:
        self._connection = connection
        self._second = pair.second
        self.name = mark_name(pair)

    @property
    def creation(self) -> str:
        """The statement that marks the second user."""
        return f"CREATE ROLE {quote_name(self.name)}"

    def exists(self) -> bool:
        """Look whether the second user is marked."""
        return bool(self._roles("User = %s", self.name))

    def states(self) -> set[str]:
        """Return the states that are remembered."""
        prefix = self.name + STATE_SEPARATOR
        roles = self._roles("LEFT(User, %s) = %s", len(prefix), prefix)
        return {name.removeprefix(prefix) for name in roles}

    def remember(self, state: str, *, forgetting: bool = True) -> None:
        """Remember a state and, unless told not to, no other."""
        purpose = f"remember how {self._second} is left"
        remembered = self.states()
        if state not in remembered:
            self._connection.run(purpose, f"CREATE ROLE {self._role_of(state)}")
        for outdated in sorted(remembered - {state}) if forgetting else ():
            self._connection.run(purpose, f"DROP ROLE {self._role_of(outdated)}")

    def _role_of(self, state: str) -> str:
        return quote_name(self.name + STATE_SEPARATOR + state)

    def _roles(self, condition: str, *arguments: str | int) -> list[str]:
        rows = self._connection.run(
            f"look for the mark of {self._second}",
            f"SELECT User, Priv FROM mysql.global_priv WHERE {condition}",  # noqa: S608 (ours)
            *arguments,
        )
        return [str(name) for name, entry in rows if json.loads(entry).get("is_role")]


class LeftAs:
    """How a pair's second user was left, to tell whether somebody else has changed it since.

    A *state* is a digest of the second user's accounts: their rights, roles and conditions. Rights
    to routines are left out: the second gets some by making one.

    Args:
        mark: Remembers states.
        twins: The accounts of the pair.
        found: What they have now.
    """

    def __init__(self, mark: Mark, twins: Sequence[Twins], found: MariadbPairRights) -> None:
        self._mark = mark
        self._twins = twins
        self._found = found

    def now(self) -> str:
        """Return the state in which the second user is."""
        return self._state_of(self._twins)

    def equal_to_first(self) -> str:
        """Return the state in which it is when it has what the first has, and no more."""
        return _digest(
            (each.second.host, self._found[each.first.account], each.first.changeable())
            for each in self._twins
        )

    def passed_on(self) -> str:
        """Return the state in which it is when it has got what it lacked, and has lost nothing."""
        return _digest(
            (
                each.second.host,
                self._found[each.second].with_those_of(self._found[each.first.account]),
                (each.made or each.first).changeable(),
            )
            for each in self._twins
        )

    def is_known(self) -> bool:
        """Look whether the second user is as it was left."""
        return self.now() in self._mark.states()

    def remember_equal(self) -> None:
        """Remember that it is left equal to the first."""
        self._mark.remember(self.equal_to_first())

    @contextmanager
    def passing_on(self) -> Iterator[None]:
        """Keep the memory true while an active second user is given what it lacks.

        The state to come is remembered before anything is granted: between two grants the second
        user is in neither state, but what it will be in is known. Whoever was not as it was left
        is not so afterwards.
        """
        after = self.passed_on()
        states = {self.now(), after, self._state_of(self._older())}
        known = self.now() != after and not self._mark.states().isdisjoint(states)
        if known:
            self._mark.remember(after, forgetting=False)
        yield
        if known:
            self._mark.remember(after)

    def _older(self) -> list[Twins]:
        """Leave out accounts that an interrupted call has just made: they have nothing yet."""
        return [
            each
            for each in self._twins
            if each.made is None
            or self._found[each.second] != Possessions()
            or each.made.changeable() != each.first.changeable()
        ]

    def _state_of(self, twins: Iterable[Twins]) -> str:
        return _digest(
            (each.second.host, self._found[each.second], each.made.changeable())
            for each in twins
            if each.made is not None
        )


def _digest(states: Iterable[tuple[str, Possessions, str]]) -> str:
    text = json.dumps(
        [(host, possessions.summary(), conditions) for host, possessions, conditions in states]
    )
    return hashlib.sha256(text.encode()).hexdigest()[:STATE_DIGITS]

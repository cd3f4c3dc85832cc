"""Declarations, second users and two passwords that are broken."""

from dataclasses import replace
from typing import ClassVar

from psycopg import sql

from rotators.mysql.mysql import MysqlSession
from rotators.postgres.session import PostgresSession
from rotators.valkey.engine import VALKEY
from rotators.valkey.rotator import ValkeyRotator
from rotators.valkey.session import ValkeySession
from shared.deadline import Deadline
from shared.engine import BY_ADMINISTRATOR, Engine
from shared.model import Login
from shared.rotator import Rotator
from shared.session import Ownership, OwnTwoPasswords, Pair, SecondUser, Session, TwoPasswords
from shared.settings import StrategyName
from tests.kit.broken.defect import breaks
from tests.kit.broken.sessions import Plain, hashed
from tests.kit.worlds.mysql import MySQLWorld
from tests.kit.worlds.postgres import PostgresWorld

AMBITIOUS = replace(
    VALKEY,
    strategies={**VALKEY.strategies, StrategyName.ALTERNATING_USERS: BY_ADMINISTRATOR},
)
MODEST = replace(VALKEY, strategies={StrategyName.SINGLE_USER_BY_ADMINISTRATOR: BY_ADMINISTRATOR})


class Declaring(ValkeyRotator):
    """Declares something else than its sessions can."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in; the session is of the same opinion."""
        session = super().connect(login, deadline)
        session.__class__ = type("Declared", (ValkeySession,), {"engine": self.engines[0]})
        return session


@breaks(SecondUser, "test_strategies_agree_with_the_session")
class DeclaresTooMuch(Declaring):
    """A strategy is declared that no session can carry out."""

    engines: ClassVar[tuple[Engine, ...]] = (AMBITIOUS,)


@breaks(TwoPasswords, "test_strategies_agree_with_the_session")
class DeclaresTooLittle(Declaring):
    """A strategy that the sessions can carry out is not declared."""

    engines: ClassVar[tuple[Engine, ...]] = (MODEST,)


@breaks(Session, "test_strategies_agree_with_the_session")
class AnotherEngine(ValkeySession):
    """Sessions say that the server is of another engine than declared."""

    engine: ClassVar[Engine] = AMBITIOUS


@breaks(Engine, "test_the_servers_engine_is_among_the_names")
class Capitals(ValkeyRotator):
    """The names of the engine are not in lower case: no secret has one of them."""

    engines: ClassVar[tuple[Engine, ...]] = (replace(VALKEY, names=frozenset({"Valkey"})),)


# Two passwords


@breaks(TwoPasswords.set_both, "test_both_work")
class SetsTheNewAlone(Plain):
    """Of the two passwords only the new one works: applications are shut out."""

    def set_both(self, username: str, new: str, old: str) -> None:
        """Set the new one."""
        self.set_user(username, "resetpass", f"#{hashed(new)}")


@breaks(TwoPasswords.set_both, "test_both_work")
class KeepsAThird(Plain):
    """A third password goes on to log in."""

    def set_both(self, username: str, new: str, old: str) -> None:
        """Add the new one."""
        self.set_user(username, f"#{hashed(new)}")


@breaks(TwoPasswords.set_both, "test_from_either_state")
class KeepsTheFirst(Plain):
    """The first of two passwords is kept, whichever is the old one."""

    def set_both(self, username: str, new: str, old: str) -> None:
        """Keep what was set last, beside the new one."""
        kept = self.passwords_of(username)[-1]
        self.set_user(username, "resetpass", f"#{kept}", f"#{hashed(new)}")


@breaks(TwoPasswords.set_both, "test_two_passwords_outlive_a_crash")
class NeverSavesTwo(Plain):
    """Two passwords are in force, and never stored."""

    def set_both(self, username: str, new: str, old: str) -> None:
        """Set them."""
        hashes = (f"#{hashed(new)}", f"#{hashed(old)}")
        self._connection.run(("ACL", "SETUSER", username, "resetpass", *hashes))


@breaks(Session.change_password, "test_one_password_again")
class LeavesASecond(Plain):
    """After a change one of two passwords is left."""

    def change_password(self, username: str, password: str) -> None:
        """Take one away and give one."""
        old = self.passwords_of(username)[0]
        self.set_user(username, f"!{old}", f"#{hashed(password)}")


@breaks(OwnTwoPasswords.add_password, "test_own_second_password", good=MySQLWorld)
class AddsInAnyCase(MysqlSession):
    """A second password is added although the old one is not the first."""

    def add_password(self, new: str, old: str) -> bool:
        """Make it so."""
        self.set_both(self._connection.login.username, new, old)
        return True


@breaks(TwoPasswords.set_both, "test_old_password_works_throughout")
class ShutsOut(Plain):
    """While the new password is proven, the old one does not work."""

    def set_both(self, username: str, new: str, old: str) -> None:
        """Set the new one, then both."""
        self.set_user(username, "resetpass", f"#{hashed(new)}")
        super().set_both(username, new, old)


# A second user


@breaks(SecondUser.ownership, "test_user_of_somebody_else", good=PostgresWorld)
class OwnsEverybody(PostgresSession):
    """A user that somebody else made is taken for ours."""

    def _ownership(self, pair: Pair) -> Ownership:
        found = super()._ownership(pair)
        return Ownership.OURS if found is Ownership.FOREIGN else found


@breaks(SecondUser.adopt, "test_user_of_somebody_else", good=PostgresWorld)
class AdoptsNobody(PostgresSession):
    """A user that is adopted goes on to be somebody else's."""

    def adopt(self, pair: Pair) -> None:
        """Do nothing."""


@breaks(SecondUser.adoption, "test_user_of_somebody_else", good=PostgresWorld)
class SaysNothing(PostgresSession):
    """No statement is given with which a DBA hands a user over."""

    def adoption(self, pair: Pair) -> str:
        """Say nothing."""
        return ""


@breaks(SecondUser.prepare, "test_second_user_is_made", good=PostgresWorld)
class TouchesTheFirst(PostgresSession):
    """Preparing the second user changes the first user's password as well."""

    def prepare(self, idle: str, password: str, pair: Pair, *, rights: bool) -> None:
        """Prepare both."""
        super().prepare(idle, password, pair, rights=rights)
        self.change_password(pair.first, password)


@breaks(SecondUser.prepare, "test_equal_again", good=PostgresWorld)
class EqualOnce(PostgresSession):
    """The pair is made equal when the second user is made, and never again."""

    def _make_equal(self, pair: Pair) -> None:
        if self._run(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles"
            " WHERE rolname = %s AND rolconnlimit = -1",
            pair.second,
        ):
            super()._make_equal(pair)


@breaks(SecondUser.prepare, "test_prepare_twice[first]", good=PostgresWorld)
class AlwaysTheSecond(PostgresSession):
    """Whoever's turn it is, the second user gets the password."""

    def prepare(self, idle: str, password: str, pair: Pair, *, rights: bool) -> None:
        """Prepare the second."""
        super().prepare(pair.second, password, pair, rights=rights)


@breaks(SecondUser.prepare, "test_second_users_password_is_not_logged", good=PostgresWorld)
class LogsTheSecondsPassword(PostgresSession):
    """The second user's password stands in a statement, which the server logs."""

    def _set_password(self, username: str, password: str) -> None:
        alter = sql.SQL("ALTER ROLE {} PASSWORD {}")
        self._run(alter.format(sql.Identifier(username), sql.Literal(password)))


@breaks(SecondUser.differences, "test_difference_is_seen", good=PostgresWorld)
class SeesNoDifference(PostgresSession):
    """The two are always equal."""

    def differences(self, pair: Pair, idle: str) -> list[str]:
        """See none."""
        return []


@breaks(SecondUser.sessions_of, "test_sessions_are_counted", good=PostgresWorld)
class CountsNobody(PostgresSession):
    """Nobody has a session."""

    def sessions_of(self, username: str) -> int:
        """Count none."""
        return 0


@breaks(SecondUser.should_act_as, "test_whom_the_second_acts_as", good=PostgresWorld)
class ActsAsItself(PostgresSession):
    """The second user should act as itself, it says, and does not."""

    def should_act_as(self, username: str, pair: Pair) -> str:
        """Name the user."""
        return username


# Whole rotations


@breaks(Rotator, "test_sample_of_kills[valkey single-user-by-administrator]")
class ReturnsEarlyInARotation(Plain):
    """A retry finds the password in force, and does not see to it that it is stored."""

    def change_password(self, username: str, password: str) -> None:
        """Change what has to be changed, in two steps."""
        if self.passwords_of(username) != [hashed(password)]:
            self._connection.run(("ACL", "SETUSER", username, "resetpass", f"#{hashed(password)}"))
            self._connection.run(("ACL", "SAVE"))

    def _save(self) -> tuple[str, ...]:
        return ("ROLE",)


@breaks(Session.unable, "test_nothing_declared_is_lacking")
class UnableToDoWhatItDeclares(ValkeySession):
    """A server is said to lack what its engine is declared to have."""

    def unable(self, strategy: StrategyName) -> str | None:
        """Lack everything."""
        return f"This server cannot do {strategy}."

"""Sessions that break a promise about passwords, accounts or time."""

import hashlib
import logging
from typing import Any

from psycopg import sql

from rotators.mysql.mysql import MysqlSession
from rotators.postgres.session import PostgresSession
from rotators.valkey.session import ValkeySession
from shared import errors
from shared.deadline import Deadline
from shared.session import Session
from tests.kit.broken.defect import breaks
from tests.kit.worlds.mysql import MySQLWorld
from tests.kit.worlds.postgres import PostgresWorld

_log = logging.getLogger("anybody")


def hashed(password: str) -> str:
    """Return the password as the server keeps it."""
    return hashlib.sha256(password.encode()).hexdigest()


class Plain(ValkeySession):
    """Changes users as a first attempt at a rotator would."""

    def set_user(self, username: str, *rules: str) -> None:
        """Change a user and save it."""
        self._connection.run(("ACL", "SETUSER", username, *rules), ("ACL", "SAVE"))

    def passwords_of(self, username: str) -> list[str]:
        """Return the hashes that a user has; none, where there is no user."""
        (user,) = self._connection.run(("ACL", "GETUSER", username))
        found: dict[str, Any] = dict(zip(user[::2], user[1::2], strict=True)) if user else {}
        return list(found.get("passwords", ()))


@breaks(errors.RotationError, "test_no_password_in_the_functions_log")
class Prints(ValkeySession):
    """The password is printed."""

    def change_password(self, username: str, password: str) -> None:
        """Change it, and say so."""
        print("changing", username, password)  # noqa: T201 - the defect
        super().change_password(username, password)


@breaks(errors.RotationError, "test_no_password_in_the_functions_log")
class Logs(ValkeySession):
    """The password is logged, for whoever debugs."""

    def change_password(self, username: str, password: str) -> None:
        """Change it, and say so."""
        _log.debug("changing %s to %s", username, password)
        super().change_password(username, password)


@breaks(Session.change_password, "test_repeated_change_is_stored")
class ReturnsEarly(Plain):
    """Where the password is in force already, it is believed to be stored."""

    def change_password(self, username: str, password: str) -> None:
        """Change what has to be changed."""
        if self.passwords_of(username) != [hashed(password)]:
            super().change_password(username, password)


@breaks(Session.change_password, "test_change_outlives_a_crash[1-the administrator]")
class NeverSaves(ValkeySession):
    """A change is in force, and never stored."""

    def _save(self) -> tuple[str, ...]:
        return ("ROLE",)


@breaks(Session.change_password, "test_hash_instead_of_password[the administrator]")
class SendsClearText(Plain):
    """The password is sent, although the server takes a hash."""

    def change_password(self, username: str, password: str) -> None:
        """Send it."""
        self.set_user(username, "resetpass", f">{password}")


@breaks(Session.change_password, "test_no_password_in_the_servers_log", good=PostgresWorld)
class ClearTextInTheLog(PostgresSession):
    """The password stands in a statement, which the server logs."""

    def _set_password(self, username: str, password: str) -> None:
        alter = sql.SQL("ALTER ROLE {} PASSWORD {}")
        self._run(alter.format(sql.Identifier(username), sql.Literal(password)))


@breaks(Session.change_password, "test_missing_user")
class MakesUsers(Plain):
    """A user that does not exist is made."""

    def change_password(self, username: str, password: str) -> None:
        """Change whoever it is."""
        self.set_user(username, "on", "resetpass", f"#{hashed(password)}")


@breaks(Session.account_problem, "test_missing_user")
class MissingIsAnyFailure(ValkeySession):
    """A user that does not exist is an error of no class of its own."""

    def change_password(self, username: str, password: str) -> None:
        """Change it."""
        try:
            super().change_password(username, password)
        except errors.AccountMissing as error:
            raise errors.StatementFailed(error.message) from None


@breaks(Session.change_password, "test_password_is_changed[the administrator]")
class NotTwice(Plain):
    """The same change once more is an error."""

    def change_password(self, username: str, password: str) -> None:
        """Change it, but not to what it is."""
        if hashed(password) in self.passwords_of(username):
            raise errors.PasswordRejected(f"{username} has this password already.")
        super().change_password(username, password)


@breaks(Session.change_password, "test_password_is_changed[the administrator]")
class LeavesTheOldOne(Plain):
    """The old password goes on to log in."""

    def change_password(self, username: str, password: str) -> None:
        """Add it."""
        self.set_user(username, f"#{hashed(password)}")


@breaks(Session.change_password, "test_password_is_changed[the administrator]")
class ChangesNothing(ValkeySession):
    """A change is answered, and not made."""

    def change_password(self, username: str, password: str) -> None:
        """Do nothing."""


@breaks(Session.change_password, "test_nobody_else_is_changed", good=PostgresWorld)
class ChangesEverybody(PostgresSession):
    """Other users get the password as well."""

    def change_password(self, username: str, password: str) -> None:
        """Change it for all applications."""
        for (name,) in self._run("SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'app%'"):
            super().change_password(name, password)


@breaks(Session.change_password, "test_rights_stay[the administrator]")
class GivesRights(Plain):
    """A change of the password changes rights."""

    def change_password(self, username: str, password: str) -> None:
        """Change it, and more."""
        super().change_password(username, password)
        self.set_user(username, "+eval")


@breaks(Session.change_password, "test_change_on_a_reader[the administrator]")
class ChangesReaders(Plain):
    """A replica is changed, which keeps the change to itself."""

    def change_password(self, username: str, password: str) -> None:
        """Change it wherever this is."""
        self.set_user(username, "resetpass", f"#{hashed(password)}")


class Mistaking(ValkeySession):
    """Takes one error for another."""

    mistaken: type[errors.DatabaseError]
    taken_for: type[errors.DatabaseError]

    def change_password(self, username: str, password: str) -> None:
        """Change it, and mistake what went wrong."""
        try:
            super().change_password(username, password)
        except self.mistaken as error:
            raise self.taken_for(error.message) from None


@breaks(Session.change_password, "test_change_on_a_reader[the administrator]")
class ReaderIsAnyFailure(Mistaking):
    """A reader is an error of no class of its own."""

    mistaken, taken_for = errors.ServerReadOnly, errors.StatementFailed


@breaks(Session.change_password, "test_change_without_right")
class ChangeDeniedIsRefused(Mistaking):
    """A right that is missing counts as a wrong password."""

    mistaken, taken_for = errors.PermissionDenied, errors.LoginRefused


@breaks(Session, "test_connection_lost_in_a_change")
class LostIsRefused(Mistaking):
    """A connection that is lost counts as a wrong password."""

    mistaken, taken_for = errors.Unreachable, errors.LoginRefused


@breaks(Session, "test_connection_lost_in_a_change")
class DriversOwnErrorInAChange(ValkeySession):
    """A lost connection is an exception of the driver's."""

    def change_password(self, username: str, password: str) -> None:
        """Change it, and let through what comes."""
        try:
            super().change_password(username, password)
        except errors.Unreachable:
            raise OSError from None


@breaks(errors.DatabaseError, "test_change_without_right")
class PasswordInMessageOfAChange(ValkeySession):
    """The message quotes the password."""

    def change_password(self, username: str, password: str) -> None:
        """Change it, and tell too much."""
        try:
            super().change_password(username, password)
        except errors.PermissionDenied:
            raise errors.PermissionDenied(f"May not set {password}.") from None


@breaks(Session.change_password, "test_password_that_is_rejected[the user]", good=MySQLWorld)
class RejectedIsAnyFailure(MysqlSession):
    """A password that the policy refuses is an error of no class of its own."""

    def change_password(self, username: str, password: str) -> None:
        """Change it, and mistake what went wrong."""
        try:
            super().change_password(username, password)
        except errors.PasswordRejected as error:
            raise errors.StatementFailed(error.message) from None


@breaks(Session.account_problem, "test_missing_account_is_seen")
class SeesNothing(ValkeySession):
    """No account has a problem."""

    def account_problem(self, username: str) -> errors.DatabaseError | None:
        """Say that all is well."""
        return None


@breaks(Session.account_problem, "test_locked_account_is_seen")
class SeesNoLock(ValkeySession):
    """A locked account is well."""

    def account_problem(self, username: str) -> errors.DatabaseError | None:
        """Say what is missing, and no more."""
        problem = super().account_problem(username)
        return problem if isinstance(problem, errors.AccountMissing) else None


@breaks(Session.account_problem, "test_well_account_has_no_problem")
class SeesTooMuch(ValkeySession):
    """Every account has a problem."""

    def account_problem(self, username: str) -> errors.DatabaseError | None:
        """Say that it is locked."""
        return super().account_problem(username) or errors.AccountLocked(f"{username} is locked.")


@breaks(Session.account_problem, "test_who_may_not_look_sees_no_problem")
class RaisesForWhoMayNotLook(ValkeySession):
    """Who may not look gets an error."""

    def account_problem(self, username: str) -> errors.DatabaseError | None:
        """Look, whatever comes."""
        self._connection.run(("ACL", "GETUSER", username))
        return super().account_problem(username)


@breaks(Session, "test_silence_in_a_change")
class NoTimeoutInAChange(ValkeySession):
    """The deadline does not bound a change."""

    def change_password(self, username: str, password: str) -> None:
        """Wait for longer than there is time."""
        self._connection.deadline = Deadline(self._connection.deadline.remaining() + 3)
        super().change_password(username, password)


@breaks(Session, "test_no_change_without_time")
class ChangesWithoutTime(ValkeySession):
    """A change is begun when time is over."""

    def change_password(self, username: str, password: str) -> None:
        """Change it, whatever the deadline says."""
        self._connection.deadline = Deadline(20)
        super().change_password(username, password)


@breaks(Session.close, "test_close_never_raises")
class CloseRaises(ValkeySession):
    """Closing twice is an error."""

    closed = False

    def close(self) -> None:
        """Close it, once."""
        super().close()
        if self.closed:
            raise errors.Unreachable("It is closed already.")
        self.closed = True


@breaks(Session.close, "test_closed_session_is_gone")
class NeverCloses(ValkeySession):
    """A session that is closed goes on to be one."""

    def close(self) -> None:
        """Keep it."""
        kept.append(self)


kept: list[Session] = []


@breaks(Session.acts_as, "test_acts_as_its_own_user")
class ActsAsSomebody(ValkeySession):
    """A session says that it acts as somebody else."""

    def acts_as(self) -> str | None:
        """Name somebody."""
        return "somebody"


@breaks(Session.remarks, "test_remarks_are_sentences")
class RemarksPasswords(ValkeySession):
    """A remark holds a password."""

    seen = ""

    def change_password(self, username: str, password: str) -> None:
        """Change it, and keep it in mind."""
        self.seen = password
        super().change_password(username, password)

    def remarks(self) -> list[str]:
        """Tell."""
        return [f"The password {self.seen} is long."]


@breaks(Session.only_look, "test_session_that_only_looks[the administrator]", good=PostgresWorld)
class LooksAndTouches(PostgresSession):
    """A session that is to look only may change everything."""

    def only_look(self) -> None:
        """Promise it."""

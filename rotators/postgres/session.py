"""A PostgreSQL session: passwords, locks, a look at accounts, and a second user.

Passwords are sent as SCRAM verifiers made by libpq: PostgreSQL writes DDL to its log, in clear, and
also when the statement fails.
"""

import contextlib
import hashlib
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from rotators.postgres.connection import Connection
from rotators.postgres.roles import Difference, RolePair, compare, mark, read_pair
from shared.deadline import Deadline
from shared.errors import (
    AccountExpired,
    AccountLocked,
    AccountMissing,
    DatabaseError,
    LockTimeout,
    PasswordRejected,
    PermissionDenied,
    RightsDiffer,
    ServerBusy,
    ServerReadOnly,
    StatementFailed,
    Unreachable,
)
from shared.session import Lock, Ownership, Pair, Session

TRANSACTION_SECONDS = 15.0
"""Longest wait for a transaction: each touches a few rows of catalogues."""

LOCK_SHARE, STATEMENT_SHARE = 0.8, 0.9
"""Parts of that time after which the server itself gives up: its error says more than silence."""

IDLE_TIMEOUT_SINCE = 140_000
"""The first version, as libpq numbers them, with ``idle_session_timeout``."""

ALGORITHM = b"scram-sha-256"
"""Named, since libpq would follow the server's ``password_encryption`` otherwise: md5, perhaps."""

ERRORS_BY_SQLSTATE: dict[str, type[DatabaseError]] = {
    "25006": ServerReadOnly,
    "42501": PermissionDenied,
    "42704": AccountMissing,
    "55P03": LockTimeout,
    "22023": PasswordRejected,  # what the passwordcheck module raises
    "57P01": ServerBusy,
    "57P02": ServerBusy,
    "57P03": ServerBusy,
}

Rows = list[tuple[Any, ...]]


class PostgresSession(Session):
    """One open connection; a :class:`~shared.session.SecondUser` besides.

    Args:
        connection: Open and in autocommit mode.
        username: Whose session it is.
        deadline: Bounds every statement.
        database: The rotated secret's, whichever the connection is in.
    """

    def __init__(
        self, connection: Connection, username: str, deadline: Deadline, database: str
    ) -> None:
        self._connection = connection
        self._username = username
        self._deadline = deadline
        self._database = database

    def close(self) -> None:
        """End the session; its advisory lock goes with it."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def lock(self, name: str, seconds: float) -> Lock:
        """Take an advisory lock of this database; see :meth:`shared.session.Session.lock`.

        Advisory locks do not hold behind a pooler in transaction mode: use the database's address.
        A function whose network goes away cannot give its lock back: the server does when the
        function's time is over. Without that it would wait for TCP, two hours by default, and
        every retry would wait for it (PostgreSQL 12 and 13 do not have the setting).
        """
        key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        with self._in_time(self._deadline.seconds(seconds, "take the lock")):
            if self._try_lock(key):
                return Lock.AT_ONCE
        with self._transaction(seconds):
            self._run("SELECT pg_catalog.pg_advisory_lock(%s)", key)
        return Lock.AFTER_WAITING

    def _try_lock(self, key: int) -> bool:
        """Try to take the lock, and say until when at most it may be held: in one round trip."""
        if self._connection.info.server_version < IDLE_TIMEOUT_SINCE:
            return bool(self._run("SELECT pg_catalog.pg_try_advisory_lock(%s)", key)[0][0])
        milliseconds = str(int(self._deadline.remaining() * 1000) + 1000)
        ((_, taken),) = self._run(
            "SELECT pg_catalog.set_config('idle_session_timeout', %s, false),"
            " pg_catalog.pg_try_advisory_lock(%s)",
            milliseconds,
            key,
        )
        return bool(taken)

    def change_password(self, username: str, password: str) -> None:
        """Set the password; see :meth:`shared.session.Session.change_password`."""
        with self._transaction():
            self._set_password(username, password)

    def account_problem(self, username: str) -> DatabaseError | None:
        """Look at the role; see :meth:`shared.session.Session.account_problem`."""
        with self._transaction():
            rows = self._run(
                "SELECT rolcanlogin, rolvaliduntil < now(), rolvaliduntil::text"
                " FROM pg_roles WHERE rolname = %s",
                username,
            )
        if not rows:
            return AccountMissing(f"There is no role {username}.")
        can_log_in, expired, until = rows[0]
        if not can_log_in:
            return AccountLocked(f"Role {username} may not log in (NOLOGIN).")
        if expired:
            return AccountExpired(f"Role {username} was valid until {until}.")
        return None

    # SecondUser

    def ownership(self, pair: Pair) -> Ownership:
        """Read the second role's comment; see :meth:`shared.session.SecondUser.ownership`."""
        with self._transaction():
            return self._ownership(pair)

    def adoption(self, pair: Pair) -> str:
        """Return the comment that hands a role over."""
        return self._text(_comment(pair))

    def adopt(self, pair: Pair) -> None:
        """Write the comment; see :meth:`shared.session.SecondUser.adopt`."""
        with self._transaction():
            self._run(_comment(pair))

    def sessions_of(self, username: str) -> int | None:
        """Not looked at yet."""
        del username
        return None

    def should_act_as(self, username: str, pair: Pair) -> str | None:
        """Not looked at yet."""
        del username, pair
        return None

    def prepare(self, idle: str, password: str, pair: Pair, *, rights: bool) -> None:
        """Set the password and make the pair equal, in one transaction."""
        with self._transaction():
            if rights and self._ownership(pair) is Ownership.MISSING:
                self._create(pair, password)
            else:
                self._set_password(idle, password)
            if rights:
                self._make_equal(pair)

    def differences(self, pair: Pair, idle: str) -> list[str]:
        """Compare the two roles; see :meth:`shared.session.SecondUser.differences`.

        Whose turn it is makes no difference: what the first role loses, the second loses at once.
        """
        del idle
        with self._transaction():
            return [self._describe(found) for found in compare(self._read(pair))]

    def _ownership(self, pair: Pair) -> Ownership:
        rows = self._run(
            "SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = %s",
            pair.second,
        )
        if not rows:
            return Ownership.MISSING
        return Ownership.OURS if rows[0][0] == mark(pair) else Ownership.FOREIGN

    def _create(self, pair: Pair, password: str) -> None:
        """Create the second role as a member of the first: rights and all in one statement."""
        create = sql.SQL("CREATE ROLE {} LOGIN INHERIT PASSWORD {} IN ROLE {}").format(
            sql.Identifier(pair.second),
            sql.Literal(self._verifier(pair.second, password)),
            sql.Identifier(pair.first),
        )
        try:
            self._run(create)
        except PermissionDenied as denied:
            grant = sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(
                sql.Identifier(pair.first), sql.Identifier(self._username)
            )
            msg = f"{self._username} may not make {pair.second} a member of {pair.first}."
            hint = f"A more powerful role runs: {self._text(grant)}; ({denied.message})"
            raise RightsDiffer(msg, hint=hint) from None
        self._run(_comment(pair))

    def _make_equal(self, pair: Pair) -> None:
        """Run the statements that mend what differs; refuse what no statement of ours mends."""
        found = compare(self._read(pair))
        beyond_us = [self._describe(each) for each in found if not each.mended_by_us]
        if beyond_us:
            msg = f"{pair.first} and {pair.second} differ: {'; '.join(beyond_us)}."
            raise RightsDiffer(msg)
        for each in found:
            try:
                for statement in each.statements:
                    self._run(statement)
            except PermissionDenied as denied:
                msg = f"{self._username} may not pass this on: {self._describe(each)}."
                raise RightsDiffer(msg, hint=f"{RightsDiffer.hint} ({denied.message})") from None

    def _read(self, pair: Pair) -> RolePair:
        return read_pair(pair, self._run, self._connection.info.server_version)

    def _describe(self, difference: Difference) -> str:
        statements = "; ".join(self._text(each) for each in difference.statements)
        return f"{difference.right} ({statements})"

    def _set_password(self, username: str, password: str) -> None:
        alter = sql.SQL("ALTER ROLE {} PASSWORD {}").format(
            sql.Identifier(username), sql.Literal(self._verifier(username, password))
        )
        self._run(alter)

    def _verifier(self, username: str, password: str) -> str:
        encrypted = self._connection.pgconn.encrypt_password(
            password.encode(), username.encode(), ALGORITHM
        )
        return encrypted.decode("ascii")

    def _text(self, statement: sql.Composable) -> str:
        return statement.as_string(self._connection)

    # Statements

    @contextmanager
    def _transaction(self, seconds: float = TRANSACTION_SECONDS) -> Iterator[None]:
        """Begin, with the session's own user and bounded waits; commit, or roll everything back.

        The second user of a pair acts as the first (``ALTER ROLE ... SET role``): to change its own
        password it has to be itself again. Everything is local to the transaction, so that a pooler
        hands nothing of it on. Functions are called by their full names where ``search_path`` is
        not ours yet: a database's owner can set it for all who come there, administrators too.
        """
        seconds = self._deadline.seconds(seconds, "run a statement")
        lock, statement = (
            str(max(1, int(seconds * share * 1000))) for share in (LOCK_SHARE, STATEMENT_SHARE)
        )
        with self._in_time(seconds), self._connection.transaction():
            self._run(
                "SELECT pg_catalog.set_config('role', 'none', true),"
                " pg_catalog.set_config('search_path', 'pg_catalog', true),"
                " pg_catalog.set_config('statement_timeout', %s, true),"
                " pg_catalog.set_config('lock_timeout', %s, true)",
                statement,
                lock,
            )
            yield

    @contextmanager
    def _in_time(self, seconds: float) -> Iterator[None]:
        """Cut the connection when the server, or the way to it, is silent for too long."""
        try:
            with Watchdog(self._connection.fileno(), seconds):
                yield
        except psycopg.Error as error:
            # Raised by BEGIN, COMMIT or ROLLBACK themselves, or the connection was closed before.
            raise self._error(error) from None

    def _run(self, statement: LiteralString | sql.Composable, *parameters: object) -> Rows:
        """Run one statement and return its rows (none for a command)."""
        query = statement if isinstance(statement, str) else sql.SQL("{}").format(statement)
        try:
            cursor = self._connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            raise self._error(error) from None

    @staticmethod
    def _error(error: psycopg.Error) -> DatabaseError:
        """Return our error: from the code, with the server's own first line."""
        code = error.sqlstate
        if code is None:
            return Unreachable("The database stopped answering in the middle of a session.")
        msg = f"The database answered SQLSTATE {code}: {error.diag.message_primary}."
        return ERRORS_BY_SQLSTATE.get(code, StatementFailed)(msg)


def _comment(pair: Pair) -> sql.Composed:
    return sql.SQL("COMMENT ON ROLE {} IS {}").format(
        sql.Identifier(pair.second), sql.Literal(mark(pair))
    )


class Watchdog:
    """Cuts a connection whose server has fallen silent.

    A statement's timeout is kept by the server; where the network swallows packets, nobody would
    end the wait before Lambda kills the function.

    Args:
        descriptor: The connection's socket.
        seconds: After which it is cut, unless the ``with`` block has ended.
    """

    def __init__(self, descriptor: int, seconds: float) -> None:
        # A descriptor of our own: the connection may close its one while the timer fires.
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *exc_info: object) -> None:
        self._timer.cancel()
        self._socket.close()

    def _cut(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

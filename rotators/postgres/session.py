"""A PostgreSQL session: passwords, locks, a look at accounts, and a second user.

Passwords are sent as SCRAM verifiers made by libpq: PostgreSQL writes DDL to its log, in clear, and
also when the statement fails.
"""

import contextlib
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, LiteralString

import psycopg
from psycopg import sql

from rotators.postgres.connection import Connection
from rotators.postgres.engine import POSTGRES
from rotators.postgres.roles import (
    MISSING_RIGHTS,
    MORE_POWERFUL,
    ROLE_AT_LOGIN,
    RolePair,
    Rows,
    compare,
    describe,
    grant_of,
    mark,
    problem_of,
    read_pair,
    shortened,
    useless,
)
from shared.deadline import Deadline
from shared.engine import Engine
from shared.errors import (
    AccountMissing,
    DatabaseError,
    LockTimeout,
    PasswordRejected,
    PermissionDenied,
    Pooler,
    RightsDiffer,
    ServerBusy,
    ServerReadOnly,
    StatementFailed,
    Unreachable,
)
from shared.network import cut_after
from shared.session import Lock, Ownership, Pair, Session

TRANSACTION_SECONDS = 15.0
"""Longest wait for a transaction: each touches a few rows of catalogues."""

LOCK_SHARE, STATEMENT_SHARE = 0.8, 0.9
"""Parts of that time after which the server itself gives up: its error says more than silence."""
ANSWER_SECONDS = 1.0
"""What the server has for saying so, on a busy machine, before the connection is cut."""

IDLE_TIMEOUT_SINCE = 140_000
"""The first version, as libpq numbers them, with ``idle_session_timeout``."""

ALGORITHM = b"scram-sha-256"
"""Named, since libpq would follow the server's ``password_encryption`` otherwise: md5, perhaps."""

KEEPALIVES = 3
"""Unanswered ones after which the server's TCP gives a connection up."""

KNOWN_STATE = """
SELECT pg_catalog.set_config('search_path', 'pg_catalog', true),
       pg_catalog.set_config('statement_timeout', %s, true),
       pg_catalog.set_config('lock_timeout', %s, true),
       CASE WHEN %s OR NOT (rolcreaterole OR rolsuper)
         THEN pg_catalog.set_config('role', 'none', true) END
  FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) current_user
"""
"""What a transaction begins with; see :meth:`PostgresSession._transaction`."""

ERRORS_BY_SQLSTATE: dict[str, type[DatabaseError]] = {
    "0A000": ServerReadOnly,  # what a standby answers to BEGIN READ WRITE
    "25006": ServerReadOnly,
    "42501": PermissionDenied,
    "42704": AccountMissing,
    "55P03": LockTimeout,
    "22023": PasswordRejected,  # what the passwordcheck module raises
    "57P01": ServerBusy,
    "57P02": ServerBusy,
    "57P03": ServerBusy,
}


class PostgresSession(Session):
    """One open connection; a :class:`~shared.session.SecondUser` besides.

    Args:
        connection: Open and in autocommit mode.
        username: Whose session it is.
        deadline: Bounds every statement.
        database: The rotated secret's, whichever the connection is in.
    """

    engine: ClassVar[Engine] = POSTGRES

    def __init__(
        self, connection: Connection, username: str, deadline: Deadline, database: str
    ) -> None:
        self._connection = connection
        self._username = username
        self._deadline = deadline
        self._database = database
        self._remarks: list[str] = []

    def close(self) -> None:
        """End the session; its advisory lock goes with it."""
        with contextlib.suppress(psycopg.Error):
            self._connection.close()

    def acts_as(self) -> str | None:
        """Ask for ``current_user``; see :meth:`shared.session.Session.acts_as`."""
        with self._in_time(self._deadline.seconds(TRANSACTION_SECONDS, "run a statement")):
            return str(self._run("SELECT current_user")[0][0])

    def lock(self, name: str, seconds: float) -> Lock:
        """Take an advisory lock of this database; see :meth:`shared.session.Session.lock`.

        The lock keeps out sessions of the same database only. All sessions of a secret come to the
        database that the secret names, the administrator's too. One whose own secret names another,
        or who may not go there, locks elsewhere: his sessions keep each other out, not the user's.

        A function whose network goes away cannot give its lock back: the server does when the
        function's time is over. Without that it would wait for TCP, two hours by default, and
        every retry would wait for it.

        Raises:
            Pooler: One answers, behind which the lock may not hold.
            LockTimeout: As :meth:`shared.session.Session.lock` says.
        """
        key = lock_key(name)
        with self._in_time(self._deadline.seconds(seconds, "take the lock")):
            if self._try_lock(key):
                return Lock.AT_ONCE
        with self._transaction(seconds):
            self._run("SELECT pg_catalog.pg_advisory_lock(%s)", key)
        return Lock.AFTER_WAITING

    def _try_lock(self, key: int) -> bool:
        """Try to take the lock, and say until when at most it may be held: in one round trip.

        A pooler gives its clients process ids of its own making: where the server's differs,
        nothing is done.
        """
        seconds = int(self._deadline.remaining()) + 1
        ends = {"idle_in_transaction_session_timeout": seconds * 1000}
        if self._connection.info.server_version >= IDLE_TIMEOUT_SINCE:
            ends["idle_session_timeout"] = seconds * 1000
        else:
            # The server's TCP notices that nobody is there any more.
            probe = max(1, seconds // (KEEPALIVES + 1))
            ends["tcp_user_timeout"] = seconds * 1000
            ends["tcp_keepalives_idle"] = ends["tcp_keepalives_interval"] = probe
            ends["tcp_keepalives_count"] = KEEPALIVES
        settings = sql.SQL(", ").join(
            sql.SQL("pg_catalog.set_config({}, {}, false)").format(setting, str(value))
            for setting, value in ends.items()
        )
        rows = self._run(
            sql.SQL(
                "SELECT pg_catalog.pg_try_advisory_lock({}), {}"
                " WHERE pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.=) {}"
            ).format(key, settings, self._connection.info.backend_pid)
        )
        if not rows:
            msg = (
                f"A pooler answers for the database of {self._username}: no lock would hold there."
            )
            raise Pooler(msg)
        return bool(rows[0][0])

    def change_password(self, username: str, password: str) -> None:
        """Set the password; see :meth:`shared.session.Session.change_password`.

        Raises:
            PermissionDenied: With the statement that gives the session's user the right, where the
                catalogues show what is missing.
        """
        own = username == self._username
        with self._explained(username), self._transaction(as_itself=own):
            self._set_password(username, password)

    def account_problem(self, username: str) -> DatabaseError | None:
        """Look at the role; see :meth:`shared.session.Session.account_problem`."""
        with self._transaction():
            return problem_of(username, self._run)

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

    def sessions_of(self, username: str) -> int:
        """Count the user's sessions, in all databases, but for this one.

        Whose a session is, pg_stat_activity shows to everybody.
        """
        with self._transaction():
            ((count,),) = self._run(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE usename = %s AND pid <> pg_backend_pid()",
                username,
            )
        return int(count)

    def should_act_as(self, username: str, pair: Pair) -> str:
        """Read whom the first user acts as; see :meth:`shared.session.SecondUser.should_act_as`.

        In the database of the rotated secret, whichever this session is in.
        """
        del username  # the second user does as the first does
        with self._transaction():
            rows = self._run(ROLE_AT_LOGIN, pair.first, self._database)
        return str(rows[0][0]) if rows else pair.first

    def remarks(self) -> list[str]:
        """Return what the last comparison found; see :meth:`shared.session.Session.remarks`."""
        return self._remarks

    def prepare(self, idle: str, password: str, pair: Pair, *, rights: bool) -> None:
        """Set the password and make the pair equal, in one transaction.

        Raises:
            AccountLocked, AccountExpired: The first user may not log in, and so must the second
                not: a DBA's lock is not gone round.
        """
        with self._explained(pair.first, pair.second), self._transaction():
            if rights:
                problem = problem_of(pair.first, self._run)
                if problem is not None:
                    raise problem
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
            return shortened(map(describe, compare(self._read(pair))))

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
            msg = f"{self._username} may not make {pair.second} a member of {pair.first}"
            raise RightsDiffer(f"{msg}: {denied.message}") from None
        self._run(_comment(pair))

    def _make_equal(self, pair: Pair) -> None:
        """Run the statements that mend what differs; refuse what no statement of ours mends."""
        found = compare(self._read(pair))
        beyond_us = shortened(describe(each) for each in found if not each.mended_by_us)
        if beyond_us:
            msg = f"{pair.first} and {pair.second} differ: {'; '.join(beyond_us)}."
            raise RightsDiffer(msg)
        for each in found:
            try:
                for statement in each.statements:
                    self._run(statement)
            except (PermissionDenied, PasswordRejected) as refused:
                # "Invalid value" would quote the setting's.
                why = f" ({refused.message})" if isinstance(refused, PermissionDenied) else ""
                msg = f"{self._username} may not pass this on: {describe(each)}.{why}"
                raise RightsDiffer(
                    msg, hint=grant_of(each, self._username, self.info.server_version)
                ) from None

    def _read(self, pair: Pair) -> RolePair:
        found = read_pair(pair, self._run_all, self._connection.info.server_version)
        self._remarks = shortened(map(describe, useless(found)))
        return found

    @contextmanager
    def _explained(self, *usernames: str) -> Iterator[None]:
        """Let an error for want of a right say which statement gives it."""
        try:
            yield
        except (PermissionDenied, RightsDiffer) as denied:
            missing: list[str] = []
            names = list(usernames)
            if self._username not in usernames:
                with contextlib.suppress(DatabaseError), self._transaction():
                    missing = [row[0] for row in self._run(MISSING_RIGHTS, names, names)]
            if not missing:
                raise
            hint = f"{MORE_POWERFUL}{'; '.join(missing)}"
            raise type(denied)(denied.message, hint=hint) from None

    def _set_password(self, username: str, password: str) -> None:
        alter = sql.SQL("ALTER ROLE {} PASSWORD {}").format(
            sql.Identifier(username), sql.Literal(self._verifier(username, password))
        )
        try:
            self._run(alter)
        except PermissionDenied as denied:
            msg = f"{self._username} may not set the password of {username}: {denied.message}"
            raise PermissionDenied(msg) from None

    def _verifier(self, username: str, password: str) -> str:
        encrypted = self._connection.pgconn.encrypt_password(
            password.encode(), username.encode(), ALGORITHM
        )
        return encrypted.decode("ascii")

    def _text(self, statement: sql.Composable) -> str:
        return statement.as_string(self._connection)

    # Looking

    def only_look(self) -> None:
        """Begin every transaction as one that only reads."""
        self._connection.read_only = True

    @property
    def info(self) -> psycopg.ConnectionInfo:
        """What the server has told of itself at the login."""
        return self._connection.info

    def ask(self, question: LiteralString, *parameters: object) -> Rows:
        """Run one question, in a transaction of its own."""
        with self._transaction():
            return self._run(question, *parameters)

    def ask_all(self, *questions: tuple[Any, ...]) -> list[Rows]:
        """Run questions, each with its parameters, in a transaction and a message of their own."""
        with self._transaction():
            return self._run_all(*questions)

    # Statements

    @contextmanager
    def _transaction(
        self, seconds: float = TRANSACTION_SECONDS, *, as_itself: bool = False
    ) -> Iterator[None]:
        """Begin, with bounded waits; commit, or roll everything back.

        The second user of a pair acts as the first (``ALTER ROLE ... SET role``): to change its own
        password it has to be itself again (``as_itself``). An administrator keeps the role that he
        acts as, so that what he makes belongs to both of *his* pair; but not one that cannot make
        roles, such as the owner that a database lets everybody act as. Everything is local to the
        transaction. Functions are called by their full names where ``search_path`` is not ours yet:
        a database's owner can set it for all who come there, administrators too.

        Statements that go together go in one message, never in libpq's pipeline mode: between the
        parts of a pipeline the server counts no session as idle, and would keep the lock of a
        function whose network goes away for hours.
        """
        seconds = self._deadline.seconds(seconds, "run a statement")
        lock, statement = (
            str(max(1, int(seconds * share * 1000))) for share in (LOCK_SHARE, STATEMENT_SHARE)
        )
        cut = self._deadline.seconds(seconds + ANSWER_SECONDS, "run a statement")
        with self._in_time(cut):
            begin = "BEGIN READ ONLY" if self._connection.read_only else "BEGIN READ WRITE"
            self._run_all((begin,), (KNOWN_STATE, statement, lock, as_itself))
            try:
                yield
            except BaseException:
                with contextlib.suppress(psycopg.Error):
                    self._connection.rollback()
                raise
            self._run("COMMIT")

    @contextmanager
    def _in_time(self, seconds: float) -> Iterator[None]:
        """Cut the connection when the server, or the way to it, is silent for too long."""
        try:
            with cut_after(self._connection.fileno(), seconds):
                yield
        except psycopg.Error as error:
            # Raised by BEGIN, COMMIT or ROLLBACK themselves, or the connection was closed before.
            raise self._error(error) from None

    def _run(self, statement: LiteralString | sql.Composable, *parameters: object) -> Rows:
        """Run one statement and return its rows (none for a command)."""
        query = statement if isinstance(statement, str) else sql.SQL("{}").format(statement)
        try:
            cursor = self._connection.execute(query, parameters or None)
            return _rows(cursor)
        except psycopg.Error as error:
            raise self._error(error) from None

    def _run_all(self, *statements: tuple[Any, ...]) -> list[Rows]:
        """Run statements, each with its parameters, in one message; return the rows of each."""
        text = ";".join(statement for statement, *_ in statements)
        parameters = [each for _, *own in statements for each in own]
        try:
            cursor = psycopg.ClientCursor(self._connection)
            cursor.execute(text, parameters)
            found = [_rows(cursor)]
            while cursor.nextset():
                found.append(_rows(cursor))
        except psycopg.Error as error:
            raise self._error(error) from None
        return found

    @staticmethod
    def _error(error: psycopg.Error) -> DatabaseError:
        """Return our error: from the code, with the server's own first line."""
        code = error.sqlstate
        if code is None:
            return Unreachable("The database stopped answering in the middle of a session.")
        msg = f"The database answered SQLSTATE {code}: {error.diag.message_primary}."
        if code == "42501" and error.diag.message_detail:
            msg += f" {error.diag.message_detail}"
        return ERRORS_BY_SQLSTATE.get(code, StatementFailed)(msg)


def _rows(cursor: psycopg.Cursor[tuple[Any, ...]]) -> Rows:
    return cursor.fetchall() if cursor.description else []


def lock_key(name: str) -> int:
    """Return the key of the advisory lock ``name``."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)


def _comment(pair: Pair) -> sql.Composed:
    return sql.SQL("COMMENT ON ROLE {} IS {}").format(
        sql.Identifier(pair.second), sql.Literal(mark(pair))
    )

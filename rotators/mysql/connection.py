"""One connection to a server: opened under a deadline, over verified TLS, its errors translated.

PyMySQL is told what it would otherwise guess wrongly:

* a password given as ``str`` goes out in Latin-1, so it is given as UTF-8 bytes;
* a value given as ``bytes`` is rendered ``X'...'``, which ALTER USER does not take, so statements
  get ``str``;
* without TLS arguments it talks TLS to nobody in particular, and plaintext if there is no TLS;
* asked by the server it would send the password in clear, or answer questions of a dialog: a
  password that can be rotated never needs either;
* its timeouts hold for each address of a host, not for DNS and TLS, and for each read anew: the
  socket is opened here, and broken off when time is over.
"""

import importlib.util
import re
import ssl
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.connections import Connection as DriverConnection
from pymysql.converters import conversions, escape_string

from rotators.mysql import error_codes
from rotators.mysql.addresses import is_postgresql
from shared.deadline import Deadline
from shared.errors import (
    AccountUnusable,
    DatabaseError,
    LoginRefused,
    OutOfTime,
    TlsNotOffered,
    TlsRequired,
    Unreachable,
)
from shared.model import Login
from shared.network import cut_after, open_socket, why_not
from shared.tls import Trust, tls_error

if TYPE_CHECKING:
    from pymysql.cursors import Cursor

PROGRAM_NAME = "secret-rotation"
"""How sessions name themselves (``performance_schema.session_connect_attrs``)."""

ANSWER_SECONDS = 30.0
"""Longest silence of the server while a statement runs; account changes take milliseconds."""
LOCK_WAIT_SECONDS = 10
"""Longest wait of an account change for another session's lock; the servers' own default is a year
or a day, and MariaDB has none for FLUSH TABLES WITH READ LOCK, so it bounds the whole statement."""

LONGEST_SESSION_SECONDS = 900.0
"""What a Lambda function may run at most."""

NO_SSL = 2026
"""The client library's CR_SSL_CONNECTION_ERROR."""

PROTOCOL_HINT = (
    "Check `port` and `engine` in the secret: this function rotates MySQL and MariaDB only."
)
ADDRESS = re.compile(r"@'([\w.:%-]+)'")
"""Of the client, in the server's text about a refused login, in whatever language that is."""

PLAINTEXT_HINT = (
    'Remove "ssl": false from the secret. If plaintext must be, add the package `cryptography` to '
    "rotators/mysql/requirements.txt: MySQL's caching_sha2_password needs it where there is no TLS."
)
IN_CLEAR_HINT = (
    "Accounts of IAM, PAM or LDAP log in so, and no rotation changes them. "
    + error_codes.PLUGIN_HINT
)
REQUIRE_SSL_HINT = (
    'The secret says "ssl": false: an account with REQUIRE SSL, and a server with '
    "require_secure_transport, refuse the right password as well without TLS. Remove it. "
)


@dataclass(frozen=True, slots=True)
class Account:
    """A user as the servers see it: a name *and* the hosts that it may come from."""

    user: str
    host: str

    def __str__(self) -> str:
        return f"'{self.user}'@'{self.host}'"


def quote_text(text: str) -> str:
    """Return a text literal, as sessions prepared by :meth:`Connection.prepare` read it."""
    return f"'{escape_string(text)}'"


def quote_account(account: Account) -> str:
    """Return ``'user'@'host'``, quoted."""
    return f"{quote_text(account.user)}@{quote_text(account.host)}"


def quote_name(name: str) -> str:
    """Return the name of a database, table, column, routine or role, quoted."""
    return "`" + name.replace("`", "``") + "`"


_CONVERSIONS: dict[Any, Any] = {
    **conversions,
    Account: lambda account, _mapping=None: quote_account(account),
}

Argument = str | int | Account | tuple[str, ...] | tuple[tuple[str, ...], ...]
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement returned; empty for one that returns nothing."""

    columns: list[str]
    rows: list[Row]


class _AskedForPassword(Exception):
    """The server wants the password itself, or what is as good."""


def _refuse_plugin(_connection: object) -> None:
    """Stand in for an authentication plugin that would hand the server the password."""
    raise _AskedForPassword


_PLUGINS: dict[str, Callable[[Any], Any]] = dict.fromkeys(
    ("mysql_clear_password", "dialog", "mysql_old_password"), _refuse_plugin
)


def plaintext_possible() -> bool:
    """Say whether the package is there that caching_sha2_password needs without TLS."""
    return importlib.util.find_spec("cryptography") is not None


def open_connection(login: Login, port: int, trust: Trust, deadline: Deadline) -> "Connection":
    """Log in.

    It may take :meth:`~shared.deadline.Deadline.login_seconds`.

    Args:
        login: Whom to log in, and where.
        port: Where the login has no port.
        trust: Who may vouch for the server.
        deadline: When to give up at the latest.

    Raises:
        LoginRefused, AccountUnusable, Unreachable, TlsFailed, ServerBusy, PermissionDenied,
            StatementFailed: See :mod:`rotators.mysql.error_codes`.
        OutOfTime: There is no time to begin.
    """
    port = port if login.port is None else login.port
    where = f"{login.host}:{port}"
    circumstances = f"Login of {login.username} at {where}"
    seconds = deadline.login_seconds("log in")
    end = time.monotonic() + seconds
    opened = open_socket(login.host, port, seconds)
    driver: DriverConnection[Cursor] = DriverConnection(
        host=login.host,
        port=port,
        user=login.username,
        password=login.password.encode(),
        # An administrator comes with the database of the rotated secret, and need not go there.
        database=login.document.get("dbname") or None,
        charset="utf8mb4",
        conv=_CONVERSIONS,
        ssl=trust.context_for(login.host) if login.tls else None,
        ssl_disabled=not login.tls,
        read_timeout=seconds,
        write_timeout=seconds,
        program_name=PROGRAM_NAME,
        auth_plugin_map=_PLUGINS,
        autocommit=None,
        defer_connect=True,
    )
    # Not before the driver is made: meanwhile the server gets its greeting ready.
    if is_postgresql(opened, seconds / 3):
        opened.close()
        raise Unreachable(f"{circumstances}: PostgreSQL answers there.", hint=PROTOCOL_HINT)
    try:
        with cut_after(opened.fileno(), end - time.monotonic()):
            driver.connect(opened)
    except Exception as failure:  # noqa: BLE001 (a server that speaks another protocol: anything)
        opened.close()
        if time.monotonic() >= end:
            raise Unreachable(
                f"{where} did not complete a login within {seconds:.0f} seconds."
            ) from None
        # Not chained: the driver's errors and their frames hold the password.
        raise _login_error(failure, login, circumstances) from None
    connection = Connection(driver, login, where, deadline)
    try:
        if not login.tls and not connection.is_mariadb and not plaintext_possible():
            # The server had the password's hash in its cache, else RuntimeError would have come.
            raise _no_plaintext(circumstances)  # noqa: TRY301 (closed here as for all others)
        connection.prepare()
    except BaseException:
        connection.close()
        raise
    return connection


def _login_error(failure: Exception, login: Login, circumstances: str) -> DatabaseError:
    """Tell what kept a login from succeeding; never raises, never quotes the driver."""
    if isinstance(failure, _AskedForPassword):
        return AccountUnusable(
            f"{circumstances}: the server asks for the password in clear, and was given none.",
            hint=IN_CLEAR_HINT,
        )
    if isinstance(failure, RuntimeError):
        # PyMySQL misses a package: cryptography without TLS, or PyNaCl for MariaDB's ed25519.
        return _no_plugin(circumstances) if login.tls else _no_plaintext(circumstances)
    original = getattr(failure, "original_exception", failure)
    if isinstance(original, ssl.SSLError):
        return tls_error(original, circumstances)
    if isinstance(original, OSError):
        return Unreachable(f"{circumstances}: {why_not(original)}.")
    code = _code_of(failure)
    if code is None:
        return Unreachable(
            f"{circumstances}: what answers there is no MySQL or MariaDB server.",
            hint=PROTOCOL_HINT,
        )
    return _refusal(code, str(failure.args[-1]), login, circumstances)


def _refusal(code: int, text: str, login: Login, circumstances: str) -> DatabaseError:
    if code == NO_SSL:
        return TlsNotOffered(f"{circumstances}: the server does not offer TLS.")
    # Which of the user's accounts it is, the server does not tell who is not let in.
    error = error_codes.at_login(code, circumstances, quote_account(Account(login.username, "%")))
    if not isinstance(error, LoginRefused):
        return error
    addresses = ADDRESS.findall(text)
    seen = f" The server sees {Account(login.username, addresses[-1])}." if addresses else ""
    without_tls = "" if login.tls else REQUIRE_SSL_HINT
    return LoginRefused(error.message + seen, hint=without_tls + error.advice)


def _no_plaintext(circumstances: str) -> TlsRequired:
    return TlsRequired(
        f"{circumstances}: MySQL is not logged in to without TLS.", hint=PLAINTEXT_HINT
    )


def _no_plugin(circumstances: str) -> AccountUnusable:
    return AccountUnusable(
        f"{circumstances}: the account's authentication plugin is not supported.",
        hint=error_codes.PLUGIN_HINT,
    )


def _code_of(failure: Exception) -> int | None:
    code = failure.args[0] if failure.args else None
    return code if isinstance(failure, pymysql.MySQLError) and isinstance(code, int) else None


class Connection:
    """An authenticated connection that runs statements.

    Args:
        driver: The open connection; owned by this object from now on.
        login: Whose login it is.
        where: ``host:port``, for messages.
        deadline: When to give up at the latest.

    Attributes:
        version: As the server greets with it.
        account: The account that the server found for the login; a guess before :meth:`prepare`.
    """

    def __init__(
        self, driver: "DriverConnection[Cursor]", login: Login, where: str, deadline: Deadline
    ) -> None:
        self._driver = driver
        self._where = where
        self.login = login
        self.deadline = deadline
        self.version = str(driver.get_server_info())  # type: ignore[no-untyped-call]
        self.account = Account(login.username, "%")

    @property
    def is_mariadb(self) -> bool:
        """Whether the server calls itself MariaDB (``5.5.5-10.11.6-MariaDB-log``)."""
        return "mariadb" in self.version.lower()

    def prepare(self) -> None:
        """Bring the session into a known state, whatever the server's defaults are.

        ``NO_BACKSLASH_ESCAPES`` would change how strings are quoted, ``ANSI_QUOTES`` what a quote
        is; MariaDB's ``GRANT`` creates a missing user unless told not to. A function that dies
        without closing its connection gives its advisory lock back when ``wait_timeout`` is over,
        which is 8 hours unless set.

        Raises:
            PasswordExpired: MariaDB lets an expired account in, and refuses its first question.
        """
        settings: dict[str, Argument] = {
            "sql_mode": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            "sql_quote_show_create": 1,
            "autocommit": 1,
            "lock_wait_timeout": LOCK_WAIT_SECONDS,
            "wait_timeout": 1 + int(self.deadline.seconds(LONGEST_SESSION_SECONDS, "log in")),
        }
        if self.is_mariadb:
            settings["sql_mode"] = f"{settings['sql_mode']},NO_AUTO_CREATE_USER"
            settings["max_statement_time"] = LOCK_WAIT_SECONDS
        assignments = ", ".join(f"{name} = %s" for name in settings)
        self.run("prepare the session", f"SET SESSION {assignments}", *settings.values())
        # Of several accounts of one name the server takes the one whose host fits best.
        ((found,),) = self.run("ask which account it is", "SELECT CURRENT_USER()")
        user, _, host = str(found).rpartition("@")
        self.account = Account(user, host)

    def run(self, purpose: str, statement: str, *arguments: Argument) -> list[Row]:
        """Run one statement and return its rows.

        Args:
            purpose: What it is for, in the infinitive, for messages: no password.
            statement: With ``%s`` for each argument; a percent sign of its own is ``%%`` if there
                are arguments.
            arguments: Rendered by their type: text, number, account, or, for IN, a list of texts.

        Raises:
            DatabaseError: One of the subclasses that :mod:`rotators.mysql.error_codes` names.
        """
        return self._answer(purpose, statement, arguments, ANSWER_SECONDS).rows

    def records(self, purpose: str, statement: str, *arguments: Argument) -> list[dict[str, Any]]:
        """Run one statement and return its rows by column name."""
        answer = self._answer(purpose, statement, arguments, ANSWER_SECONDS)
        return [dict(zip(answer.columns, row, strict=True)) for row in answer.rows]

    def attempt(
        self, purpose: str, statement: str, *arguments: Argument, expected: Collection[int]
    ) -> int | None:
        """Run one statement of which some failures are answers.

        Returns:
            None when it succeeded, else the error number, one of ``expected``.

        Raises:
            DatabaseError: Any other failure.
        """
        answer = self._ask(purpose, statement, arguments, ANSWER_SECONDS)
        if isinstance(answer, Answer):
            return None
        if answer in expected:
            return answer
        raise self._error(answer, purpose)

    def certificate(self) -> Mapping[str, object]:
        """Return the server's certificate, as it was verified; empty where there is no TLS."""
        # Not public, either: see _ask.
        encrypted = getattr(self._driver, "_sock", None)
        return (encrypted.getpeercert() or {}) if isinstance(encrypted, ssl.SSLSocket) else {}

    def close(self) -> None:
        """End the connection; never raises."""
        with suppress(Exception):
            self._driver.close()

    def _answer(
        self, purpose: str, statement: str, arguments: Sequence[Argument], silence: float
    ) -> "Answer":
        answer = self._ask(purpose, statement, arguments, silence)
        if isinstance(answer, Answer):
            return answer
        raise self._error(answer, purpose)

    def _ask(
        self, purpose: str, statement: str, arguments: Sequence[Argument], silence: float
    ) -> "Answer | int":
        """Run one statement; return the answer, or the number of the server's error."""
        seconds = self.deadline.seconds(silence, purpose)
        # PyMySQL takes its timeouts for the whole connection; what is left grows less with time.
        # The attributes are not public, so a test holds them to their effect.
        for name in ("_read_timeout", "_write_timeout"):
            setattr(self._driver, name, seconds)
        try:
            with self._driver.cursor() as cursor:
                cursor.execute(statement, arguments or None)
                columns = [column[0] for column in cursor.description or ()]
                return Answer(columns, list(cursor.fetchall()))
        except pymysql.MySQLError as failure:
            code = _code_of(failure)
            if code is not None and not self._late(code):
                return code
            lost = code is None
        # Outside the handler, so that the driver's error is not chained.
        if lost:
            raise Unreachable(f"{self._doing(purpose)}: the connection is closed.")
        raise OutOfTime(f"The server did not answer in time to {purpose}.")

    def _late(self, code: int) -> bool:
        return code in error_codes.LOST and self.deadline.remaining() <= 0

    def _error(self, code: int, purpose: str) -> DatabaseError:
        return error_codes.in_statement(code, self._doing(purpose), quote_account(self.account))

    def _doing(self, purpose: str) -> str:
        return f"{self.login.username} at {self._where}, to {purpose}"

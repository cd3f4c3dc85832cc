"""What the error numbers of MySQL and MariaDB mean for a rotation.

One number can mean different things in a login and in a statement (1044, 1045), hence two tables.
A number is looked up in its own table only; one that is in neither is a failure of which nothing is
known. ``proves_password`` is set where the server checks the password first: each such entry was
seen on a real server to give way to 1045 as soon as the password is wrong, and tests see it again.

Sources: MySQL's "Server Error Message Reference", MariaDB's "Error Codes", and the servers
themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from shared.errors import (
    AccountLocked,
    AccountMissing,
    AccountUnusable,
    DatabaseError,
    LoginRefused,
    NameTooLong,
    PasswordExpired,
    PasswordRejected,
    PermissionDenied,
    ServerBusy,
    ServerReadOnly,
    StatementFailed,
    TlsRequired,
    Unreachable,
)


@dataclass(frozen=True, slots=True)
class ErrorMeaning:
    """What an error number stands for.

    Attributes:
        error: The error to raise.
        text: What happened, in a few words.
        hint: What to do next; the class's own hint when None. ``{account}`` stands for the
            account, quoted as statements have it.
        proves_password: Only the right password leads here.
    """

    error: type[DatabaseError]
    text: str
    hint: str | None = None
    proves_password: bool = False

    def raised(self, code: int, circumstances: str, account: str) -> DatabaseError:
        """Return the error to raise.

        The server's own text is left out: that of some numbers quotes the statement, and with it
        the password. The number is enough to look the rest up.

        Args:
            code: The server's error number.
            circumstances: What was being done, to whom and where, without a password.
            account: Whose login it is or was, quoted; the host may be a guess.
        """
        return self.error(
            f"{circumstances}: {self.text} (error {code}).",
            hint=self.hint and self.hint.replace("{account}", account),
            proves_password=self.proves_password,
        )


CONNECTIONS_HINT = (
    "Secrets Manager repeats the rotation by itself; raise max_connections, "
    "max_user_connections or the account's own limit if it stays."
)
REFUSED_HINT = (
    "Compare the secret with the account in the database. The servers give the same answer for a "
    "wrong password, a user that does not exist for this client's address, an account that wants a "
    "client certificate (REQUIRE X509), and, under max_password_errors, a blocked one. A DBA sees "
    "which: SELECT User, Host, plugin, ssl_type FROM mysql.user; no certificate is asked for after "
    "ALTER USER {account} REQUIRE SSL, with the account's own host."
)
WAIT_HINT = (
    "Another session holds a lock that account changes wait for, such as a backup or FLUSH TABLES "
    "WITH READ LOCK. Secrets Manager repeats the rotation by itself."
)
DENIED_HINT = (
    "Grant it; an administrator needs at least GRANT CREATE USER ON *.* TO {account}; GRANT SELECT "
    "ON mysql.* TO {account}; what a strategy needs besides is in the rotator's README."
)
LOCKED_HINT = (
    "Unlock it: ALTER USER {account} ACCOUNT UNLOCK, with the account's own host; or do not rotate "
    "the secret."
)
BLOCKED_HINT = (
    "End the block (FAILED_LOGIN_ATTEMPTS of MySQL): ALTER USER {account} ACCOUNT UNLOCK, with the "
    "account's own host; and look for the client that still uses an old password."
)
EXPIRED_HINT = (
    "Set the same password again, for good: ALTER USER {account} IDENTIFIED BY '...' PASSWORD "
    "EXPIRE NEVER, with the account's own host; or name an administrator in the secret's "
    "`masterarn`, who sets a new one at the next rotation."
)
PLUGIN_HINT = (
    "Only accounts that log in with a password can be rotated. Move the account to "
    "caching_sha2_password (MySQL) or mysql_native_password (MariaDB), or take the secret out of "
    "rotation."
)
HISTORY_HINT = (
    "The account's PASSWORD HISTORY or PASSWORD REUSE INTERVAL remembers this password. "
    "A generated password never meets it; only one that was in use before does."
)

_BUSY = ErrorMeaning(ServerBusy, "the server has too many connections", CONNECTIONS_HINT)
_SHUTTING_DOWN = ErrorMeaning(ServerBusy, "the server is shutting down or restarting")
_PLUGIN = ErrorMeaning(
    AccountUnusable, "the account's authentication plugin is not available", PLUGIN_HINT
)
_READ_ONLY = ErrorMeaning(ServerReadOnly, "the server is read-only")
_DENIED = ErrorMeaning(PermissionDenied, "the user lacks a right for this", DENIED_HINT)
_POLICY = ErrorMeaning(PasswordRejected, "the server's password policy refuses the password")
_HISTORY = ErrorMeaning(PasswordRejected, "the password was used before", HISTORY_HINT)
_EXPIRED = ErrorMeaning(
    PasswordExpired, "the password has expired", EXPIRED_HINT, proves_password=True
)
_LOCKED = ErrorMeaning(AccountLocked, "the account is locked", LOCKED_HINT, proves_password=True)
_NO_ACCOUNT = ErrorMeaning(AccountMissing, "there is no such account")
_LOCK_WAIT = ErrorMeaning(ServerBusy, "a lock of the server was not released in time", WAIT_HINT)

AT_LOGIN: Mapping[int, ErrorMeaning] = {
    1045: ErrorMeaning(LoginRefused, "the login was refused", REFUSED_HINT),
    1698: ErrorMeaning(LoginRefused, "the login was refused", REFUSED_HINT),
    # The server's limit: answered before anybody says who he is.
    1040: _BUSY,
    # The server's own max_user_connections.
    1203: ErrorMeaning(ServerBusy, _BUSY.text, CONNECTIONS_HINT, proves_password=True),
    1226: ErrorMeaning(
        ServerBusy, "the account has used up its own limit", CONNECTIONS_HINT, proves_password=True
    ),
    1041: ErrorMeaning(ServerBusy, "the server is out of memory"),
    1135: ErrorMeaning(ServerBusy, "the server cannot make another thread"),
    1053: _SHUTTING_DOWN,
    1077: _SHUTTING_DOWN,
    1079: _SHUTTING_DOWN,
    3032: ErrorMeaning(ServerBusy, "the server is in offline mode", proves_password=True),
    1129: ErrorMeaning(
        ServerBusy,
        "the server blocks this client's address after too many broken connections",
        "A DBA runs FLUSH HOSTS (MySQL: TRUNCATE TABLE performance_schema.host_cache) and looks "
        "for what breaks connections: a health check, a scanner, wrong TLS settings.",
    ),
    1130: ErrorMeaning(
        AccountMissing,
        "the server has no account at all for this client's address",
        "Create the account for a host pattern that matches the function's address.",
    ),
    **dict.fromkeys((3118, 4151), _LOCKED),
    # Answered to right and wrong passwords alike; also to the failure that begins the block.
    3955: ErrorMeaning(
        AccountLocked,
        "the account is blocked for a time after too many failed logins",
        BLOCKED_HINT,
    ),
    **dict.fromkeys((1820, 1862), _EXPIRED),
    3159: ErrorMeaning(TlsRequired, "the server takes only TLS connections"),
    1044: ErrorMeaning(
        PermissionDenied,
        "the user may not use the database that the secret names",
        "Grant the user a right in that database, or correct `dbname` in the secret.",
        proves_password=True,
    ),
    1049: ErrorMeaning(
        StatementFailed,
        "the database that the secret names does not exist",
        "Correct `dbname` in the secret.",
        proves_password=True,
    ),
    1524: _PLUGIN,
    2059: _PLUGIN,
    1251: _PLUGIN,
    1275: _PLUGIN,
}

ACCESS_DENIED = 1227
"""A right to something of the whole server is missing."""
LACKS_A_RIGHT = frozenset(
    {1044, 1045, 1095, 1142, 1143, ACCESS_DENIED, 1370, 1410, 1698, 3619, 3879, 3929}
)
"""Answers to a statement of who may not run it. MariaDB answers a GRANT without the right to grant
with 1045 or 1698, as it does a refused login."""

IN_STATEMENT: Mapping[int, ErrorMeaning] = {
    **dict.fromkeys(LACKS_A_RIGHT, _DENIED),
    **dict.fromkeys((1290, 1792, 1836, 3100), _READ_ONLY),
    **dict.fromkeys((1372, 1819), _POLICY),
    3638: _HISTORY,
    **dict.fromkeys((1133, 1396), _NO_ACCOUNT),
    **dict.fromkeys((1205, 1213, 1689), _LOCK_WAIT),
    **dict.fromkeys((1053, 1077, 1079, 1317, 3169), _SHUTTING_DOWN),
    1969: ErrorMeaning(ServerBusy, "the statement took longer than the server allows"),
    3024: ErrorMeaning(ServerBusy, "the statement took longer than the server allows"),
    1226: ErrorMeaning(ServerBusy, "the account has used up its own limit", CONNECTIONS_HINT),
    1820: _EXPIRED,
    1524: _PLUGIN,
    1699: _PLUGIN,
    1470: ErrorMeaning(
        StatementFailed,
        "a name is longer than the server allows",
        NameTooLong.hint,
    ),
    3878: ErrorMeaning(
        PasswordRejected,
        "an empty password cannot be kept as the second one",
        "Give the user a password once by hand and store it as AWSCURRENT.",
    ),
    3894: ErrorMeaning(
        StatementFailed,
        "a password cannot be kept while the authentication plugin changes",
        PLUGIN_HINT,
    ),
}

LOST: frozenset[int] = frozenset({0, 2006, 2013, 2014, 2055})
"""PyMySQL's own numbers for a connection that broke, fell silent or is closed."""

LOST_HINT = (
    "Check the network between function and database, and that the database is running. "
    "Secrets Manager repeats the rotation, which asks the database how far it came."
)


def at_login(code: int, circumstances: str, account: str) -> DatabaseError:
    """Return the error for a number that the server gave in answer to a login."""
    return _lookup(AT_LOGIN, code, circumstances, account)


def in_statement(code: int, circumstances: str, account: str) -> DatabaseError:
    """Return the error for a number that the server gave in answer to a statement."""
    return _lookup(IN_STATEMENT, code, circumstances, account)


def _lookup(
    table: Mapping[int, ErrorMeaning], code: int, circumstances: str, account: str
) -> DatabaseError:
    if code in LOST:
        return Unreachable(f"{circumstances}: the connection was lost.", hint=LOST_HINT)
    return table.get(code, _UNKNOWN).raised(code, circumstances, account)


_UNKNOWN = ErrorMeaning(StatementFailed, "the server answered with an error")

"""What a MySQL or MariaDB account may do: by acting as it, and by what its own session says."""

import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any, ClassVar, TypeAlias

import pymysql

from local.servers import Account
from local.servers.clients import Endpoint, MariaDBClient, MySQLClient
from tests.kit.oracles.oracle import Oracle, Place, Rights

Connection: TypeAlias = "pymysql.Connection[pymysql.cursors.Cursor]"

SHARED_OBJECTS = (
    "CREATE DATABASE other",
    "CREATE TABLE other.ledger (id int, amount int, note text)",
    "CREATE TABLE other.archive (id int, note text)",
    "CREATE FUNCTION other.doubled(n int) RETURNS int DETERMINISTIC RETURN n * 2",
)
"""Owned by nobody who is rotated: what users have of it, they were granted."""

ROLES = ("CREATE ROLE readers", "GRANT SELECT ON other.archive TO readers")
"""By the administrator, who then may pass the role on."""

GRANTS = (
    "GRANT SELECT, DELETE ON other.ledger TO {user}",
    "GRANT INSERT (id, amount), UPDATE (amount) ON other.ledger TO {user}",
    "GRANT EXECUTE ON FUNCTION other.doubled TO {user} WITH GRANT OPTION",
    "GRANT PROCESS ON *.* TO {user}",
    "GRANT readers TO {user}",
    "ALTER USER {user} REQUIRE SSL WITH MAX_USER_CONNECTIONS 12",
)

CHANGED_GRANTS = (
    "REVOKE DELETE ON other.ledger FROM {user}",
    "GRANT UPDATE (note) ON other.ledger TO {user}",
    "REVOKE PROCESS ON *.* FROM {user}",
    "REVOKE readers FROM {user}",
    "ALTER USER {user} WITH MAX_USER_CONNECTIONS 13",
)

ACTS = (
    "SELECT count(*) >= 0 FROM other.ledger",
    "INSERT INTO other.ledger (id, amount) VALUES (1, 1)",
    "INSERT INTO other.ledger (note) VALUES ('x')",
    "UPDATE other.ledger SET amount = 2 WHERE false",
    "UPDATE other.ledger SET note = 'y' WHERE false",
    "DELETE FROM other.ledger WHERE false",
    "SELECT count(*) >= 0 FROM other.archive",
    "DELETE FROM other.archive",
    "SELECT other.doubled(2)",
    "SELECT count(*) > 0 FROM mysql.user",
    "TRUNCATE other.ledger",
    "CREATE TABLE other.mine (id int)",
    "CREATE USER nobody_at_all",
    "CREATE TEMPORARY TABLE passing (id int)",
    "INSERT INTO {table} (note) VALUES ('hers')",
    "SELECT count(*) > 0 FROM {view}",
    "CALL {procedure}()",
    "SHOW CREATE TRIGGER {trigger}",
)
"""Rolled back at the end; what cannot be rolled back is not allowed, or ends by itself."""

LEAVE = (
    "CREATE TABLE {table} (id int AUTO_INCREMENT PRIMARY KEY, note varchar(9))",
    "CREATE VIEW {view} AS SELECT * FROM {table}",
    "CREATE PROCEDURE {procedure}() SELECT 7",
    "CREATE TRIGGER {trigger} BEFORE INSERT ON {table} FOR EACH ROW SET NEW.note = NEW.note",
    "CREATE EVENT {event} ON SCHEDULE EVERY 1 YEAR DISABLE DO SELECT 1",
    "INSERT INTO {table} (note) VALUES ('mine')",
)

TAKE_OVER = (
    "INSERT INTO {table} (note) VALUES ('yours')",
    "SELECT count(*) > 1 FROM {view}",
    "CALL {procedure}()",
    "ALTER TABLE {table} ADD COLUMN more int",
    "CREATE INDEX {table} ON {table} (note)",
    "ALTER PROCEDURE {procedure} COMMENT 'ours'",
    "ALTER EVENT {event} COMMENT 'ours'",
    "CREATE OR REPLACE VIEW {view} AS SELECT id FROM {table}",
    "DROP EVENT {event}",
    "DROP TRIGGER {trigger}",
    "DROP PROCEDURE {procedure}",
    "DROP VIEW {view}",
    "DROP TABLE {table}",
)
"""What either user does with what either left."""

COLUMNS = re.compile(r"(?<=\()[^)]+(?=\))")

LEFT_OBJECTS = ("table", "view", "procedure", "trigger", "event")


class MySQLOracle(Oracle):
    """Looks at a MySQL server."""

    STATE: ClassVar[str] = (
        "SELECT concat_ws('|', plugin, authentication_string, account_locked, password_expired,"
        " ssl_type, max_user_connections, User_attributes) FROM mysql.user WHERE user = %s"
    )
    ROLES_IN_FORCE: ClassVar[str] = "SELECT role_name FROM information_schema.applicable_roles"
    DEFAULT_ROLE: ClassVar[str] = "SET DEFAULT ROLE readers TO {user}"
    NO_DEFAULT_ROLE: ClassVar[str] = ""
    ACCOUNT: ClassVar[str] = (
        "SELECT plugin, ssl_type, max_questions, max_updates, max_connections,"
        " max_user_connections, account_locked, password_lifetime, Password_reuse_history,"
        " Password_reuse_time, Password_require_current FROM mysql.user WHERE user = %s"
    )

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._client = self._new_client(Endpoint(place.host, place.port, place.ca_file))
        self._superuser: Connection | None = None

    @staticmethod
    def _new_client(endpoint: Endpoint) -> MySQLClient:
        return MySQLClient(endpoint)

    def open(self) -> None:
        """Open the superuser's connection."""
        self.close()
        self._superuser = self._client.connect(self.place.superuser, None)

    def close(self) -> None:
        """Close it."""
        if self._superuser is not None and self._superuser.open:
            self._superuser.close()

    def prepare_server(self) -> None:
        """Make a database with tables and a function, and a role, that all users share."""
        for statement in SHARED_OBJECTS:
            self._by_superuser(statement)
        for statement in ROLES:
            self._client.execute(self.place.administrator, None, statement)

    def make_user(self, name: str, password: str, *, own_two_passwords: bool) -> None:
        """Make an account with grants on a database, a table, columns, a function, and limits."""
        self._client.create_user(
            self.place.administrator, self.place.database, Account(name, password)
        )
        for statement in (*GRANTS, self.DEFAULT_ROLE):
            self._by_administrator(statement, name)
        with self._client.connect(Account(name, password), self.place.database) as session:
            _tried(session, LEAVE, _names(name))
        if own_two_passwords:
            self._by_superuser(f"GRANT APPLICATION_PASSWORD_ADMIN ON *.* TO '{name}'@'%'")

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password."""
        identified, value = self._client.identified(password)
        self._by_superuser(f"ALTER USER %s@'%%' {identified}", name, value)

    def change_rights(self, name: str) -> None:
        """Revoke rights on a table and of everything, a role, and grant another."""
        for statement in (self.NO_DEFAULT_ROLE, *CHANGED_GRANTS):
            if statement:
                self._by_administrator(statement, name)

    def state_of(self, username: str) -> Hashable:
        """Read the account's row."""
        rows = self._by_superuser(self.STATE, username)
        return str(rows[0][0]) if rows else None

    def logs_in(self, username: str, password: str) -> bool:
        """Log in afresh."""
        return self._client.logs_in(Account(username, password), self.place.database)

    def sessions(self, username: str) -> int:
        """Count the account's open sessions."""
        query = "SELECT count(*) FROM information_schema.processlist WHERE user = %s"
        return int(self._by_superuser(query, username)[0][0])

    def rights(self, first: str, username: str, password: str, *, taking_over: bool) -> Rights:
        """Act as the account; see :meth:`Oracle.rights`."""
        names = _names(first)
        with self._client.connect(Account(username, password), self.place.database) as session:
            session.begin()
            found = _tried(session, ACTS, names)
            session.rollback()
            found |= dict(self._facts(session, (username, first)))
            if taking_over:
                found |= _tried(session, (*TAKE_OVER, *LEAVE), names)
        found["account"] = str(self._by_superuser(self.ACCOUNT, username))
        return found

    def _facts(self, session: Connection, users: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        """Yield what the session says of itself: roles, and rights that are in force."""
        roles = _rows(session, self.ROLES_IN_FORCE)
        yield "roles in force", str(sorted({row[0] for row in roles} - {None, *users}))
        for row in self._grants(session):
            right, _, _ = str(row[0]).partition(" TO ")
            granted = str(row[0]).endswith("WITH GRANT OPTION")
            if " ON " in right and not right.startswith("GRANT USAGE"):
                # The order of columns is that of their granting.
                right = COLUMNS.sub(lambda found: ", ".join(sorted(found[0].split(", "))), right)
                yield f"granted: {right}", "with grant option" if granted else "yes"

    def _grants(self, session: Connection) -> list[tuple[Any, ...]]:
        return _rows(session, "SHOW GRANTS")

    def _by_administrator(self, statement: str, name: str) -> None:
        account = f"'{name}'@'%'"
        self._client.execute(self.place.administrator, None, statement.format(user=account))

    def _by_superuser(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        assert self._superuser is not None
        return _rows(self._superuser, statement, *parameters)


class MariaDBOracle(MySQLOracle):
    """Looks at a MariaDB server."""

    STATE = "SELECT Priv FROM mysql.global_priv WHERE User = %s"
    ROLES_IN_FORCE = "SELECT role_name FROM information_schema.enabled_roles"
    DEFAULT_ROLE = "SET DEFAULT ROLE readers FOR {user}"
    NO_DEFAULT_ROLE = "SET DEFAULT ROLE NONE FOR {user}"
    ACCOUNT = (
        "SELECT plugin, ssl_type, max_questions, max_updates, max_connections,"
        " max_user_connections, password_expired, default_role FROM mysql.user WHERE user = %s"
    )

    @staticmethod
    def _new_client(endpoint: Endpoint) -> MySQLClient:
        return MariaDBClient(endpoint)


def _rows(session: Connection, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with session.cursor() as cursor:
        cursor.execute(statement, parameters or None)
        return list(cursor.fetchall())


def _answer(session: Connection, statement: str) -> str:
    """Run one statement; say that it worked, or the server's code for why not."""
    try:
        _rows(session, statement)
        return "done"
    except pymysql.MySQLError as error:
        return f"error {error.args[0]}"


def _names(first: str) -> dict[str, str]:
    return {each: f"{each}_{first}" for each in LEFT_OBJECTS}


def _tried(
    session: Connection, statements: tuple[str, ...], names: Mapping[str, str]
) -> dict[str, str]:
    return {each: _answer(session, each.format(**names)) for each in statements}

"""What a PostgreSQL role may do: by acting as it, and by the catalogues as it sees them."""

from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import LiteralString, cast

import psycopg
from psycopg import sql

from local.servers import Account
from local.servers.clients import Endpoint, PostgresClient
from tests.kit.oracles.oracle import Oracle, Place, Rights

Connection = psycopg.Connection[tuple[object, ...]]

SHARED_OBJECTS: tuple[LiteralString, ...] = (
    "CREATE ROLE readers NOLOGIN",
    "CREATE TABLE ledger (id int, amount int, note text)",
    "CREATE TABLE archive (id int, note text)",
    "CREATE SEQUENCE numbers",
    "CREATE FUNCTION doubled(int) RETURNS int LANGUAGE sql AS 'SELECT $1 * 2'",
    "REVOKE EXECUTE ON FUNCTION doubled(int) FROM PUBLIC",
    "GRANT SELECT ON archive TO readers",
    """
    CREATE FUNCTION tried(statements text[], kept boolean) RETURNS text[] LANGUAGE plpgsql AS $$
    DECLARE
        statement text;
        results text[] := array[]::text[];
        result text;
    BEGIN
        FOREACH statement IN ARRAY statements LOOP
            BEGIN
                EXECUTE statement;
                IF NOT kept THEN
                    RAISE 'back' USING ERRCODE = 'XX999';
                END IF;
                result := 'done';
            EXCEPTION WHEN OTHERS THEN
                result := CASE WHEN SQLSTATE = 'XX999' THEN 'done' ELSE SQLSTATE END;
            END;
            results := results || result;
        END LOOP;
        RETURN results;
    END
    $$
    """,
)
"""Owned by the superuser: what users have of it, they were granted."""

GRANTS: tuple[LiteralString, ...] = (
    "GRANT readers TO {user}",
    "GRANT SELECT, DELETE ON ledger TO {user}",
    "GRANT INSERT (id, amount), UPDATE (amount) ON ledger TO {user}",
    "GRANT USAGE ON SEQUENCE numbers TO {user}",
    "GRANT EXECUTE ON FUNCTION doubled(int) TO {user} WITH GRANT OPTION",
    "ALTER ROLE {user} CONNECTION LIMIT 12 VALID UNTIL '2099-12-31'",
    "ALTER ROLE {user} SET statement_timeout = '29s'",
    "ALTER ROLE {user} SET search_path = public, pg_catalog",
    "ALTER ROLE {user} IN DATABASE {database} SET work_mem = '5MB'",
)

CHANGED_GRANTS: tuple[LiteralString, ...] = (
    "REVOKE DELETE ON ledger FROM {user}",
    "GRANT UPDATE (note) ON ledger TO {user}",
    "REVOKE readers FROM {user}",
    "ALTER ROLE {user} CONNECTION LIMIT 13",
    "ALTER ROLE {user} SET statement_timeout = '28s'",
)

ACTS: tuple[LiteralString, ...] = (
    "SELECT count(*) >= 0 FROM ledger",
    "INSERT INTO ledger (id, amount) VALUES (1, 1)",
    "INSERT INTO ledger (note) VALUES ('x')",
    "UPDATE ledger SET amount = 2",
    "UPDATE ledger SET note = 'y'",
    "DELETE FROM ledger WHERE id = 1",
    "TRUNCATE ledger",
    "SELECT count(*) >= 0 FROM archive",
    "DELETE FROM archive",
    "SELECT nextval('numbers') > 0",
    "SELECT setval('numbers', 5)",
    "SELECT doubled(2)",
    "SELECT count(*) >= 0 FROM pg_authid",
    "CREATE TEMPORARY TABLE passing (id int)",
    "CREATE SCHEMA of_my_own",
    "CREATE ROLE another",
    "ALTER TABLE {table} OWNER TO CURRENT_USER",
    "DROP TABLE {table} CASCADE",
)
"""Each is rolled back."""

FACTS: tuple[tuple[str, LiteralString], ...] = (
    ("acts as", "SELECT current_user::text"),
    ("timeout", "SHOW statement_timeout"),
    ("path", "SHOW search_path"),
    ("memory", "SHOW work_mem"),
    (
        "attributes",
        (
            "SELECT rolcreatedb, rolcreaterole, rolreplication, rolbypassrls, rolconnlimit,"
            " rolvaliduntil FROM pg_roles WHERE rolname = session_user"
        ),
    ),
    (
        "roles in force",
        (
            "SELECT rolname::text FROM pg_roles WHERE pg_has_role(session_user, oid, 'USAGE')"
            " AND rolname <> session_user AND rolname <> current_user ORDER BY 1"
        ),
    ),
    (
        "tables",
        (
            "SELECT relname::text, pg_get_userbyid(relowner)::text, array(SELECT p"
            " FROM unnest(array['SELECT','INSERT','UPDATE','DELETE','TRUNCATE','TRIGGER']) AS p"
            " WHERE has_table_privilege(pg_class.oid, p)) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v', 'S')"
            " AND (pg_has_role(current_user, relowner, 'USAGE')"
            "  OR relname IN ('ledger', 'archive', 'numbers')) ORDER BY 1"
        ),
    ),
    (
        "columns",
        (
            "SELECT attname::text, has_column_privilege('ledger', attname, 'INSERT'),"
            " has_column_privilege('ledger', attname, 'UPDATE') FROM pg_attribute"
            " WHERE attrelid = 'ledger'::regclass AND attnum > 0 ORDER BY 1"
        ),
    ),
    (
        "may grant",
        "SELECT has_function_privilege('doubled(int)', 'EXECUTE WITH GRANT OPTION')",
    ),
    (
        "schema, database",
        (
            "SELECT has_schema_privilege('public', 'CREATE'),"
            " has_schema_privilege('public', 'USAGE'),"
            " has_database_privilege(current_database(), 'CREATE'),"
            " has_database_privilege(current_database(), 'TEMPORARY')"
        ),
    ),
)
"""Name and query: what the user's own session says of itself."""

LEFT_OBJECTS = ("table", "view", "function")

LEAVE: tuple[LiteralString, ...] = (
    "CREATE TABLE {table} (id int GENERATED ALWAYS AS IDENTITY, note text)",
    "CREATE VIEW {view} AS SELECT * FROM {table}",
    "CREATE FUNCTION {function}() RETURNS int LANGUAGE sql AS 'SELECT 7'",
    "INSERT INTO {table} (note) VALUES ('mine')",
)

TAKE_OVER: tuple[LiteralString, ...] = (
    "INSERT INTO {table} (note) VALUES ('yours')",
    "SELECT count(*) > 1, max({function}()) FROM {view}",
    "ALTER TABLE {table} ADD COLUMN more int",
    "CREATE INDEX ON {table} (note)",
    "CREATE OR REPLACE FUNCTION {function}() RETURNS int LANGUAGE sql AS 'SELECT 8'",
    "DROP FUNCTION {function}()",
    "DROP VIEW {view}",
    "DROP TABLE {table}",
)
"""What either user does with what either left."""


class PostgresOracle(Oracle):
    """Looks at a PostgreSQL server."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._client = PostgresClient(Endpoint(place.host, place.port, place.ca_file))
        self._superuser: Connection | None = None

    def open(self) -> None:
        """Open the superuser's connection."""
        self.close()
        self._superuser = self._client.connect(self.place.superuser, self.place.database)

    def close(self) -> None:
        """Close it."""
        if self._superuser is not None:
            self._superuser.close()

    def prepare_server(self) -> None:
        """Make the tables, the sequence, the function and the role that all users share."""
        for statement in SHARED_OBJECTS:
            self._by_superuser(statement)

    def make_user(self, name: str, password: str, *, own_two_passwords: bool) -> None:
        """Make a role with grants on tables, columns, a sequence and a function, and settings."""
        del own_two_passwords  # PostgreSQL knows one password
        account = Account(name, password)
        with self._alone():
            self._client.create_user(self.place.administrator, self.place.database, account)
            for statement in GRANTS:
                self._by_superuser(statement, user=name, database=self.place.database)
        with self._client.connect(account, self.place.database) as session:
            _tried(session, LEAVE, _names(name))

    def set_password(self, name: str, password: str) -> None:
        """Give a role another password; as a verifier, since the statement is logged."""
        assert self._superuser is not None
        verifier = self._superuser.pgconn.encrypt_password(
            password.encode(), name.encode(), b"scram-sha-256"
        )
        alter = sql.SQL("ALTER ROLE {} PASSWORD {}")
        self._superuser.execute(alter.format(sql.Identifier(name), sql.Literal(verifier.decode())))

    def change_rights(self, name: str) -> None:
        """Revoke one right on a table and a membership, grant another, change what is set."""
        with self._alone():
            for statement in CHANGED_GRANTS:
                self._by_superuser(statement, user=name)

    def state_of(self, username: str) -> Hashable:
        """Read the role's verifier and all else that a login depends on."""
        assert self._superuser is not None
        return self._superuser.execute(
            "SELECT rolpassword, rolcanlogin, rolvaliduntil FROM pg_authid WHERE rolname = %s",
            (username,),
        ).fetchone()

    def logs_in(self, username: str, password: str) -> bool:
        """Log in afresh."""
        return self._client.logs_in(Account(username, password), self.place.database)

    def sessions(self, username: str) -> int:
        """Count the role's open sessions."""
        assert self._superuser is not None
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        row = self._superuser.execute(query, (username,)).fetchone()
        return int(str(row[0])) if row else 0

    def rights(self, first: str, username: str, password: str, *, taking_over: bool) -> Rights:
        """Act as the role; see :meth:`Oracle.rights`."""
        account = Account(username, password)
        with self._client.connect(account, self.place.database) as session:
            names = _names(first)
            found = _tried(session, ACTS, names, kept=False)
            with session.pipeline():
                answers = {name: session.execute(query) for name, query in FACTS}
            found |= {
                name: str(answer.fetchall()).replace(username, "USER").replace(first, "USER")
                for name, answer in answers.items()
            }
            if taking_over:
                found |= _tried(session, (*TAKE_OVER, *LEAVE), names)
        return found

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other lanes away: PostgreSQL bears one change of an object's rights at a time."""
        assert self._superuser is not None
        self._superuser.execute("SELECT pg_advisory_lock(1)")
        try:
            yield
        finally:
            self._superuser.execute("SELECT pg_advisory_unlock(1)")

    def _by_superuser(self, statement: LiteralString, **names: str) -> None:
        assert self._superuser is not None
        identifiers = {each: sql.Identifier(name) for each, name in names.items()}
        self._superuser.execute(sql.SQL(statement).format(**identifiers))


def _names(first: str) -> dict[str, sql.Composable]:
    return {each: sql.Identifier(f"{each}_{first}") for each in LEFT_OBJECTS}


def _tried(
    session: Connection,
    statements: tuple[LiteralString, ...],
    names: Mapping[str, sql.Composable],
    *,
    kept: bool = True,
) -> dict[str, str]:
    """Run each statement by itself, in one call; map it to ``done`` or the SQLSTATE of why not."""
    texts = [sql.SQL(each).format(**names).as_string(session) for each in statements]
    row = session.execute("SELECT tried(%s::text[], %s)", (texts, kept)).fetchone()
    assert row is not None
    return dict(zip(statements, cast("list[str]", row[0]), strict=True))

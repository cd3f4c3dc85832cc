"""The measured process: the floor for PostgreSQL."""

import hashlib
import os

import psycopg
from psycopg import sql

from local.bench.bare import Floor, Login
from local.bench.conversation import converse

Connection = psycopg.Connection[tuple[object, ...]]


class PostgresFloor(Floor[Connection]):
    """The statements of a rotation, by psycopg."""

    def connect(self, login: Login) -> Connection:
        """Log in over verified TLS."""
        return psycopg.connect(
            host=login["host"],
            port=login["port"],
            user=login["username"],
            password=login["password"],
            dbname=login["dbname"],
            application_name="secret-rotation",
            client_encoding="UTF8",
            sslmode="verify-full",
            sslrootcert=os.environ["DATABASE_CA_FILE"],
            gssencmode="disable",
            autocommit=True,
            prepare_threshold=None,
        )

    def lock(self, connection: Connection, secret: str) -> None:
        """Take the advisory lock."""
        key = int.from_bytes(hashlib.sha256(secret.encode()).digest()[:8], "big", signed=True)
        connection.execute("SELECT pg_catalog.pg_try_advisory_lock(%s)", (key,)).fetchall()

    def change(self, connection: Connection, pending: Login) -> None:
        """Change the password, given as a SCRAM verifier."""
        name, password = pending["username"], pending["password"]
        with connection.transaction():
            connection.execute(
                "SELECT set_config('role', 'none', true),"
                " set_config('search_path', 'pg_catalog', true),"
                " set_config('statement_timeout', %s, true),"
                " set_config('lock_timeout', %s, true)",
                ("16000", "15000"),
            ).fetchall()
            verifier = connection.pgconn.encrypt_password(
                password.encode(), name.encode(), b"scram-sha-256"
            ).decode()
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(name), sql.Literal(verifier)
                )
            )


if __name__ == "__main__":
    converse(PostgresFloor().work)

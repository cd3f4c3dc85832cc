"""PostgreSQL as tests and the demo run it."""

import re
from pathlib import Path
from typing import ClassVar

from local.servers.clients import Client, Endpoint, PostgresClient
from local.servers.server import LocalServer

_REFUSED = re.compile(
    r"FATAL:  (?:password authentication failed for user|no pg_hba\.conf entry for host"
    r"|role .* is not permitted to log in)"
)

# Nothing outlives the test: durability against a crash of the *machine* is given up, that against
# a crash of the server is not (synchronous_commit stays on).
_SETTINGS = {
    "listen_addresses": "'127.0.0.1'",
    "unix_socket_directories": "''",
    "max_connections": "60",
    "shared_buffers": "'16MB'",
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "replica",  # a standby starts from nothing less
    "max_wal_senders": "0",
    "jit": "off",
    "password_encryption": "'scram-sha-256'",
    "log_statement": "all",
    "log_connections": "on",
    "log_disconnections": "on",
    "log_line_prefix": "'%m [%p] %q%u@%d '",
    "lc_messages": "'C'",
    "log_timezone": "'UTC'",
}


class PostgresServer(LocalServer):
    """A PostgreSQL server.

    The administrator has `LOGIN CREATEROLE CREATEDB` and owns the database, but is no superuser:
    what `rds_superuser` comes down to for roles and passwords. The log has every statement, at
    `log_statement=all`, and every login. There is no Unix socket, and with TLS on there is no
    entry for plain connections: they are refused before a password is asked for.
    """

    engine: ClassVar = "postgres"
    END_SIGNAL: ClassVar = "SIGQUIT"
    STOP_SIGNAL: ClassVar = "SIGINT"

    @staticmethod
    def superuser_name() -> str:
        """Return the name of the engine's superuser."""
        return "postgres"

    def _new_client(self, endpoint: Endpoint) -> Client:
        return PostgresClient(endpoint)

    def _initialise(self, data: Path) -> list[str]:
        initdb = self._installation.program.with_name("initdb")
        command = [
            *(str(initdb), "-D", str(data), "-U", "postgres", "--no-sync"),
            *("--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"),
        ]
        # An empty password file would be refused; _bootstrap sets the real password.
        password_file = data.parent / "password"
        password_file.write_text("to be replaced\n")
        self._user.own(password_file)
        return [*command, f"--pwfile={password_file}"]

    def _bootstrap(self) -> None:
        settings = _SETTINGS | {
            "port": str(self.port),
            "ssl": "on" if self.tls else "off",
            "ssl_cert_file": f"'{self._home / 'certificate.pem'}'",
            "ssl_key_file": f"'{self._home / 'key.pem'}'",
        }
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        (self._data / "postgresql.conf").write_text(lines)
        kind = "hostssl" if self.tls else "host"
        (self._data / "pg_hba.conf").write_text(f"{kind} all all 127.0.0.1/32 scram-sha-256\n")
        name, password = self.administrator.username, self.administrator.password
        # Single-user mode: the statements are in no log, and no other way in is ever open.
        statements = (
            f"ALTER ROLE postgres PASSWORD '{self.superuser.password}'",
            f"CREATE ROLE {name} LOGIN CREATEROLE CREATEDB PASSWORD '{password}'",
            f"CREATE DATABASE {self.database} OWNER {name}",
        )
        self.run_program(
            [str(self._installation.program), "--single", "-D", str(self._data), "postgres"],
            self._home,
            "".join(f"{each}\n" for each in statements),
        )

    def _command(self) -> list[str]:
        return [str(self._installation.program), "-D", str(self._data)]

    def failed_logins(self) -> int:
        """Return how many logins the server has refused so far, as its log tells."""
        return len(_REFUSED.findall(self.log_text()))

    def set_read_only(self, on: bool) -> None:  # noqa: FBT001 - a switch
        """Make the server a standby (without a primary), or a primary again; open sessions end.

        Nothing less will do: `default_transaction_read_only` is only what a session begins with.
        """
        signal = self._data / "standby.signal"
        if on:
            signal.touch()
            self._user.own(signal)
        else:
            signal.unlink(missing_ok=True)
        self.restart()

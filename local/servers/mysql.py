"""MySQL and MariaDB as tests and the demo run them."""

import re
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from local.servers.clients import Client, Endpoint, MariaDBClient, MySQLClient, native_password_hash
from local.servers.server import LocalServer

# Both logs show a refusal: the general log as an answer to Connect, the error log as a warning.
# Counted is the general log, which no setting of verbosity keeps silent.
_REFUSED = re.compile(r"\d Connect\tAccess denied for user")

# Nothing outlives the test: durability against a crash of the *machine* is given up, that against
# a crash of the server is not (2: every commit is handed to the operating system).
_SETTINGS = (
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--skip-log-bin",
    "--performance-schema=OFF",
    "--max-connections=60",
    "--max-connect-errors=1000000",
    "--table-open-cache=200",
    "--innodb-buffer-pool-size=24M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--innodb-use-native-aio=0",
    "--character-set-server=utf8mb4",
    "--log-output=FILE",
    "--default-time-zone=+00:00",
)

_ORDINARY_RIGHTS = (
    "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, RELOAD, PROCESS, REFERENCES, INDEX, ALTER,"
    " SHOW DATABASES, CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, REPLICATION SLAVE,"
    " REPLICATION CLIENT, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, CREATE USER,"
    " EVENT, TRIGGER"
)
"""What RDS gives the master user of MySQL and of MariaDB, with GRANT OPTION.

Source: Amazon RDS User Guide, "Master user account privileges".
"""


_ROLE_RIGHTS = (
    "CREATE ROLE, DROP ROLE, APPLICATION_PASSWORD_ADMIN, CONNECTION_ADMIN, ROLE_ADMIN,"
    " XA_RECOVER_ADMIN"
)
"""What RDS for MySQL 8.0.36 and later adds; from the same source."""

_WRITING_RIGHTS = (
    "INSERT, UPDATE, DELETE, CREATE, DROP, REFERENCES, INDEX, ALTER, CREATE TEMPORARY TABLES,"
    " LOCK TABLES, CREATE VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER"
)
"""What RDS for MySQL lets nobody do to the tables of `mysql`.

Source: Amazon RDS User Guide, "Role-based privilege model for RDS for MySQL".
"""


class MySQLFamilyServer(LocalServer):
    """What MySQL and MariaDB have in common.

    TLS is required (`require_secure_transport`); every statement and every login is in the general
    log, errors are in the error log.
    """

    END_SIGNAL: ClassVar = "SIGKILL"
    STOP_SIGNAL: ClassVar = "SIGTERM"

    @staticmethod
    def superuser_name() -> str:
        """Return the name of the engine's superuser."""
        return "root"

    @property
    def _general_log(self) -> Path:
        return self._home / "general.log"

    @abstractmethod
    def _bootstrap_statements(self) -> list[str]:
        """Return the statements that make superuser and administrator."""

    @abstractmethod
    def _folder_options(self) -> list[str]:
        """Return the options that lead to files of an unpacked package."""

    @abstractmethod
    def _engine_options(self) -> list[str]:
        """Return the options that only this engine has."""

    def _bootstrap(self) -> None:
        # The file runs before the server listens. The general log opens with its last statement,
        # so that the passwords above are in no log.
        self._first_statements.touch(mode=0o600)
        statements = [
            *self._bootstrap_statements(),
            f"CREATE DATABASE {self.database}",
            "SET GLOBAL general_log = ON",
        ]
        self._first_statements.write_text("".join(f"{each};\n" for each in statements))
        self._user.own(self._first_statements)

    @property
    def _first_statements(self) -> Path:
        return self._home / "first-statements.sql"

    def _start(self) -> None:
        super()._start()
        self._first_statements.unlink(missing_ok=True)

    def _command(self) -> list[str]:
        first_start = self._first_statements.exists()
        home = self._home
        return [
            *(str(self._installation.program), "--no-defaults", f"--datadir={self._data}"),
            *(f"--port={self.port}", f"--socket={home / 'socket'}", f"--tmpdir={home}"),
            *(f"--pid-file={home / 'pid'}", f"--general-log-file={self._general_log}"),
            f"--general-log={'OFF' if first_start else 'ON'}",
            *([f"--init-file={self._first_statements}"] if first_start else []),
            *_SETTINGS,
            *self._tls_options(),
            *self._folder_options(),
            *self._engine_options(),
        ]

    def _tls_options(self) -> list[str]:
        if not self.tls:
            return self._no_tls_options()
        return [
            f"--ssl-ca={self.ca_file}",
            f"--ssl-cert={self._home / 'certificate.pem'}",
            f"--ssl-key={self._home / 'key.pem'}",
            "--tls-version=TLSv1.2,TLSv1.3",
            "--require-secure-transport=ON",
        ]

    @abstractmethod
    def _no_tls_options(self) -> list[str]:
        """Return the options that turn TLS off."""

    def log_text(self) -> str:
        """Return the server's own logs so far: the error log, then the general log."""
        return super().log_text() + self._read(self._general_log)

    def failed_logins(self) -> int:
        """Return how many logins the server has refused so far, as its log tells."""
        return len(_REFUSED.findall(self._read(self._general_log)))


class MySQLServer(MySQLFamilyServer):
    """A MySQL server.

    The administrator holds, with GRANT OPTION, what RDS gives the master user since 8.0.36. That
    RDS lets nobody write to the tables of `mysql` is had by partial revokes; a consequence is that
    `%` and `_` in the database name of a GRANT are no wildcards here.
    """

    engine: ClassVar = "mysql"

    def _new_client(self, endpoint: Endpoint) -> Client:
        return MySQLClient(endpoint)

    def _initialise(self, data: Path) -> list[str]:
        return [
            *(str(self._installation.program), "--no-defaults", "--initialize-insecure"),
            *(f"--datadir={data}", "--innodb-redo-log-capacity=8M", *_SETTINGS),
            *self._folder_options(),
        ]

    def _bootstrap_statements(self) -> list[str]:
        name = self.administrator.username
        # 8.4 split SET_USER_ID; this is the part that RDS's documentation is about.
        major, minor = (int(number) for number in self.version.split(".")[:2])
        definer = "SET_ANY_DEFINER" if (major, minor) >= (8, 4) else "SET_USER_ID"
        rights = f"{_ORDINARY_RIGHTS}, {_ROLE_RIGHTS}, {definer}"
        return [
            f"RENAME USER 'root'@'localhost' TO '{self.superuser.username}'@'%'",
            f"ALTER USER '{self.superuser.username}'@'%' IDENTIFIED BY '{self.superuser.password}'",
            f"CREATE USER '{name}'@'%' IDENTIFIED BY '{self.administrator.password}'",
            f"GRANT {rights} ON *.* TO '{name}'@'%' WITH GRANT OPTION",
            f"REVOKE {_WRITING_RIGHTS} ON mysql.* FROM '{name}'@'%'",
        ]

    def _folder_options(self) -> list[str]:
        tree = self._installation.tree
        if tree is None:
            return ["--secure-file-priv=NULL"]
        share = tree / "usr" / "share" / "mysql"
        return [
            # The compiled-in folder does not exist where the server was not installed.
            "--secure-file-priv=NULL",
            f"--lc-messages-dir={share}",
            f"--character-sets-dir={share / 'charsets'}",
            f"--plugin-dir={tree / 'usr' / 'lib' / 'mysql' / 'plugin'}",
        ]

    def _engine_options(self) -> list[str]:
        return [
            *("--mysqlx=OFF", "--innodb-redo-log-capacity=8M", "--partial-revokes=ON"),
            *("--log-error-verbosity=3", "--auto-generate-certs=OFF"),
            # The key pair with which a password may cross a connection that is not encrypted.
            f"--caching-sha2-password-auto-generate-rsa-keys={'OFF' if self.tls else 'ON'}",
        ]

    def _no_tls_options(self) -> list[str]:
        return ["--tls-version="]

    def set_read_only(self, on: bool) -> None:  # noqa: FBT001 - a switch
        """Make the server refuse all writes, or take them again (error 1290).

        `super_read_only`, since the administrator's CONNECTION_ADMIN overrides `read_only`.
        """
        self.execute(f"SET GLOBAL super_read_only = {int(on)}")
        if not on:
            self.execute("SET GLOBAL read_only = 0")


class MariaDBServer(MySQLFamilyServer):
    """A MariaDB server.

    The administrator holds the ordinary rights with GRANT OPTION, as on RDS, and not `SUPER` or
    any `… ADMIN`: so it cannot pass on what it does not hold (`GRANT ALL` fails with 1044).
    """

    engine: ClassVar = "mariadb"

    def _new_client(self, endpoint: Endpoint) -> Client:
        return MariaDBClient(endpoint)

    def _base(self) -> Path:
        tree = self._installation.tree
        return tree / "usr" if tree else self._installation.program.parent.parent

    def _initialise(self, data: Path) -> list[str]:
        base = self._base()
        return [
            *(str(base / "bin" / "mariadb-install-db"), "--no-defaults", f"--basedir={base}"),
            *(f"--datadir={data}", "--auth-root-authentication-method=normal"),
            *("--skip-test-db", "--skip-name-resolve", "--innodb-log-file-size=8M"),
        ]

    def _bootstrap_statements(self) -> list[str]:
        name = self.administrator.username
        password = native_password_hash(self.administrator.password)
        superuser_name = self.superuser.username
        superuser_password = native_password_hash(self.superuser.password)
        return [
            # What the initialisation made: logins without a password, one at the machine's name.
            "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys'",
            "DELETE FROM mysql.proxies_priv",
            "FLUSH PRIVILEGES",
            f"CREATE USER '{superuser_name}'@'%' IDENTIFIED BY PASSWORD '{superuser_password}'",
            f"GRANT ALL ON *.* TO '{superuser_name}'@'%' WITH GRANT OPTION",
            f"CREATE USER '{name}'@'%' IDENTIFIED BY PASSWORD '{password}'",
            f"GRANT {_ORDINARY_RIGHTS} ON *.* TO '{name}'@'%' WITH GRANT OPTION",
        ]

    def _folder_options(self) -> list[str]:
        tree = self._installation.tree
        if tree is None:
            return []
        share = next(each for each in tree.glob("usr/share/*/charsets") if each.is_dir()).parent
        plugins = next(tree.glob("usr/lib/mysql/plugin"), tree / "usr/lib/mysql/plugin")
        return [
            f"--basedir={self._base()}",
            f"--lc-messages-dir={share}",
            f"--character-sets-dir={share / 'charsets'}",
            f"--plugin-dir={plugins}",
        ]

    def _engine_options(self) -> list[str]:
        return ["--innodb-log-file-size=8M", "--log-warnings=2", "--feedback=OFF"]

    def _no_tls_options(self) -> list[str]:
        return ["--skip-ssl"]

    def set_read_only(self, on: bool) -> None:  # noqa: FBT001 - a switch
        """Make the server refuse writes of everyone but superusers, or take them again (1290)."""
        self.execute(f"SET GLOBAL read_only = {int(on)}")

"""What a database server is to a test: accounts, an address, an oracle, and a life that ends."""

import atexit
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import quote

from local.servers.certificates import LOOPBACK_NAMES, Authority
from local.servers.clients import Account, Client, Endpoint, Parameters, Rows
from local.servers.errors import ServerUnavailable
from local.servers.folders import cache_folder, give, locked, new_run_folder, unprivileged
from local.servers.installations import Installation

DATABASE = "app"
ADMINISTRATOR = "administrator"

_KEEPER = Path(__file__).with_name("keeper.py")
_OUTGOING_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_PAUSE_SECONDS = 0.02


def random_password() -> str:
    """Return a password that needs no quoting anywhere."""
    return secrets.token_hex(16)


class Server(ABC):
    """A database server that tests and the demo use.

    Attributes:
        kind: what was asked for, such as `postgres-18`.
        engine: `postgres`, `mysql` or `mariadb`.
        version: as the server tells it.
        host: the name that it is reached under, and that its certificate is made out to.
        port: its TCP port.
        ca_file: PEM of the authority to verify it against.
        database: a database that exists; the administrator's own.
        administrator: holds what the master user of an RDS instance holds, not more.
        superuser: for oracles and fixtures only.
    """

    kind: str
    engine: ClassVar[str]
    version: str
    host: str
    port: int
    ca_file: Path
    database: str
    administrator: Account
    superuser: Account
    _client: Client

    def execute(
        self,
        statement: str,
        parameters: Parameters = None,
        *,
        account: Account | None = None,
        database: str | None = None,
    ) -> Rows:
        """Run one statement and return its rows, if it has any.

        Args:
            statement: SQL, with `%s` where a parameter goes.
            parameters: one value for each `%s`.
            account: who runs it; the superuser by default.
            database: where; `self.database` by default.

        Raises:
            psycopg.Error or pymysql.MySQLError: as the driver reports it.
        """
        return self._client.execute(
            account or self.superuser, database or self.database, statement, parameters
        )

    def logs_in(self, username: str, password: str, database: str | None = None) -> bool:
        """Tell whether the server accepts this password, by a fresh login over verified TLS.

        Raises:
            psycopg.Error or pymysql.MySQLError: anything but a refused password, such as a
                locked account or a server that does not answer.
        """
        return self._client.logs_in(Account(username, password), database or self.database)

    def create_user(self, name: str, password: str) -> None:
        """Create an application's user by the administrator, who so may grant and alter it.

        It may do in `self.database` what an application does: read, write, create, drop. The
        password does not appear in the server's log.

        Args:
            name: user name; on MySQL and MariaDB the account is `name@'%'`.
            password: its password.
        """
        self._client.create_user(self.administrator, self.database, Account(name, password))

    def drop_user(self, name: str) -> None:
        """Drop a user that `create_user` made, by the administrator."""
        self._client.drop_user(self.administrator, self.database, name)

    def url(self) -> str:
        """Return the administrator's login as a URL, password included."""
        credentials = f"{quote(self.administrator.username)}:{quote(self.administrator.password)}"
        where = f"{self.host}:{self.port}/{quote(self.database)}"
        return f"{self.engine}://{credentials}@{where}?ca={quote(str(self.ca_file))}"

    @abstractmethod
    def log_text(self) -> str:
        """Return the server's own log so far: statements, logins, refusals, errors."""

    @abstractmethod
    def failed_logins(self) -> int:
        """Return how many logins the server has refused so far, as its log tells."""

    @abstractmethod
    def set_read_only(self, on: bool) -> None:  # noqa: FBT001 - a switch
        """Make new sessions unable, or able again, to write; open ones may end."""

    @abstractmethod
    def restart(self) -> None:
        """Stop the server if it runs, and start it again on the same port with what it stored."""

    @abstractmethod
    def stop(self) -> None:
        """Shut the server down in order; `restart` brings it back."""

    @abstractmethod
    def stop_hard(self) -> None:
        """Kill the server (SIGKILL); `restart` brings it back."""

    @abstractmethod
    def close(self) -> None:
        """End the server for good and remove all that it stored. May be called again."""

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the server for good."""
        self.close()


class LocalServer(Server):
    """A server that runs on this machine for as long as it is wanted.

    It ends with `close`, with this program's exit, and with this program's sudden death: see
    `keeper`. Below its run folder:

        ca.pem        its authority, readable by all
        server/       what the server's user owns: data/, certificate, key, logs
    """

    END_SIGNAL: ClassVar[str]
    """Ends the server at once, without leaving shared memory behind."""

    STOP_SIGNAL: ClassVar[str]
    """Shuts the server down in order."""

    TEMPLATE_REVISION: ClassVar[int] = 1
    """Rises when `_initialise` makes other data folders than before."""

    def __init__(
        self,
        installation: Installation,
        *,
        tls: bool = True,
        certificate_names: Sequence[str] = LOOPBACK_NAMES,
    ) -> None:
        """Start the server and wait until it answers.

        Args:
            installation: the programs.
            tls: whether the server offers TLS, and then demands it.
            certificate_names: the names that its certificate is made out to.

        Raises:
            ServerUnavailable: it does not start; the end of its log is in the message.
        """
        self.kind = installation.kind
        self.version = installation.version
        self.host = "localhost"
        self.database = DATABASE
        self.administrator = Account(ADMINISTRATOR, random_password())
        self.superuser = Account(self.superuser_name(), random_password())
        self.tls = tls
        self._installation = installation
        self._user = unprivileged()
        self._keeper: subprocess.Popen[bytes] | None = None
        self._made_by = os.getpid()
        self._folder = new_run_folder()
        self._home = self._folder / "server"
        self._data = self._home / "data"
        self.ca_file = self._folder / "ca.pem"
        _RUNNING.add(self)
        try:
            self._prepare(certificate_names)
            self.port = _free_port()
            ca_file = self.ca_file if tls else None
            names_match = self.host in certificate_names
            self._client = self._new_client(Endpoint(self.host, self.port, ca_file, names_match))
            self._bootstrap()
            self._start()
        except BaseException:
            self.close()
            raise

    @staticmethod
    @abstractmethod
    def superuser_name() -> str:
        """Return the name of the engine's superuser."""

    @abstractmethod
    def _new_client(self, endpoint: Endpoint) -> Client:
        """Return the engine's client."""

    @abstractmethod
    def _initialise(self, data: Path) -> list[str]:
        """Return the command line that makes a fresh data folder."""

    @abstractmethod
    def _bootstrap(self) -> None:
        """Give passwords to superuser and administrator, and make the database."""

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the server's command line."""

    @property
    def _error_log(self) -> Path:
        return self._home / "server.log"

    def _prepare(self, certificate_names: Sequence[str]) -> None:
        """Fill the run folder: authority, certificate, data."""
        authority = Authority()
        credentials = authority.issue(certificate_names)
        self.ca_file.write_bytes(authority.certificate)
        self._home.mkdir(mode=0o700)
        (self._home / "certificate.pem").write_bytes(credentials.certificate)
        private_key = self._home / "key.pem"
        private_key.touch(mode=0o600)
        private_key.write_bytes(credentials.private_key)
        _copy(self._template(), self._data)
        self._user.own(self._home)
        self._user.assert_can_read(self._home)

    @classmethod
    def template_folder(cls, installation: Installation) -> Path:
        """Return where the initialised data folder of this version is kept, once it is made."""
        name = f"data-{installation.kind}-{installation.version}-{cls.TEMPLATE_REVISION}"
        return cache_folder() / name

    def _template(self) -> Path:
        """Return an initialised data folder to copy, made once per version of the server."""
        template = self.template_folder(self._installation)
        with locked(template.with_name(f"{template.name}.lock")):
            if template.exists():
                return template
            # The server's user cannot write to the cache, so the folder is made elsewhere.
            home = self._folder / "template"
            home.mkdir(mode=0o700)
            self._user.own(home)
            self.run_program(self._initialise(home / "data"), home)
            give(home, os.geteuid(), os.getegid())
            unfinished = template.with_name(f".{template.name}")
            shutil.rmtree(unfinished, ignore_errors=True)
            _copy(home / "data", unfinished)
            unfinished.rename(template)
            shutil.rmtree(home)
        return template

    def run_program(self, command: list[str], folder: Path, program_input: str = "") -> str:
        """Run one of the server's programs as its user, and return what it printed.

        Raises:
            ServerUnavailable: the program failed.
        """
        done = subprocess.run(
            self._user.command(command),
            input=program_input,
            cwd=folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerUnavailable(
                f"{command[0]} failed: {(done.stdout + done.stderr)[-2000:].strip()}.",
                hint="Check free space and memory; remove the cache to have it fetched again.",
            )
        return done.stdout + done.stderr

    def _environment(self) -> dict[str, str]:
        # Nothing of the caller's, whose HOME holds configuration and whose LANG changes messages.
        return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

    def _start(self) -> None:
        """Start the server and wait until the superuser has logged in.

        Raises:
            ServerUnavailable: it ended, or did not answer in time.
        """
        keeper = subprocess.Popen(
            [
                *(sys.executable, "-I", "-S", str(_KEEPER)),
                *(str(self._folder), str(self._error_log), self.END_SIGNAL),
                *self._user.command(self._command(), until_parent_dies=True),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment(),
            # Ctrl-C in a terminal is for the program; the server ends when the program does.
            start_new_session=True,
        )
        self._keeper = keeper
        assert keeper.stdout is not None  # noqa: S101 - for the type checker
        self.process_id = int(keeper.stdout.readline() or 0)
        until = time.monotonic() + _START_SECONDS
        while True:
            problem = self._login_problem()
            if problem is None:
                return
            if keeper.poll() is not None or time.monotonic() > until:
                raise ServerUnavailable(
                    f"{self.kind} {self.version} did not start ({problem}); its log ends:"
                    f" {self._read(self._error_log)[-2000:].strip()}",
                    hint="Check free memory and the log's last lines.",
                )
            time.sleep(_PAUSE_SECONDS)

    def _login_problem(self) -> str | None:
        """Return what keeps the superuser from logging in, or None once nothing does."""
        try:
            if self._client.logs_in(self.superuser, self.database):
                return None
        except Exception as error:  # noqa: BLE001 - drivers differ; the caller reports it
            return str(error)
        return "superuser refused"

    def _signal(self, name: str) -> None:
        """Send a signal to the server through its keeper, and wait until both have ended."""
        keeper = self._keeper
        if keeper is None:
            return
        assert keeper.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(BrokenPipeError):
            keeper.stdin.write(f"{name}\n".encode())
            keeper.stdin.flush()
        self._await_end(keeper)

    def _await_end(self, keeper: "subprocess.Popen[bytes]") -> None:
        try:
            keeper.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            keeper.kill()  # the kernel then kills the server
            keeper.wait()
        for pipe in (keeper.stdin, keeper.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._keeper = None

    def stop(self) -> None:
        """Shut the server down in order; `restart` brings it back."""
        self._signal(self.STOP_SIGNAL)

    def stop_hard(self) -> None:
        """Kill the server (SIGKILL); `restart` brings it back."""
        self._signal("SIGKILL")

    def restart(self) -> None:
        """Stop the server if it runs, and start it again on the same port with what it stored."""
        self.stop()
        self._start()

    def close(self) -> None:
        """End the server for good and remove all that it stored. May be called again."""
        _RUNNING.discard(self)
        if os.getpid() != self._made_by:
            return  # a forked child's copy of this object
        if self._keeper is not None:
            assert self._keeper.stdin is not None  # noqa: S101 - for the type checker
            self._keeper.stdin.close()
            self._await_end(self._keeper)
        shutil.rmtree(self._folder, ignore_errors=True)

    @staticmethod
    def _read(path: Path) -> str:
        try:
            return path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return ""

    def log_text(self) -> str:
        """Return the server's own log so far: statements, logins, refusals, errors."""
        return self._read(self._error_log)


_RUNNING: "weakref.WeakSet[LocalServer]" = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for server in list(_RUNNING):
        server.close()


def _free_port() -> int:
    """Return a TCP port of loopback that nobody listens on.

    Below the range out of which the kernel gives ports to outgoing connections: out of that range
    any client on this machine could be given the port while the server is being restarted.

    Raises:
        ServerUnavailable: a hundred ports in a row were taken.
    """
    lowest_outgoing = int(_OUTGOING_PORTS.read_text().split()[0])
    for _ in range(100):
        port = lowest_outgoing - 1 - secrets.randbelow(min(16384, lowest_outgoing // 2))
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerUnavailable("No TCP port is free.", hint="See what listens: `ss -tln`.")


def _copy(source: Path, destination: Path) -> None:
    """Copy a data folder; `cp` shares blocks and keeps holes where the file system can."""
    subprocess.run(
        ["cp", "-R", "--reflink=auto", "--sparse=always", str(source), str(destination)],
        check=True,
        capture_output=True,
    )

"""MySQL and MariaDB as the contract tests know them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import ClassVar

import pymysql

from local.servers.clients import Account, Endpoint, MySQLClient
from rotators.mysql.rotator import MysqlRotator
from shared.errors import LoginRefused
from shared.model import Login
from tests.kit.contract.world import PASSWORD, Errors, State, World
from tests.kit.oracles import Oracle, Place
from tests.kit.oracles.mysql import MariaDBOracle, MySQLOracle

STORED = "What the server has answered is stored: it writes its account tables before."


class MySQLWorld(World):
    """MySQL 9."""

    kind = "mysql"
    rotator = MysqlRotator
    oracle_class: ClassVar[Callable[[Place], Oracle]] = MySQLOracle
    quick = frozenset({"mysql single-user-by-administrator", "mysql dual-password by the user"})
    longest_name: ClassVar[int | None] = 32
    smallest_limit: ClassVar[int] = 1
    lacks: ClassVar[Mapping[State, str]] = {
        State.UNSTORED: STORED,
        State.HASH: "MySQL judges passwords, and writes <secret> to its log instead of them.",
    }

    def lock_user(self, username: str) -> None:
        """Lock the account."""
        self.server.execute("ALTER USER %s@'%%' ACCOUNT LOCK", (username,))

    def expire_user(self, username: str) -> None:
        """Let its password expire."""
        self.server.execute("ALTER USER %s@'%%' PASSWORD EXPIRE", (username,))

    def shut_out(self, username: str) -> Login:
        """Name a database in which it has no right."""
        return self.login(username, dbname="mysql")

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Lower the limit, and use up what is left."""
        client = MySQLClient(Endpoint(self.server.host, self.server.port, self.server.ca_file))
        account = Account(self.new_user(), PASSWORD)
        superuser = client.connect(self.server.superuser, None)
        ((before,),) = self.server.execute("SELECT @@GLOBAL.max_connections")
        with superuser, superuser.cursor() as cursor, ExitStack() as held:
            held.callback(cursor.execute, "SET GLOBAL max_connections = %s", (before,))
            cursor.execute("SET GLOBAL max_connections = %s", (self.smallest_limit,))
            with suppress(pymysql.OperationalError):
                while True:
                    held.enter_context(client.connect(account, None))
            yield

    @contextmanager
    def policy(self) -> Iterator[str]:
        """Install MySQL's own component."""
        self.server.execute("INSTALL COMPONENT 'file://component_validate_password'")
        try:
            yield "too short"
        finally:
            self.server.execute("UNINSTALL COMPONENT 'file://component_validate_password'")


class MariaDBWorld(MySQLWorld):
    """MariaDB 10.11."""

    kind = "mariadb"
    oracle_class: ClassVar[Callable[[Place], Oracle]] = MariaDBOracle
    quick = frozenset({"mariadb alternating-users"})
    longest_name = None
    smallest_limit = 10
    lacks: ClassVar[Mapping[State, str]] = {
        State.UNSTORED: STORED,
        State.PASSWORD_POLICY: "The plugins that judge passwords are not in the server's package.",
    }
    instead: ClassVar[Mapping[State, tuple[Errors, str]]] = {
        State.TLS_DEMANDED: (
            (LoginRefused,),
            "MariaDB 10 answers plaintext where it wants TLS as it does a wrong password.",
        ),
    }


class MariaDB11World(MariaDBWorld):
    """MariaDB 11.8."""

    kind = "mariadb-11.8"
    quick = frozenset[str]()
    instead: ClassVar[Mapping[State, tuple[Errors, str]]] = {}

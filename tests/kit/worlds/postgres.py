"""PostgreSQL as the contract tests know it."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import ClassVar

import psycopg

from local.servers.clients import Account, Endpoint, PostgresClient
from rotators.postgres.rotator import PostgresRotator
from shared.errors import LoginRefused
from shared.model import Login
from tests.kit.contract.world import PASSWORD, Errors, State, World
from tests.kit.oracles import Oracle, Place
from tests.kit.oracles.postgres import PostgresOracle


class PostgresWorld(World):
    """PostgreSQL 15, in which a role with CREATEROLE may do nearly everything to other roles."""

    kind = "postgres"
    rotator = PostgresRotator
    oracle_class: ClassVar[Callable[[Place], Oracle]] = PostgresOracle
    quick = frozenset({"postgres single-user", "postgres alternating-users"})
    lacks: ClassVar[Mapping[State, str]] = {
        State.UNSTORED: "What PostgreSQL has answered is stored: DDL is transactional.",
        State.PASSWORD_POLICY: "The server sees verifiers only, which no policy can judge.",
    }
    instead: ClassVar[Mapping[State, tuple[Errors, str]]] = {
        State.EXPIRED_USER: (
            (LoginRefused,),
            "PostgreSQL answers VALID UNTIL that is over as it does a wrong password.",
        ),
    }

    def lock_user(self, username: str) -> None:
        """Take LOGIN away."""
        self.server.execute(f'ALTER ROLE "{username}" NOLOGIN')

    def expire_user(self, username: str) -> None:
        """Let VALID UNTIL be over."""
        self.server.execute(f"ALTER ROLE \"{username}\" VALID UNTIL '2001-01-01'")

    def shut_out(self, username: str) -> Login:
        """Name a database without CONNECT."""
        self.server.execute(f"CREATE DATABASE closed_to_{username}")
        self.server.execute(f"REVOKE CONNECT ON DATABASE closed_to_{username} FROM PUBLIC")
        return self.login(username, dbname=f"closed_to_{username}")

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Use up all that is not kept for superusers."""
        client = PostgresClient(Endpoint(self.server.host, self.server.port, self.server.ca_file))
        account = Account(self.new_user(), PASSWORD)
        with ExitStack() as held:
            try:
                while True:
                    held.enter_context(client.connect(account, self.server.database))
            except psycopg.OperationalError:
                yield


class Postgres18World(PostgresWorld):
    """PostgreSQL 18, in which it needs ADMIN OPTION on each of them."""

    kind = "postgres-18"
    quick = frozenset[str]()

"""Valkey as the contract tests know it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import ClassVar

import valkey

from local.servers.clients import Account, Endpoint, ValkeyClient
from rotators.valkey.rotator import ValkeyRotator
from shared.errors import LoginRefused
from tests.kit.contract.world import PASSWORD, Errors, State, World
from tests.kit.oracles import Oracle, Place
from tests.kit.oracles.valkey import ValkeyOracle


class ValkeyWorld(World):
    """Valkey, with an ACL file."""

    kind = "valkey"
    rotator = ValkeyRotator
    oracle_class: ClassVar[Callable[[Place], Oracle]] = ValkeyOracle
    quick = frozenset({"valkey dual-password by the administrator"})
    lacks: ClassVar[Mapping[State, str]] = {
        State.EXPIRED_USER: "Valkey's users have no end.",
        State.SHUT_OUT_USER: "Whoever has the right password is let in.",
        State.PLAINTEXT_ALLOWED: "The protocol sends the password itself, and never without TLS.",
        State.PASSWORD_POLICY: "Valkey takes any password, and hashes of any.",
        State.ONLY_LOOKS: "Valkey has no session that only reads.",
        State.SERVER_LOG: "Valkey's log shows no commands.",
        State.SPACED_NAME: "Valkey allows no spaces in a user's name.",
    }
    instead: ClassVar[Mapping[State, tuple[Errors, str]]] = {
        State.LOCKED_USER: (
            (LoginRefused,),
            "Valkey answers a user that is off as it does a wrong password.",
        ),
    }

    def lock_user(self, username: str) -> None:
        """Switch the user off."""
        self.server.execute("ACL SETUSER %s off", (username,))

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Lower the limit, and use up what is left."""
        client = ValkeyClient(Endpoint(self.server.host, self.server.port, self.server.ca_file))
        account = Account(self.new_user(), PASSWORD)
        with client.connect(self.server.superuser) as superuser, ExitStack() as held:
            superuser.execute_command("CONFIG SET", "maxclients", "10")
            held.callback(superuser.execute_command, "CONFIG SET", "maxclients", "200")
            with suppress(valkey.ValkeyError):
                while True:
                    held.enter_context(client.connect(account))
            yield

    def change_unstored(self, username: str, password: str) -> None:
        """Change it, and do not save the ACL file."""
        digest = hashlib.sha256(password.encode()).hexdigest()
        self.server.execute("ACL SETUSER %s resetpass %s", (username, f"#{digest}"))


class RedisWorld(ValkeyWorld):
    """Debian's Redis."""

    kind = "valkey-redis"
    quick = frozenset[str]()

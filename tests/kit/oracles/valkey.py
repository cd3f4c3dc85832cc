"""What a user of Valkey or Redis may do: by acting as it."""

from collections.abc import Hashable
from typing import Any

import valkey

from local.servers import Account
from local.servers.clients import Endpoint, ValkeyClient, password_rule
from tests.kit.oracles.oracle import Oracle, Place, Rights

RULES = (
    "on",
    "~{user}:*",
    "%R~shared:*",
    "&{user}:*",
    "+@all",
    "-@admin",
    "-@dangerous",
    "+info",
    "-eval",
)

CHANGED_RULES = ("-append", "~more:*", "&news:*", "+eval")

ACTS = (
    "SET {user}:left mine",
    "GET {user}:left",
    "APPEND {user}:text {empty}",
    "SET shared:left x",
    "GET shared:left",
    "SET more:left x",
    "GET ledger:1",
    "PUBLISH {user}:channel x",
    "PUBLISH news:channel x",
    "EVAL return(7) 0",
    "INFO nothing",
    "KEYS {user}:*",
    "ACL WHOAMI",
    "ACL LIST",
    "CONFIG GET maxmemory",
    "CLIENT LIST",
)
"""Each may be repeated: what comes of it is the same the next time."""

LEAVE = ("DEL {user}:list {user}:hash", "RPUSH {user}:list a b", "HSET {user}:hash field mine")
TAKE_OVER = (
    "LRANGE {user}:list 0 -1",
    "RPUSH {user}:list c",
    "HGET {user}:hash field",
    "RENAME {user}:list {user}:taken",
    "DEL {user}:taken",
)
"""What a user does with what was left the last time."""


class ValkeyOracle(Oracle):
    """Looks at a server of Valkey or Redis."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self._client = ValkeyClient(Endpoint(place.host, place.port, place.ca_file))
        self._superuser: valkey.Valkey | None = None

    def open(self) -> None:
        """Open the superuser's connection."""
        self.close()
        self._superuser = self._client.connect(self.place.superuser)

    def close(self) -> None:
        """Close it."""
        superuser, self._superuser = self._superuser, None
        if superuser is not None:
            superuser.close()  # type: ignore[no-untyped-call]

    def prepare_server(self) -> None:
        """Make the key that all users may read."""
        self._ask("SET", "shared:left", "for all")

    def make_user(self, name: str, password: str, *, own_two_passwords: bool) -> None:
        """Make a user with rules for keys, channels and commands, and keys that it leaves."""
        del own_two_passwords  # no user may change a password
        self._set(
            name, "reset", password_rule(password), *(each.format(user=name) for each in RULES)
        )
        with self._client.connect(Account(name, password)) as session:
            for act in LEAVE:
                _tried(session, act, name)

    def set_password(self, name: str, password: str) -> None:
        """Give a user another password."""
        self._set(name, "resetpass", password_rule(password))

    def change_rights(self, name: str) -> None:
        """Take a command away; allow another one, and keys and channels."""
        self._set(name, *CHANGED_RULES)

    def state_of(self, username: str) -> Hashable:
        """Read the user's flags and the hashes of its passwords."""
        user = self._ask("ACL GETUSER", username)
        return user and (frozenset(user["flags"]), frozenset(user["passwords"]))

    def logs_in(self, username: str, password: str) -> bool:
        """Log in afresh."""
        return self._client.logs_in(Account(username, password), self.place.database)

    def sessions(self, username: str) -> int:
        """Count the user's open connections."""
        return sum(each["user"] == username for each in self._ask("CLIENT LIST"))

    def rights(self, first: str, username: str, password: str, *, taking_over: bool) -> Rights:
        """Act as the user; see :meth:`Oracle.rights`."""
        acts = (*ACTS, *TAKE_OVER, *LEAVE) if taking_over else ACTS
        with self._client.connect(Account(username, password)) as session:
            found = {act: _tried(session, act, first) for act in acts}
        return {act: told.replace(username, "USER") for act, told in found.items()}

    def _set(self, name: str, *rules: str) -> None:
        self._ask("ACL SETUSER", name, *rules)
        self._ask("ACL SAVE")

    def _ask(self, *words: str) -> Any:  # noqa: ANN401 (each command has an answer of its own kind)
        assert self._superuser is not None
        return self._superuser.execute_command(*words)  # type: ignore[no-untyped-call]


def _tried(session: valkey.Valkey, act: str, user: str) -> str:
    """Return what came of one command: the answer, or the kind of error."""
    words = [word.format(user=user, empty="") for word in act.split()]
    try:
        return str(session.execute_command(*words))  # type: ignore[no-untyped-call]
    except valkey.ResponseError as error:
        return f"error {type(error).__name__}"

"""Valkey and Redis as tests and the demo run them."""

from pathlib import Path
from typing import ClassVar

from local.servers.clients import Client, Endpoint, ValkeyClient, password_rule
from local.servers.server import LocalServer

# Nothing outlives the test: durability against a crash of the *machine* is given up, that against
# a crash of the server is not (each write is handed to the operating system).
_SETTINGS = {
    "bind": "127.0.0.1",
    "maxclients": "200",
    "save": '""',
    "appendonly": "yes",
    "appendfsync": "no",
    "loglevel": "verbose",
}

ADMINISTRATOR_RULES = (
    "~secret-rotation:*",
    "+acl|setuser",
    "+acl|getuser",
    "+acl|save",
    "+config|rewrite",
    "+role",
    "+client|setname",
    "+client|list",
    "+watch",
    "+multi",
    "+exec",
    "+get",
    "+set",
)
"""What the rotator's README asks for, and no more; `+acl|deluser` is for tests."""


class ValkeyServer(LocalServer):
    """A Valkey server, or one of Redis, with an ACL file.

    The administrator may do what a rotation needs and drop users; he reads and writes no key but
    the rotation's own. The user `default` is off, so nobody gets in without a password.
    """

    engine: ClassVar = "valkey"
    END_SIGNAL: ClassVar = "SIGKILL"
    STOP_SIGNAL: ClassVar = "SIGTERM"

    @staticmethod
    def superuser_name() -> str:
        """Return the name of the superuser, who may do all."""
        return "root"

    def _new_client(self, endpoint: Endpoint) -> Client:
        return ValkeyClient(endpoint)

    def _initialise(self, data: Path) -> list[str]:
        return ["mkdir", str(data)]

    def _bootstrap(self) -> None:
        certificate, private_key = self._home / "certificate.pem", self._home / "key.pem"
        listening = {"port": str(self.port)}
        if self.tls:
            listening = {
                "port": "0",
                "tls-port": str(self.port),
                "tls-cert-file": f'"{certificate}"',
                "tls-key-file": f'"{private_key}"',
                "tls-ca-cert-file": f'"{self.ca_file}"',
                "tls-auth-clients": "no",
            }
        settings = _SETTINGS | listening | {"dir": f'"{self._data}"'}
        settings |= self._accounts_settings()
        self._configuration.write_text("".join(f"{k} {v}\n" for k, v in settings.items()))
        self._user.own(self._data)

    def _accounts_settings(self) -> dict[str, str]:
        accounts = self._data / "users.acl"
        accounts.write_text("".join(f"{each}\n" for each in self._accounts()))
        return {"aclfile": f'"{accounts}"'}

    def _accounts(self) -> list[str]:
        administrator, superuser = self.administrator, self.superuser
        return [
            "user default off",
            f"user {superuser.username} on {password_rule(superuser.password)} ~* &* +@all",
            f"user {administrator.username} on {password_rule(administrator.password)} "
            + " ".join((*ADMINISTRATOR_RULES, "+acl|deluser")),
        ]

    @property
    def _configuration(self) -> Path:
        return self._data / "server.conf"

    def _command(self) -> list[str]:
        return [str(self._installation.program), str(self._configuration)]

    def failed_logins(self) -> int:
        """Return how many logins the server has refused since it started, as it counts them."""
        ((told,),) = self.execute("INFO commandstats")
        return int(told["cmdstat_auth"]["failed_calls"])

    def set_read_only(self, on: bool) -> None:  # noqa: FBT001 - a switch
        """Make the server a replica (of a port that nobody listens on), or a primary again."""
        self.execute("REPLICAOF 127.0.0.1 1" if on else "REPLICAOF NO ONE")

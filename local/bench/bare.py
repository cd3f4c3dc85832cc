"""The floor: the calls of a single-user rotation to Secrets Manager, with nothing around them."""

import json
import secrets
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import boto3

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import GetSecretValueResponseTypeDef

Login = dict[str, Any]
"""A secret's value."""


class Closing(Protocol):
    """What all drivers' connections have."""

    def close(self) -> None:
        """End the connection."""


Connection = TypeVar("Connection", bound=Closing)


class Floor(ABC, Generic[Connection]):
    """A rotation as a script would make it that never fails and never asks."""

    def __init__(self) -> None:
        self._client: SecretsManagerClient = boto3.client("secretsmanager")

    @abstractmethod
    def connect(self, login: Login) -> Connection:
        """Log in over verified TLS."""

    @abstractmethod
    def lock(self, connection: Connection, secret: str) -> None:
        """Take the advisory lock."""

    @abstractmethod
    def change(self, connection: Connection, pending: Login) -> None:
        """Change the password."""

    def work(self, secret: str, token: str, whole: bool) -> None:  # noqa: FBT001 - as in `Work`
        """Make the calls, logins and statements of a rotation, or of createSecret."""
        self._client.describe_secret(SecretId=secret)
        current = self._client.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")
        pending = {**json.loads(current["SecretString"]), "password": secrets.token_hex(16)}
        self._client.put_secret_value(
            SecretId=secret,
            ClientRequestToken=token,
            SecretString=json.dumps(pending),
            VersionStages=["AWSPENDING", "rotation:single-user"],
        )
        if whole:
            self._set_secret(secret, token)
            self.connect(self._stored(secret, token)).close()
            self._stored(secret, token)

    def _set_secret(self, secret: str, token: str) -> None:
        pending = self._stored(secret, token)
        current = self._client.get_secret_value(SecretId=secret, VersionStage="AWSCURRENT")
        connection = self.connect(json.loads(current["SecretString"]))
        self.lock(connection, secret)
        self._client.describe_secret(SecretId=secret)
        self._move(secret, "rotation-fence", token, current)
        self.change(connection, pending)
        self.connect(pending).close()
        self._move(secret, "AWSCURRENT", token, current)
        connection.close()

    def _stored(self, secret: str, token: str) -> Login:
        version = self._client.get_secret_value(SecretId=secret, VersionId=token)
        login: Login = json.loads(version["SecretString"])
        return login

    def _move(
        self, secret: str, label: str, token: str, current: "GetSecretValueResponseTypeDef"
    ) -> None:
        holder = current["VersionId"] if label in current["VersionStages"] else None
        self._client.update_secret_version_stage(
            SecretId=secret,
            VersionStage=label,
            MoveToVersionId=token,
            **({} if holder is None else {"RemoveFromVersionId": holder}),
        )

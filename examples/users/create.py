"""A custom resource of CloudFormation that makes the user of a secret in its database.

Rotation changes the passwords of users that exist. These examples start with an empty database, so
something has to make the users: this does, with the rights of an ordinary application, and leaves a
user alone that is there already. Deleting the stack deletes no user.

It also writes into a secret, once, when the stack is created, what only the stack knows: the
database's address and the administrator's ARN. Inside GenerateSecretString these would be worth a
new password at every change, and a SecretTargetAttachment takes them out again when it is deleted.

Invoked by hand, it logs in with a secret's password, which nothing outside the network can.
"""

import json
import urllib.request
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from shared.tls import Trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_secretsmanager import SecretsManagerClient

CONNECT_SECONDS = 10


@cache
def _client() -> "SecretsManagerClient":
    """Return a client that gives up in time to answer CloudFormation, which waits much longer."""
    config = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
    return boto3.client("secretsmanager", config=config)


@dataclass(frozen=True)
class Secret:
    """What both secrets hold."""

    engine: str
    host: str
    port: int
    database: str
    username: str
    password: str

    @classmethod
    def read(cls, arn: str) -> "Secret":
        """Read a secret's current value.

        Raises:
            botocore.exceptions.ClientError: It may not be read.
            KeyError: A field is missing; the name is the error's text.
        """
        value = _value(arn)
        return cls(
            engine=value["engine"],
            host=value["host"],
            port=int(value["port"]),
            database=value["dbname"],
            username=value["username"],
            password=value["password"],
        )


def _value(arn: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(_client().get_secret_value(SecretId=arn)["SecretString"])
    return value


def write_missing(arn: str, fields: "Mapping[str, str]") -> None:
    """Write fields into a secret that it does not have; what it has stays as it is.

    Args:
        arn: The secret's.
        fields: As CloudFormation hands them over, all texts; ``port`` becomes a number.
    """
    known = {name: int(text) if name == "port" else text for name, text in fields.items()}
    value = _value(arn)
    if known.keys() <= value.keys():
        return
    _client().put_secret_value(SecretId=arn, SecretString=json.dumps({**known, **value}))


class Postgres:
    """Logs in to PostgreSQL, over verified TLS."""

    def __init__(self, login: Secret, database: str, trust: Trust) -> None:
        # Only here: whatever is wrong with a driver, CloudFormation gets an answer.
        import psycopg  # noqa: PLC0415
        from psycopg.conninfo import make_conninfo  # noqa: PLC0415

        coordinates = make_conninfo(
            host=login.host,
            port=login.port,
            dbname=database,
            user=login.username,
            password=login.password,
            connect_timeout=CONNECT_SECONDS,
            **trust.libpq(login.host, tls=True),
        )
        self._connection = psycopg.connect(coordinates)

    def user(self) -> str:
        """Return who is logged in, as the server says."""
        with self._connection as connection:
            return str((connection.execute("SELECT current_user").fetchone() or [""])[0])

    def make(self, user: Secret) -> None:
        """Make a role that may log in and make its own tables, where there is none."""
        from psycopg import sql  # noqa: PLC0415

        with self._connection as connection:
            found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user.username])
            if found.fetchone():
                return
            role = sql.Identifier(user.username)
            # The server logs statements; a verifier is no password.
            verifier = connection.pgconn.encrypt_password(
                user.password.encode(), user.username.encode(), b"scram-sha-256"
            ).decode()
            database = sql.Identifier(user.database)
            statements = (
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(verifier)),
                sql.SQL("GRANT ALL ON DATABASE {} TO {}").format(database, role),
                sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(role),
            )
            for statement in statements:
                connection.execute(statement)


class Mysql:
    """Logs in to MySQL or MariaDB, over verified TLS."""

    def __init__(self, login: Secret, database: str, trust: Trust) -> None:
        import pymysql  # noqa: PLC0415 (as psycopg)

        self._connection = pymysql.connect(
            host=login.host,
            port=login.port,
            database=database,
            user=login.username,
            password=login.password.encode(),  # str would go as latin-1
            connect_timeout=CONNECT_SECONDS,
            ssl=trust.context_for(login.host),
            autocommit=True,
        )

    def user(self) -> str:
        """Return who is logged in, as the server says."""
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute("SELECT CURRENT_USER()")
            return str((cursor.fetchone() or [""])[0])

    def make(self, user: Secret) -> None:
        """Make an account for any host that may do in its schema what an application does."""
        schema = "`" + user.database.replace("`", "``") + "`"
        rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, TRIGGER"
        with self._connection, self._connection.cursor() as cursor:
            cursor.execute(
                "CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", (user.username, user.password)
            )
            cursor.execute(f"GRANT {rights} ON {schema}.* TO %s@'%%'", (user.username,))


ENGINES: "dict[str, type[Postgres | Mysql]]" = {
    "postgres": Postgres,
    "mysql": Mysql,
    "mariadb": Mysql,
}


def carry_out(kind: str, properties: "Mapping[str, Any]") -> None:
    """Do what a request asks for.

    Args:
        kind: ``Create``, ``Update`` or ``Delete``.
        properties: ``SecretArn``; ``Fields``, which are written into the secret on create;
            ``AdministratorSecretArn``, who makes the secret's user on create and update, where
            there is a user to make.
    """
    if kind == "Create":
        write_missing(properties["SecretArn"], properties["Fields"])
    if kind != "Delete" and "AdministratorSecretArn" in properties:
        user = Secret.read(properties["SecretArn"])
        administrator = Secret.read(properties["AdministratorSecretArn"])
        trust = Trust(properties.get("CaFile"))
        ENGINES[user.engine](administrator, user.database, trust).make(user)


def logged_in(event: "Mapping[str, str]") -> dict[str, str]:
    """Log in with a secret's password of now, from inside the network, and say as whom.

    Args:
        event: ``LogIn``, the secret's ARN, and where the server is not RDS's ``CaFile``.
    """
    secret = Secret.read(event["LogIn"])
    session = ENGINES[secret.engine](secret, secret.database, Trust(event.get("CaFile")))
    return {"user": session.user()}


def handler(event: dict[str, Any], context: "LambdaContext") -> dict[str, str] | None:
    """Answer CloudFormation, whatever happens; or log in, for whoever wants to see it work.

    Args:
        event: The request; ``ResourceProperties`` as :func:`carry_out` takes them. Or what
            :func:`logged_in` takes.
        context: Names the log, for the reason of a failure.
    """
    if "LogIn" in event:
        return logged_in(event)
    properties = event["ResourceProperties"]
    answer = {
        "Status": "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId", properties["SecretArn"]),
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
    }
    try:
        carry_out(event["RequestType"], properties)
    except Exception as error:  # noqa: BLE001 (CloudFormation waits an hour without an answer)
        # Only the kind of error: its text may quote a statement.
        print(type(error).__name__)  # noqa: T201 (standard output is a function's log)
        answer["Status"] = "FAILED"
        answer["Reason"] = f"{type(error).__name__}; log stream {context.log_stream_name}"
    request = urllib.request.Request(  # noqa: S310 (CloudFormation's own address)
        event["ResponseURL"],
        data=json.dumps(answer).encode(),
        method="PUT",
        headers={"Content-Type": ""},
    )
    urllib.request.urlopen(request, timeout=CONNECT_SECONDS).close()  # noqa: S310 (likewise)
    return None

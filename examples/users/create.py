"""A custom resource of CloudFormation that makes the user of a secret in its database.

Rotation changes the passwords of users that exist. These examples start with an empty database, so
something has to make the users: this does, with the rights of an ordinary application, and leaves a
user alone that is there already. Deleting the stack deletes no user.
"""

import json
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import psycopg
import pymysql
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shared.tls import Trust

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

CONNECT_SECONDS = 10


@dataclass(frozen=True)
class Secret:
    """What both secrets hold; the database's coordinates come from the attachment."""

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
        client = boto3.client("secretsmanager")
        value = json.loads(client.get_secret_value(SecretId=arn)["SecretString"])
        return cls(
            engine=value["engine"],
            host=value["host"],
            port=int(value["port"]),
            database=value["dbname"],
            username=value["username"],
            password=value["password"],
        )


def make_postgres_user(administrator: Secret, user: Secret, trust: Trust) -> None:
    """Make a role that may log in and make its own tables."""
    coordinates = make_conninfo(
        host=administrator.host,
        port=administrator.port,
        dbname=user.database,
        user=administrator.username,
        password=administrator.password,
        connect_timeout=CONNECT_SECONDS,
        **trust.libpq(administrator.host, tls=True),
    )
    with psycopg.connect(coordinates) as connection:
        found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user.username])
        if found.fetchone():
            return
        role = sql.Identifier(user.username)
        # The server logs statements; a verifier is no password.
        verifier = connection.pgconn.encrypt_password(
            user.password.encode(), user.username.encode(), b"scram-sha-256"
        ).decode()
        statements = (
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(role, sql.Literal(verifier)),
            sql.SQL("GRANT ALL ON DATABASE {} TO {}").format(sql.Identifier(user.database), role),
            sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(role),
        )
        for statement in statements:
            connection.execute(statement)


def make_mysql_user(administrator: Secret, user: Secret, trust: Trust) -> None:
    """Make an account for any host that may do in its schema what an application does."""
    connection = pymysql.connect(
        host=administrator.host,
        port=administrator.port,
        user=administrator.username,
        password=administrator.password.encode(),  # str would go as latin-1
        connect_timeout=CONNECT_SECONDS,
        ssl=trust.context_for(administrator.host),
        autocommit=True,
    )
    schema = "`" + user.database.replace("`", "``") + "`"
    rights = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES, TRIGGER"
    with connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE USER IF NOT EXISTS %s@'%%' IDENTIFIED BY %s", (user.username, user.password)
        )
        cursor.execute(f"GRANT {rights} ON {schema}.* TO %s@'%%'", (user.username,))


ENGINES = {"postgres": make_postgres_user, "mysql": make_mysql_user, "mariadb": make_mysql_user}


def handler(event: dict[str, Any], context: "LambdaContext") -> None:
    """Answer CloudFormation: make the user on create and update, do nothing on delete.

    Args:
        event: The request; ``ResourceProperties`` has ``SecretArn`` and
            ``AdministratorSecretArn``.
        context: Names the log, for the reason of a failure.
    """
    properties = event["ResourceProperties"]
    answer = {
        "Status": "SUCCESS",
        "PhysicalResourceId": event.get("PhysicalResourceId", properties["SecretArn"]),
        **{key: event[key] for key in ("StackId", "RequestId", "LogicalResourceId")},
    }
    try:
        if event["RequestType"] != "Delete":
            user = Secret.read(properties["SecretArn"])
            administrator = Secret.read(properties["AdministratorSecretArn"])
            ENGINES[user.engine](administrator, user, Trust(properties.get("CaFile")))
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

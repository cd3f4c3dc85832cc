"""A pair of users as AWS's own functions leave it, on real servers, is adopted and rotates."""

import json
from collections.abc import Mapping, Sequence

import pytest

from local.lambda_runtime.scratch import make_user
from local.servers.server import random_password
from tests.console.transcript import rotation, staged

LEFT: Mapping[str, tuple[str, Sequence[str]]] = {
    "postgres": (
        "SecretsManagerRDSPostgreSQLRotationMultiUser",
        (
            "CREATE ROLE moved_clone WITH LOGIN PASSWORD '{password}'",
            "GRANT moved TO moved_clone",
        ),
    ),
    "mysql": (
        "SecretsManagerRDSMySQLRotationMultiUser",
        (
            "CREATE USER 'moved_clone'@'%' IDENTIFIED BY '{password}'",
            "GRANT SELECT ON {database}.* TO 'moved'@'%'",
            "GRANT SELECT ON {database}.* TO 'moved_clone'@'%'",
        ),
    ),
}
"""By server: the function's name, and what it has executed: the second user gets the first one's
rights, in PostgreSQL by membership, in MySQL one by one."""


@pytest.mark.matrix
@pytest.mark.parametrize("kind", LEFT)
def test_a_pair_is_adopted_as_it_was_left(kind: str) -> None:
    """The same two users go on taking turns, the second one first, and both log in."""
    name, statements = LEFT[kind]
    with staged(kind) as (stage, variables):
        server, service = stage.servers[kind], stage.service
        value, password = make_user(server, "moved"), random_password()
        for statement in statements:
            server.execute(statement.format(password=password, database=server.database))
        account = server.administrator
        administrator = service.create_secret(
            "administrator",
            {**value, "username": account.username, "password": account.password},
            {"rotation:administrator": kind, "rotation:rotates": "moved moved_clone"},
        )
        service.create_secret("app", {**value, "masterarn": administrator})
        former = stage.lambdas.add(
            name, lambda _event: None, handler="lambda_function.lambda_handler"
        )
        service.enable_rotation("app", former, {"ScheduleExpression": "rate(9 days)"})
        said = rotation(variables, "enable", "app", "--adopt", "--yes")
        assert said.returncode in {0, 2}, said.stdout + said.stderr
        for username in ("moved_clone", "moved"):
            said = rotation(variables, "rotate", "app")
            assert said.returncode == 0, said.stdout + said.stderr
            current = json.loads(service.value("app"))
            assert current["username"] == username
            assert server.logs_in(username, current["password"])

"""A rotation in which nothing goes wrong."""

from local.servers import Server
from tests.functional.rotations import Rotating


def test_rotated_secret_logs_in(postgres: Server, rotating: Rotating) -> None:
    """After a rotation AWSCURRENT has another password, and logs in."""
    secret = rotating.secret(postgres)
    before = secret.document()["password"]
    secret.rotate()
    assert secret.document()["password"] != before
    assert secret.logs_in()

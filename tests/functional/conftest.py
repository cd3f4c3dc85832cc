"""Real servers, started once for all tests that ask for them, and secrets that rotate on them."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import boto3
import pytest

from local.secretsmanager import SecretsManagerService
from local.servers import Server, start
from tests.functional.rotations import Record, Rotating


@pytest.fixture(scope="session")
def server_of() -> Iterator[Callable[[str], Server]]:
    """Return the running server of a kind, started when first asked for."""
    with ExitStack() as servers:
        yield cache(lambda kind: servers.enter_context(start(kind)))


@pytest.fixture(scope="session")
def postgres(server_of: Callable[[str], Server]) -> Server:
    """PostgreSQL 15, in which a role with CREATEROLE may do nearly everything to other roles."""
    return server_of("postgres")


@pytest.fixture(scope="session")
def postgres_18(server_of: Callable[[str], Server]) -> Server:
    """PostgreSQL 18, in which it needs ADMIN OPTION on each of them."""
    return server_of("postgres-18")


@pytest.fixture(scope="session")
def mysql(server_of: Callable[[str], Server]) -> Server:
    """MySQL 9."""
    return server_of("mysql")


@pytest.fixture(scope="session")
def mariadb(server_of: Callable[[str], Server]) -> Server:
    """MariaDB 10.11."""
    return server_of("mariadb")


@pytest.fixture(scope="session")
def sdk() -> boto3.Session:
    """Make the SDK's session once: it reads megabytes of service models."""
    return boto3.Session("local", "local", region_name="eu-central-1")


@pytest.fixture
def rotating(
    capsys: pytest.CaptureFixture[str], sdk: boto3.Session, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Rotating]:
    """Make secrets that rotate; afterwards no password stands in anything that was said."""
    record = Record(capsys)
    with SecretsManagerService() as service, record.listening():
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", sdk)
        rotating = Rotating(service, record)
        yield rotating
        rotating.require_silence()

"""The account in memory, for each test anew; what was said is searched for passwords."""

from collections.abc import Iterator
from functools import cache

import boto3
import pytest

from local.lambda_service import LambdaService
from local.secretsmanager import SecretsManagerService
from tests.console.estate import Estate, Shared
from tests.console.world import World

SESSIONS = cache(boto3.Session)


@pytest.fixture
def world(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """An account with one function and no secret."""
    # One session: each reads megabytes of service models.
    monkeypatch.setattr("console.account.boto3.Session", SESSIONS)
    monkeypatch.setattr("console.rotate.POLL_SECONDS", 0.05)
    monkeypatch.setattr("console.attempts.POLL_SECONDS", 0.02)
    service = SecretsManagerService(retries=0)
    with service.endpoint() as endpoint:
        world = World(service, endpoint, LambdaService(service))
        yield world
        world.require_silence()


@pytest.fixture(scope="module")
def shared() -> Iterator[Shared]:
    """The account in which everything is well, of a module's tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("console.account.boto3.Session", SESSIONS)
        accounts = Shared()
        yield accounts
        accounts.end()


@pytest.fixture
def well(shared: Shared) -> Iterator[Estate]:
    """An account in which everything is well; what a test changes of its answers is forgotten."""
    made = shared.well()
    right, shakes = dict(made.right), made.shakes
    yield made
    made.right, made.shakes, made.denied = right, shakes, set()

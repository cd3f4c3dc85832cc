"""Secrets Manager in memory, with the SDK's models read once; and no time lost."""

from collections.abc import Iterator

import boto3
import pytest

from local.secretsmanager import SecretsManagerService
from shared import holding, store


@pytest.fixture(scope="session")
def sdk() -> boto3.Session:
    """Make the SDK's session once: it reads megabytes of service models."""
    return boto3.Session("local", "local", region_name="eu-central-1")


@pytest.fixture
def service(sdk: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretsManagerService]:
    """The service, for one test, without retries: what a step raises is what a test sees."""
    with SecretsManagerService(retries=0) as service:
        # Within the service, which begins with a session of its own.
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", sdk)
        yield service


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for nothing between two reads: how long that is, is the claim of other tests."""
    monkeypatch.setattr(holding, "SETTLING_SECONDS", 0.0)
    monkeypatch.setattr(store, "STALE_READ_PAUSES", (0.0, 0.0, 0.0))

"""What every test may rely on: no credentials of the machine, no Region but the one given here."""

import signal
from collections.abc import Iterator
from importlib import import_module

import pytest

from shared import databases

pytest_plugins = ["tests.kit.plugin"]


def pytest_configure(config: pytest.Config) -> None:
    """Listen to SIGINT, and so let the programs that tests start do.

    A shell lets what it runs in the background ignore it, and that would be passed on to them.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("numprocesses"):
        # What hands tests to workers collects none, and would not see who has notes at the end.
        for folder in ("conformance", "histories"):
            conftest = import_module(f"tests.{folder}.conftest")
            if not config.pluginmanager.is_registered(conftest):
                config.pluginmanager.register(conftest)


@pytest.fixture(scope="session", autouse=True)
def _no_real_account() -> Iterator[None]:
    """Keep every test away from a real AWS account, whatever the environment holds."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell at once what does not answer: only tests of the patience itself have some."""
    monkeypatch.setattr(databases, "PATIENCE_ENDS_SECONDS", 1e9)

"""Rotations that find something broken, or that another one overtakes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest

from local.secretsmanager import ServiceError
from local.servers import Server
from rotators.postgres.session import PostgresSession
from shared import holding
from shared.databases import Databases
from shared.errors import (
    CurrentChanged,
    LoginRefused,
    OutOfTime,
    PasswordRejected,
    ReaderBehind,
    RotationError,
    Throttled,
    Unreachable,
)
from shared.strategies import strategy as strategy_module
from tests.functional.rotations import STEPS, Rotating, RotatingSecret, new_name

POSTGRES_STRATEGIES = ["single-user", "single-user-by-administrator", "alternating-users"]


def with_strategy(
    rotating: Rotating,
    server: Server,
    strategy: str,
    **fields: Any,  # noqa: ANN401 (any JSON value)
) -> RotatingSecret:
    """Make a secret that rotates with this strategy."""
    return rotating.secret(
        server, strategy=strategy, administrator=strategy != "single-user", **fields
    )


def logged_in_with(rotating: Rotating) -> list[str]:
    """Return how the setSecret steps so far logged in."""
    lines = rotating.record.lines()
    return [line["logged_in_with"] for line in lines if "logged_in_with" in line]


@contextmanager
def promotion_failing(
    secret: RotatingSecret, code: str = "InternalServiceError", times: int = 1000
) -> Iterator[list[int]]:
    """Refuse the request that moves AWSCURRENT so many times; yield which requests were refused."""
    refused: list[int] = []

    def refuse(operation: str, phase: str, index: int) -> None:
        moved = secret.service.requests[index - 1].parameters.get("VersionStage")
        promoting = operation == "UpdateSecretVersionStage" and moved == "AWSCURRENT"
        if promoting and phase == "before" and len(refused) < times:
            refused.append(index)
            raise ServiceError(code, "Not now")

    secret.service.on_request = refuse
    try:
        with patch.object(holding, "PROMOTION_PATIENCE_ENDS_SECONDS", 59 if times > 9 else 2):
            yield refused
    finally:
        secret.service.on_request = None


# Where no label leads to the password


def test_change_that_was_not_promoted(postgres: Server, rotating: Rotating) -> None:
    """After a change whose promotion was lost, the same token is promoted without another one."""
    secret = rotating.secret(postgres)
    token = secret.prepare()
    secret.step(token, "createSecret")
    with promotion_failing(secret), pytest.raises(RotationError):
        secret.step(token, "setSecret")
    assert not secret.logs_in()
    assert secret.logs_in("AWSPENDING")
    secret.step(token, *STEPS)
    assert secret.label("AWSCURRENT") == token
    assert secret.logs_in()
    assert logged_in_with(rotating)[-1] == "FENCE"
    assert "Recovered" in rotating.record.metrics()


def test_versions_without_a_label(postgres: Server, rotating: Rotating) -> None:
    """A password that only versions without a label hold is found, newest first, up to a bound."""
    secret = rotating.secret(postgres)
    for _ in range(3):
        secret.edit(password=f"a wrong passw0rd {new_name()}")
    secret.rotate()
    assert secret.logs_in()
    assert logged_in_with(rotating)[-1] == "REST"


def test_same_wrong_password_is_tried_once(postgres: Server, rotating: Rotating) -> None:
    """Versions that repeat a refused password cost no further refusal."""
    secret = rotating.secret(postgres)
    for number in range(8):
        secret.edit(password="always the same wrong one", number=number)
    refused = postgres.failed_logins()
    secret.rotate()
    assert secret.logs_in()
    assert postgres.failed_logins() - refused == 1


# A proof that fails


def test_proof_that_cannot_be_had(
    postgres: Server, rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nobody answers at the proof, the old password is put back by the open session."""
    secret = rotating.secret(postgres)
    token = secret.prepare()
    secret.step(token, "createSecret")

    def silent(*_: Any, **__: Any) -> None:  # noqa: ANN401
        raise Unreachable("Nobody answers.")

    monkeypatch.setattr(Databases, "require_login", silent)
    with pytest.raises(Unreachable):
        secret.step(token, "setSecret")
    monkeypatch.undo()
    assert secret.logs_in()


def test_session_that_is_lost_at_the_proof(
    postgres: Server, rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the open session is gone as well, the first error is told, and the retry goes on."""
    secret = rotating.secret(postgres)
    token = secret.prepare()
    secret.step(token, "createSecret")

    def silent(*_: Any, **__: Any) -> None:  # noqa: ANN401
        postgres.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s",
            [secret.username],
        )
        raise Unreachable("Nobody answers at the proof.")

    monkeypatch.setattr(Databases, "require_login", silent)
    with pytest.raises(Unreachable, match="at the proof"):
        secret.step(token, "setSecret")
    monkeypatch.undo()
    secret.step(token, *STEPS)
    assert secret.logs_in()


def test_password_that_the_policy_refuses(
    postgres: Server, rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal by the server's policy says what to change and how to start afresh."""

    def refuse(*_: object) -> None:
        raise PasswordRejected("The database answered SQLSTATE 22023: password is too easy.")

    secret = rotating.secret(postgres)
    monkeypatch.setattr(PostgresSession, "_set_password", refuse)
    error = secret.fails()
    monkeypatch.undo()
    assert type(error) is PasswordRejected
    assert "PASSWORD_LENGTH" in error.advice
    assert "aws secretsmanager rotate-secret" in error.outcome
    assert secret.logs_in()
    assert secret.label("AWSPENDING") is None
    secret.rotate()
    assert secret.logs_in()


# Readers


@pytest.fixture
def related(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take any host for a reader of this server's, whatever its name is."""
    monkeypatch.setattr("shared.settings.related_hosts", lambda *_: True)


def test_reader_that_follows(postgres: Server, rotating: Rotating) -> None:
    """Readers that the tag lists must accept the login; those that do not delay nothing."""
    secret = rotating.secret(postgres, tags={"rotation:reader-hosts": "localhost  localhost"})
    secret.rotate()
    assert secret.logs_in()


@pytest.mark.parametrize("strategy", POSTGRES_STRATEGIES)
@pytest.mark.usefixtures("related")
def test_reader_that_lags_for_ever(
    postgres: Server, rotating: Rotating, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that goes on refusing stops the promotion; AWSCURRENT logs in all the same."""
    monkeypatch.setattr(strategy_module, "READER_PATIENCE_ENDS_SECONDS", 59)
    monkeypatch.setattr(strategy_module, "READER_PAUSE_SECONDS", 0.1)
    secret = with_strategy(
        rotating, postgres, strategy, tags={"rotation:reader-hosts": "reader.example"}
    )
    accepts = Databases.accepts

    def lag(self: Databases, rotation: Any, login: Any) -> bool:  # noqa: ANN401
        return login.host != "reader.example" and accepts(self, rotation, login)

    monkeypatch.setattr(Databases, "accepts", lag)
    error = secret.fails()
    assert type(error) is ReaderBehind
    assert "rotation:reader-hosts" in error.advice
    assert secret.logs_in()
    monkeypatch.setattr(
        Databases,
        "accepts",
        lambda self, rotation, login: accepts(
            self,
            rotation,
            login if login.host != "reader.example" else login.at("localhost", login.port),
        ),
    )
    token = secret.label("AWSPENDING")
    assert token is not None
    secret.step(token, *STEPS)
    assert secret.logs_in()


@pytest.mark.parametrize("strategy", POSTGRES_STRATEGIES)
@pytest.mark.usefixtures("related")
def test_reader_that_is_gone(postgres: Server, rotating: Rotating, strategy: str) -> None:
    """A reader that does not answer at all does not shut applications out of the writer."""
    secret = with_strategy(
        rotating, postgres, strategy, tags={"rotation:reader-hosts": "gone.invalid"}
    )
    error = secret.fails(retried=True)
    assert isinstance(error, RotationError)
    assert "gone.invalid" in error.message
    assert secret.logs_in()


# Twins, and rotations that overtake


# The network


def test_change_that_has_too_little_time(postgres: Server, rotating: Rotating) -> None:
    """No change is begun that could not be proven, and undone, in the time that is left."""
    secret = rotating.secret(postgres, function=rotating.function(postgres, timeout_seconds=5))
    error = secret.fails()
    assert type(error) is OutOfTime
    assert secret.logs_in()


def test_throttled_promotion_is_repeated(postgres: Server, rotating: Rotating) -> None:
    """Between change and promotion applications are shut out: a throttled call is repeated."""
    secret = rotating.secret(postgres)
    with promotion_failing(secret, "ThrottlingException", times=5) as throttled:
        outcome = secret.rotate()
    assert len(throttled) == 5
    assert outcome.attempts == 1
    assert secret.logs_in()


def test_promotion_that_stays_throttled(
    postgres: Server, rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When time is nearly over the throttling is told, and the retry promotes."""
    monkeypatch.setattr(holding, "PROMOTION_PATIENCE_ENDS_SECONDS", 59)
    secret = rotating.secret(postgres)
    with promotion_failing(secret, "ThrottlingException"):
        assert type(secret.fails()) is Throttled
    token = secret.label("AWSPENDING")
    assert token is not None
    secret.step(token, *STEPS)
    assert secret.logs_in()


def test_wrong_administrator_leaves_the_user_alone(postgres: Server, rotating: Rotating) -> None:
    """With a broken AWSCURRENT and a refused administrator nothing can be done, nor is."""
    administrator = rotating.administrator(postgres, password="not his passw0rd")
    secret = rotating.secret(postgres, strategy="single-user", administrator=administrator)
    good = secret.document()
    secret.edit(password="a wrong passw0rd")
    assert type(secret.fails()) is LoginRefused
    assert postgres.logs_in(good["username"], good["password"])


def test_current_moved_by_hand(postgres: Server, rotating: Rotating) -> None:
    """AWSCURRENT that an operator moves between the change and the promotion is not overruled."""
    function = rotating.function(postgres, ROTATION_PROMOTE_IN="finishSecret")
    secret = rotating.secret(postgres, function=function)
    secret.service._operations.edit_abandons_rotation = False
    token = secret.prepare()
    secret.step(token, *STEPS[:3])
    moved: list[str | None] = []

    def move(operation: str, phase: str, index: int) -> None:
        if operation == "UpdateSecretVersionStage" and phase == "before" and not moved:
            moved.append(None)
            secret.service.on_request = None
            secret.edit(added="by an operator")

    secret.service.on_request = move
    with pytest.raises(CurrentChanged):
        secret.step(token, "finishSecret")
    assert moved
    assert secret.document()["added"] == "by an operator"

"""Rotations in which nothing goes wrong: what they keep, what they cost, what they tell."""

import json
import re
import sys
from collections import Counter
from typing import Any

import pytest
from botocore.session import Session

from local.secretsmanager import SecretsManagerService
from local.servers import Server, start
from rotators.postgres.connection import APPLICATION_NAME
from shared.errors import BadSetting, LoginRefused
from shared.strategies import STRATEGIES
from tests.functional.rotations import STEPS, Rotating, RotatingSecret, new_name

POSTGRES_STRATEGIES = ["single-user", "single-user-by-administrator", "alternating-users"]


def logins(rotating: Rotating, server: Server) -> Counter[str]:
    """Count the logins since the test began, by user."""
    pattern = r"connection authorized: user=(.*?) database="
    return Counter(re.findall(pattern, rotating.log_since(server)))


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


@pytest.mark.parametrize("strategy", POSTGRES_STRATEGIES)
def test_administrator_that_rds_manages(
    postgres: Server, rotating: Rotating, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator's secret of RDS's, without host, works; at most 14 calls in all."""

    class Rds:
        """RDS, which says that the instance is our server."""

        @staticmethod
        def describe_db_instances(**_: str) -> dict[str, Any]:
            endpoint = {"Address": postgres.host, "Port": postgres.port}
            return {"DBInstances": [{"Endpoint": endpoint}]}

    monkeypatch.setattr("shared.runtime.Clients._rds", lambda _: Rds())
    account = postgres.administrator
    managed = rotating.service.create_secret(
        "rds!db",
        {"username": account.username, "password": account.password},
        {"aws:rds:primaryDBInstanceArn": "arn:aws:rds:eu-central-1:123456789012:db:orders"},
        owning_service="rds",
    )
    secret = rotating.secret(postgres, strategy=strategy, administrator=managed)
    for _ in range(2):
        assert len(secret.rotate().calls) <= 14
        assert secret.logs_in()


def test_calls_where_finish_secret_promotes(postgres: Server, rotating: Rotating) -> None:
    """Leaving the promotion to finishSecret costs one more read, under a lock of its own."""
    function = rotating.function(postgres, ROTATION_PROMOTE_IN="finishSecret")
    secret = rotating.secret(postgres, function=function)
    assert len(secret.rotate().calls) <= 11


def test_logins_of_a_single_user(postgres: Server, rotating: Rotating) -> None:
    """A healthy single-user rotation logs in three times: to change, to prove, to test."""
    secret = rotating.secret(postgres)
    secret.rotate()
    found = logins(rotating, postgres)
    assert found[secret.username] == 3
    log = rotating.log_since(postgres)
    assert log.count(f"application_name={APPLICATION_NAME}") == 3


def test_nothing_is_cached_between_invocations(postgres: Server, rotating: Rotating) -> None:
    """A secret that was edited between two rotations is rotated as it is now."""
    secret = rotating.secret(postgres)
    secret.rotate()
    postgres.create_user(other := new_name(), "another First passw0rd")
    secret.edit(username=other, password="another First passw0rd")
    secret.rotate()
    assert secret.username == other
    assert secret.logs_in()


def test_client_is_made_once(
    postgres: Server, rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All invocations of one execution environment share one client."""
    made: list[str] = []
    original: Any = Session.create_client

    def counting(session: Session, name: str, **options: Any) -> Any:  # noqa: ANN401
        made.append(name)
        return original(session, name, **options)

    secret = rotating.secret(postgres)
    monkeypatch.setattr(Session, "create_client", counting)
    secret.rotate()
    secret.rotate()
    assert made == ["secretsmanager"]


def test_password_follows_the_function_s_policy(postgres: Server, rotating: Rotating) -> None:
    """The variables that AWS's functions have are obeyed."""
    function = rotating.function(
        postgres,
        PASSWORD_LENGTH="20",
        EXCLUDE_PUNCTUATION="true",
        EXCLUDE_UPPERCASE="true",
        EXCLUDE_CHARACTERS="abc123",
    )
    secret = rotating.secret(postgres, function=function)
    secret.rotate()
    assert re.fullmatch(r"[d-z04-9]{20}", secret.document()["password"])


# Choosing the strategy


@pytest.mark.parametrize(
    ("tag", "setting", "administrator", "chosen"),
    [
        (None, None, False, "single-user"),
        (None, None, True, "alternating-users"),
        (None, "single-user", True, "single-user"),
        ("single-user-by-administrator", "single-user", True, "single-user-by-administrator"),
        ("single-user", None, True, "single-user"),
    ],
)
def test_strategy_is_chosen(
    postgres: Server,
    rotating: Rotating,
    tag: str | None,
    setting: str | None,
    administrator: bool,
    chosen: str,
) -> None:
    """By the secret's tag, else the function's setting, else the secret; pinned as a label."""
    function = rotating.function(postgres, ROTATION_STRATEGY=setting or "")
    secret = rotating.secret(postgres, strategy=tag, administrator=administrator, function=function)
    token = secret.rotate().token
    (plan,) = [label for label in secret.service.labels(secret.arn) if f"--{chosen}--" in label]
    assert secret.label(plan) == token
    assert {line["strategy"] for line in rotating.record.lines() if "strategy" in line} == {chosen}


def test_strategy_is_pinned(postgres: Server, rotating: Rotating) -> None:
    """A tag that is edited in the middle of a rotation does not change that rotation."""
    secret = rotating.secret(postgres, strategy="single-user", administrator=True)
    token = secret.prepare()
    secret.step(token, "createSecret")
    secret.tag(strategy="alternating-users")
    username = secret.username
    secret.step(token, *STEPS[1:])
    assert secret.username == username
    assert secret.label("AWSCURRENT") == token
    assert secret.logs_in()


def test_tag_that_is_no_strategy(postgres: Server, rotating: Rotating) -> None:
    """A misspelt strategy is refused before anything is stored."""
    secret = rotating.secret(postgres, strategy="alternating")
    error = secret.fails()
    assert type(error) is BadSetting
    for name in STRATEGIES:
        assert name in error.message
    assert secret.document("AWSCURRENT")["password"] == "the First passw0rd"


# When the promotion happens


def test_promotion_in_set_secret(postgres: Server, rotating: Rotating) -> None:
    """By default a single user's new password is current as soon as it is set and proven."""
    secret = rotating.secret(postgres)
    token = secret.prepare()
    secret.step(token, "createSecret")
    assert secret.label("AWSCURRENT") != token
    secret.step(token, "setSecret")
    assert secret.label("AWSCURRENT") == token
    secret.step(token, "testSecret", "finishSecret")


def test_promotion_in_finish_secret(postgres: Server, rotating: Rotating) -> None:
    """ROTATION_PROMOTE_IN=finishSecret keeps AWSCURRENT until then."""
    function = rotating.function(postgres, ROTATION_PROMOTE_IN="finishSecret")
    secret = rotating.secret(postgres, function=function)
    token = secret.prepare()
    secret.step(token, "createSecret", "setSecret", "setSecret", "testSecret", "testSecret")
    assert secret.label("AWSCURRENT") != token
    secret.step(token, "finishSecret", "finishSecret")
    assert secret.label("AWSCURRENT") == token
    assert secret.logs_in()


def test_finish_secret_without_set_secret(postgres: Server, rotating: Rotating) -> None:
    """No finishSecret promotes a version whose password the database does not know."""
    secret = rotating.secret(postgres)
    token = secret.prepare()
    secret.step(token, "createSecret")
    with pytest.raises(LoginRefused):
        secret.step(token, "finishSecret")
    assert secret.label("AWSCURRENT") != token
    assert secret.logs_in()


# A test of the configuration: RotateSecret with RotateImmediately=false


@pytest.mark.parametrize("variant", ["valueless", "copy"])
@pytest.mark.parametrize("strategy", POSTGRES_STRATEGIES)
def test_test_of_the_configuration(
    postgres: Server,
    rotating: Rotating,
    strategy: str,
    variant: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """RotateImmediately=false logs in, changes nothing and promotes nothing."""
    monkeypatch.setattr("shared.store.STALE_READ_PAUSES", (0.01,))
    secret = with_strategy(rotating, postgres, strategy)
    service = secret.service
    service.test_version = variant  # type: ignore[assignment]
    before, current = secret.document(), secret.label("AWSCURRENT")
    roles = postgres.execute("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1")
    service.client().rotate_secret(SecretId=secret.arn, RotateImmediately=False)
    service.wait()
    (outcome,) = service.outcomes
    assert outcome.succeeded, outcome.error
    assert [step.step for step in outcome.steps] == ["testSecret"]
    assert secret.document() == before
    assert secret.label("AWSCURRENT") == current
    assert secret.label("AWSPENDING") is None
    assert postgres.execute("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1") == roles
    assert not {"PutSecretValue", "UpdateSecretVersionStage"} & {
        request.operation for request in outcome.calls
    }
    secret.rotate()
    assert secret.logs_in()


@pytest.mark.parametrize("variant", ["valueless", "copy"])
def test_test_of_the_configuration_finds_a_wrong_password(
    postgres: Server, rotating: Rotating, variant: str
) -> None:
    """RotateImmediately=false fails where AWSCURRENT does not log in."""
    secret = rotating.secret(postgres)
    secret.service.test_version = variant  # type: ignore[assignment]
    secret.edit(password="not the password")
    secret.service.client().rotate_secret(SecretId=secret.arn, RotateImmediately=False)
    secret.service.wait()
    (outcome,) = secret.service.outcomes
    assert type(outcome.error) is LoginRefused


# Cross-account rotation


def test_rotation_token_is_passed_on_and_never_shown(postgres: Server, rotating: Rotating) -> None:
    """A RotationToken goes with PutSecretValue, and stands in no log line."""
    with SecretsManagerService(cross_account=True) as service:
        here = Rotating(service, rotating.record)
        secret = here.secret(postgres)
        token = secret.prepare()
        rotation_token = _rotation_token(secret, token)
        secret.step(token, *STEPS)
        assert secret.label("AWSCURRENT") == token
    assert len(rotation_token) > 8
    assert rotation_token not in rotating.record.text()


def _rotation_token(secret: RotatingSecret, token: str) -> str:
    rotation = secret.service._operations.find(secret.arn).rotation
    assert rotation is not None
    return rotation.tokens[token]


# What it tells


def test_log_lines_and_metrics(postgres: Server, rotating: Rotating) -> None:
    """Each step leaves a JSON line that names secret, token, step and action, and a count."""
    secret = rotating.secret(postgres)
    token = secret.rotate().token
    lines = [line for line in rotating.record.lines() if "message" in line]
    assert [line["step"] for line in lines] == list(STEPS)
    assert [line["action"] for line in lines] == ["STORE", "APPLY", "VERIFY", "DONE"]
    for line in lines:
        assert line["secret"] == secret.arn
        assert line["token"] == token
        assert line["level"] == "INFO"
        assert isinstance(line["milliseconds"], int)
    assert lines[1]["strategy"] == "single-user"
    assert lines[1]["logged_in_with"] == "CURRENT"
    assert rotating.record.metrics() == ["StepSucceeded"] * 4


def test_failures_are_counted_by_cause(postgres: Server, rotating: Rotating) -> None:
    """A failed step leaves an error line with its cause, and counts by it and by its remedy."""
    secret = rotating.secret(postgres, host="no-such-host.invalid")
    error = secret.fails()
    (line,) = [line for line in rotating.record.lines() if line.get("level") == "ERROR"]
    assert line["cause"] == "NameNotResolved" == type(error).__name__
    assert line["step"] == "setSecret"
    assert line["message"] == str(error)
    counted = ["StepSucceeded", "StepFailed", "StepFailedByCause", "StepFailedByRemedy"]
    assert rotating.record.metrics() == counted
    (by_cause,) = [line for line in rotating.record.lines() if "StepFailedByCause" in line]
    assert by_cause["cause"] == "NameNotResolved"
    (by_remedy,) = [line for line in rotating.record.lines() if "StepFailedByRemedy" in line]
    assert by_remedy["remedy"] == "network"


def test_plaintext_is_warned_about(rotating: Rotating) -> None:
    """A rotation that speaks no TLS because the secret says so leaves a warning each time."""
    with start("postgres", tls=False) as plain:
        secret = rotating.secret(plain, ssl=False)
        secret.rotate()
        assert secret.logs_in()
        warnings = [line for line in rotating.record.lines() if line.get("level") == "WARNING"]
        rotating._log_began.pop(plain)
        assert rotating.record.metrics().count("Plaintext") == len(warnings)
    assert {line["step"] for line in warnings} == {"setSecret", "testSecret"}
    assert all('"ssl": false' in line["message"] for line in warnings)


def test_debug_level_shows_no_password(
    postgres: Server, rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POWERTOOLS_LOG_LEVEL=DEBUG makes the function say no more than it may."""
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "DEBUG")
    secret = rotating.secret(postgres)
    secret.rotate()
    rotating.require_silence()


def test_search_for_passwords_finds_them(postgres: Server, rotating: Rotating) -> None:
    """The search at the end of each of these tests can fail: it sees a planted password."""
    secret = rotating.secret(postgres)
    secret.rotate()
    rotating.require_silence()
    sys.stderr.write(json.dumps({"message": secret.document()["password"]}))
    with pytest.raises(AssertionError, match="A password stands in what the function wrote"):
        rotating.require_silence()
    rotating.record.forget()
    postgres.execute("SELECT %s", [secret.document()["password"]])
    with pytest.raises(AssertionError, match="A password stands in the log of postgres"):
        rotating.require_silence()
    rotating._log_began[postgres] = len(postgres.log_text())

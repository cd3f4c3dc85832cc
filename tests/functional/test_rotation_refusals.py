"""Rotations that are refused: each for its own reason, and with nothing changed."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from local.servers import Server
from rotators.mysql.rotator import MysqlRotator
from rotators.postgres.rotator import PostgresRotator
from shared.errors import (
    AccessDenied,
    AccountExpired,
    AccountLocked,
    AdministratorIsUser,
    AdministratorUnproven,
    BadEvent,
    BadSecret,
    BadSetting,
    CapabilityMissing,
    CurrentChanged,
    ForeignPending,
    LoginRefused,
    ManagedSecret,
    NotRotatable,
    OutOfTime,
    RotationError,
    RotationNotEnabled,
    ServiceFailed,
    StrategyNeedsAdministrator,
    Throttled,
    UnknownVersion,
    ValueNotReadable,
    VersionNotPending,
    WrongEngine,
)
from shared.runtime import UnexpectedError, handler_for
from tests.functional.rotations import STEPS, Rotating, RotatingSecret, new_name


@pytest.fixture
def secret(postgres: Server, rotating: Rotating) -> Iterator[RotatingSecret]:
    """A secret of which nothing changes: no version, no label, no password, no login even."""
    secret = rotating.secret(postgres)
    yield secret
    before_password = "the First passw0rd"
    logged_in = f"connection authorized: user={secret.username} "
    assert logged_in not in rotating.log_since(postgres)
    assert postgres.logs_in(secret.username, before_password)


def state(secret: RotatingSecret) -> tuple[Any, ...]:
    """Return everything that Secrets Manager holds of a secret."""
    labels = secret.service.labels(secret.arn)
    return labels, [(version.version_id, version.value) for version in secret.versions()]


def invoke(rotating: Rotating, server: Server, event: object) -> RotationError | UnexpectedError:
    """Invoke a fresh handler with any event, and return what it raises."""
    function = rotating.function(server)
    with pytest.raises((RotationError, UnexpectedError)) as caught:
        rotating.service.functions[function](event)  # type: ignore[arg-type]
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    return caught.value  # type: ignore[return-value]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a value that will never come."""
    monkeypatch.setattr("shared.store.STALE_READ_PAUSES", (0.01,))


# Events


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"Step": None}, "Step"),
        ({"Step": ""}, "Step"),
        ({"Step": "deleteSecret"}, "Step"),
        ({"Step": "createsecret"}, "Step"),
        ({"Step": ["createSecret"]}, "Step"),
        ({"SecretId": None}, "SecretId"),
        ({"SecretId": 5}, "SecretId"),
        ({"SecretId": "  "}, "SecretId"),
        ({"ClientRequestToken": None}, "ClientRequestToken"),
        ({"ClientRequestToken": {}}, "ClientRequestToken"),
        ({"ClientRequestToken": "\ud800"}, "ClientRequestToken"),
        ({"RotationToken": 5}, "RotationToken"),
    ],
)
def test_event_with_a_bad_field(
    secret: RotatingSecret, rotating: Rotating, change: dict[str, Any], field: str
) -> None:
    """A field that is missing, empty, of a wrong kind or unknown is named."""
    before = state(secret)
    event = {"Step": STEPS[0], "SecretId": secret.arn, "ClientRequestToken": secret.prepare()}
    secret.abandon()
    after_preparing = state(secret)
    event = {key: value for key, value in {**event, **change}.items() if value is not None}
    error = invoke(rotating, secret.server, event)
    assert type(error) is BadEvent
    assert f"Field {field} of the event" in error.message
    assert state(secret) == after_preparing != before


def test_event_without_its_fields(secret: RotatingSecret, rotating: Rotating) -> None:
    """An empty event is refused."""
    assert type(invoke(rotating, secret.server, {})) is BadEvent


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("token", ["0" * 36, "x", "x" * 65])
def test_token_that_is_no_version(
    secret: RotatingSecret, rotating: Rotating, step: str, token: str, quick: None
) -> None:
    """A token that names no version of the secret is UnknownVersion in every step."""
    before = state(secret)
    event = {"Step": step, "SecretId": secret.arn, "ClientRequestToken": token}
    assert type(invoke(rotating, secret.server, event)) is UnknownVersion
    assert state(secret) == before


@pytest.mark.parametrize("step", STEPS)
def test_secret_that_does_not_exist(
    secret: RotatingSecret, rotating: Rotating, step: str, quick: None
) -> None:
    """A secret that is not there is told as such, with what to look at."""
    missing = secret.arn[:-6] + "AbCdEf"
    event = {"Step": step, "SecretId": missing, "ClientRequestToken": str(uuid4())}
    error = invoke(rotating, secret.server, event)
    assert type(error) is NotRotatable
    assert "ARN and Region" in error.advice


@pytest.mark.parametrize("step", STEPS)
def test_version_that_was_abandoned(secret: RotatingSecret, step: str, quick: None) -> None:
    """A version that has lost AWSPENDING is not worked on, with a value or without."""
    for steps in ((), (STEPS[0],)):
        token = secret.prepare()
        secret.step(token, *steps)
        secret.abandon()
        before = state(secret)
        expected = VersionNotPending if steps else (VersionNotPending, UnknownVersion)
        with pytest.raises(expected):
            secret.step(token, step)
        assert state(secret) == before


@pytest.mark.parametrize("step", ["setSecret", "finishSecret"])
def test_pending_version_without_a_value(secret: RotatingSecret, step: str, quick: None) -> None:
    """Without createSecret there is no value to work with; the service begins again with it."""
    token = secret.prepare()
    before = state(secret)
    with pytest.raises(ValueNotReadable):
        secret.step(token, step)
    assert state(secret) == before


@pytest.mark.parametrize("step", ["createSecret", "setSecret", "finishSecret"])
def test_pending_value_of_somebody_else(secret: RotatingSecret, step: str) -> None:
    """A value that this framework did not store is never used; createSecret ends its attempt."""
    token = secret.prepare()
    secret.service.client().put_secret_value(
        SecretId=secret.arn,
        ClientRequestToken=token,
        SecretString=json.dumps({**secret.document(), "password": "somebody's own choice"}),
        VersionStages=["AWSPENDING"],
    )
    before = state(secret)
    with pytest.raises(ForeignPending) as caught:
        secret.step(token, step)
    assert "aws secretsmanager rotate-secret" in caught.value.outcome or step != STEPS[0]
    if step == STEPS[0]:
        assert secret.label("AWSPENDING") is None
    else:
        assert state(secret) == before


# Secrets


def test_rotation_that_is_not_enabled(secret: RotatingSecret, rotating: Rotating) -> None:
    """A secret whose rotation was cancelled is not rotated."""
    token = secret.prepare()
    secret.service.client().cancel_rotate_secret(SecretId=secret.arn)
    before = state(secret)
    event = {"Step": STEPS[0], "SecretId": secret.arn, "ClientRequestToken": token}
    error = invoke(rotating, secret.server, event)
    assert type(error) in {RotationNotEnabled, VersionNotPending, UnknownVersion}
    assert state(secret)[1:] == before[1:]


def test_managed_secret(postgres: Server, rotating: Rotating) -> None:
    """A secret that another service owns is refused, whatever is in it."""
    arn = rotating.service.create_secret(
        "managed", {"username": "u", "password": "its own passw0rd"}, owning_service="rds"
    )
    function = rotating.function(postgres)
    rotating.service.enable_rotation(arn, function)
    secret = RotatingSecret(rotating.service, postgres, arn)
    error = secret.fails()
    assert type(error) is ManagedSecret
    assert "rds" in error.message
    assert len([version for version in secret.versions() if version.value is not None]) == 1


@pytest.mark.parametrize("engine", ["mysql", "mariadb", "oracle", "postgres "])
def test_engine_of_another_function(postgres: Server, rotating: Rotating, engine: str) -> None:
    """A secret of another engine is refused before anything is stored."""
    secret = rotating.secret(postgres, engine=engine)
    error = secret.fails()
    assert type(error) is WrongEngine
    assert "aurora-postgresql" in error.message
    assert len([v for v in secret.versions() if v.value is not None]) == 1


@pytest.mark.parametrize("engine", ["postgres", "PostgreSQL", "aurora-postgresql", "", None])
def test_engines_of_this_function(postgres: Server, rotating: Rotating, engine: str | None) -> None:
    """Every name of the engine is accepted, in any case, and no name as well."""
    secret = rotating.secret(postgres, engine=engine)
    secret.rotate()
    assert secret.document()["engine"] == engine


def test_function_of_another_engine(postgres: Server, rotating: Rotating) -> None:
    """A PostgreSQL secret with the MySQL function attached is refused."""
    function = rotating.function(postgres, rotator=MysqlRotator)
    secret = rotating.secret(postgres, function=function)
    assert type(secret.fails()) is WrongEngine


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"host": ...}, "host"),
        ({"host": ""}, "host"),
        ({"host": 5}, "host"),
        ({"host": "/tmp"}, "host"),  # noqa: S108 (libpq would take it for a socket without TLS)
        ({"host": "one.example,two.example"}, "host"),
        ({"host": "@abstract"}, "host"),
        ({"host": " localhost"}, "host"),
        ({"username": ...}, "username"),
        ({"username": None}, "username"),
        ({"username": ["u"]}, "username"),
        ({"username": "a\0b"}, "username"),
        ({"password": ...}, "password"),
        ({"password": 12345678901234567890}, "password"),
        ({"port": "five"}, "port"),
        ({"port": 0}, "port"),
        ({"port": 65536}, "port"),
        ({"port": -1}, "port"),
        ({"port": 5432.0}, "port"),
        ({"port": True}, "port"),
        ({"port": [5432]}, "port"),
        ({"port": "٥٤٣٢"}, "port"),
        ({"ssl": "maybe"}, "ssl"),
        ({"ssl": 0}, "ssl"),
        ({"ssl": []}, "ssl"),
        ({"dbname": 5}, "dbname"),
        ({"engine": {}}, "engine"),
        ({"masterarn": 5}, "masterarn"),
        ({"masterarn": ["arn"]}, "masterarn"),
    ],
)
def test_secret_with_a_bad_field(
    postgres: Server, rotating: Rotating, change: dict[str, Any], field: str
) -> None:
    """A field that is missing or of a wrong kind is named; its value is not shown."""
    secret = rotating.secret(postgres)
    document = {**secret.document(), **change}
    secret.store({key: value for key, value in document.items() if value is not ...})
    error = secret.fails()
    assert type(error) is BadSecret
    assert f"`{field}`" in error.message
    assert "AWSCURRENT" in error.message
    value = change[field]
    if isinstance(value, str) and value.strip():
        assert value not in error.message
    assert secret.label("AWSPENDING") not in {
        version.version_id for version in secret.versions() if version.value is not None
    }


@pytest.mark.parametrize(
    "text", ["", "not JSON: hunter2hunter2", "[]", '"hunter2hunter2"', "5", "null", '{"a":', "{}x"]
)
def test_secret_that_is_no_json_object(postgres: Server, rotating: Rotating, text: str) -> None:
    """A secret that is no JSON object is told so, without any of its text."""
    secret = rotating.secret(postgres)
    secret.store(text or " ")
    error = secret.fails()
    assert type(error) is BadSecret
    assert "hunter2" not in str(error)


def test_secret_that_is_binary(postgres: Server, rotating: Rotating) -> None:
    """SecretBinary is named as such."""
    secret = rotating.secret(postgres)
    secret.service.client().put_secret_value(SecretId=secret.arn, SecretBinary=b"\x00\x01")
    error = secret.fails()
    assert type(error) is BadSecret
    assert "SecretBinary" in error.message


def test_secret_too_large_for_its_new_password(postgres: Server, rotating: Rotating) -> None:
    """A value that would no longer fit into a secret is an error, not a truncated secret."""
    secret = rotating.secret(postgres)
    room = 65_536 - len(json.dumps({**secret.document(), "padding": ""}))
    secret.edit(padding="x" * room)
    before = secret.document()
    error = secret.fails()
    assert isinstance(error, ServiceFailed)
    assert secret.document() == before


# Settings


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PASSWORD_LENGTH", "seven"),
        ("PASSWORD_LENGTH", "7"),
        ("PASSWORD_LENGTH", "100"),
        ("EXCLUDE_NUMBERS", "maybe"),
        ("REQUIRE_EACH_INCLUDED_TYPE", "2"),
        ("ROTATION_STRATEGY", "single"),
        ("ROTATION_PROMOTE_IN", "testSecret"),
        ("ROTATION_REFUSED_LOGINS", "-1"),
        ("ROTATION_REFUSED_LOGINS", "0"),
        ("DATABASE_CA_FILE", "/no/such/file.pem"),
        ("SECRETS_MANAGER_ENDPOINT", "no URL"),
    ],
)
def test_variable_with_an_impossible_value(
    secret: RotatingSecret, rotating: Rotating, variable: str, value: str
) -> None:
    """A misspelt environment variable is named, before any call or login is made."""
    function = rotating.function(secret.server, **{variable: value})  # type: ignore[arg-type]
    rotating.service.enable_rotation(secret.arn, function)
    error = secret.fails()
    assert type(error) is BadSetting
    assert variable in error.message


# Strategies and administrators


@pytest.mark.parametrize("strategy", ["single-user-by-administrator", "alternating-users"])
def test_strategy_without_its_administrator(
    postgres: Server, rotating: Rotating, strategy: str
) -> None:
    """A strategy that works through an administrator says that the secret names none."""
    secret = rotating.secret(postgres, strategy=strategy)
    error = secret.fails()
    assert type(error) is StrategyNeedsAdministrator
    assert "masterarn" in error.advice


def test_strategy_that_the_engine_cannot_follow(postgres: Server, rotating: Rotating) -> None:
    """PostgreSQL has no second password; the error names what to change, and nothing changed."""
    secret = rotating.secret(postgres, strategy="dual-password")
    error = secret.fails()
    assert type(error) is CapabilityMissing
    assert "rotation:strategy" in error.advice
    assert "AWSPENDING is off" in error.outcome
    assert secret.label("AWSPENDING") is None
    assert secret.logs_in()


def test_administrator_of_another_server(
    postgres: Server, postgres_18: Server, rotating: Rotating
) -> None:
    """The administrator's password goes to no other server than his own."""
    foreign = rotating.administrator(postgres_18)
    rotating.watch(postgres_18)
    secret = rotating.secret(postgres, administrator=foreign)
    error = secret.fails()
    assert type(error) is AdministratorUnproven
    assert "connection authorized" not in rotating.log_since(postgres_18)


def test_secret_that_is_its_own_administrator(postgres: Server, rotating: Rotating) -> None:
    """A secret that names itself in masterarn is refused."""
    secret = rotating.secret(postgres, strategy="single-user-by-administrator", masterarn="later")
    secret.edit(masterarn=secret.arn)
    assert type(secret.fails()) is AdministratorIsUser


@pytest.mark.parametrize("strategy", ["single-user-by-administrator", "alternating-users"])
def test_administrator_that_is_the_user(
    postgres: Server, rotating: Rotating, strategy: str
) -> None:
    """An administrator's secret of the very user that is rotated is refused."""
    secret = rotating.secret(postgres, strategy=strategy, masterarn="later")
    twin = rotating.service.create_secret(new_name("twin"), secret.document())
    secret.edit(masterarn=twin)
    assert type(secret.fails()) is AdministratorIsUser


def test_administrator_who_is_refused(postgres: Server, rotating: Rotating) -> None:
    """A wrong password of the administrator's is told as his, not as the user's."""
    administrator = rotating.administrator(postgres, password="not his passw0rd")
    secret = rotating.secret(postgres, administrator=administrator)
    error = secret.fails()
    assert type(error) is LoginRefused
    assert postgres.administrator.username in error.message
    assert "masterarn" in error.advice


def test_administrator_who_does_not_exist(postgres: Server, rotating: Rotating) -> None:
    """A masterarn that names no secret is told as such."""
    arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:nobody-AbCdEf"
    secret = rotating.secret(postgres, administrator=arn)
    error = secret.fails()
    assert type(error) is NotRotatable
    assert arn in error.message


# Accounts


def test_expired_account_seen_by_the_administrator(postgres: Server, rotating: Rotating) -> None:
    """VALID UNTIL that is over looks like a wrong password; the administrator's look decides."""
    secret = rotating.secret(postgres, strategy="single-user", administrator=True)
    postgres.execute(f"ALTER ROLE {secret.username} VALID UNTIL '2001-01-01'")
    error = secret.fails()
    assert type(error) is AccountExpired
    postgres.execute(f"ALTER ROLE {secret.username} VALID UNTIL 'infinity'")
    secret.abandon()
    secret.rotate()
    assert secret.logs_in()


def test_second_user_that_may_not_log_in(postgres: Server, rotating: Rotating) -> None:
    """A user that only has the right password, but may not log in, is not promoted."""
    secret = rotating.secret(postgres, administrator=True)
    secret.rotate()
    secret.rotate()
    username = secret.username
    postgres.execute(f"ALTER ROLE {username}_clone NOLOGIN")
    error = secret.fails()
    assert type(error) is AccountLocked
    assert secret.username == username
    assert secret.logs_in()


def test_account_at_its_connection_limit(postgres: Server, rotating: Rotating) -> None:
    """CONNECTION LIMIT 1: the proof meets the limit, which proves the password just as well."""
    secret = rotating.secret(postgres)
    postgres.execute(f"ALTER ROLE {secret.username} CONNECTION LIMIT 1")
    secret.rotate()
    assert secret.logs_in()


# The service


def test_throttling_beyond_the_sdk_s_patience(secret: RotatingSecret) -> None:
    """When every call is throttled the error says so."""
    secret.service.throttle = 1.0
    error = secret.fails()
    secret.service.throttle = 0.0
    assert type(error) is Throttled


def test_call_that_is_denied(
    secret: RotatingSecret, rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal by IAM or KMS is AccessDenied, and the hint names the rights."""
    from local.secretsmanager import ServiceError  # noqa: PLC0415

    def deny(operation: str, phase: str, index: int) -> None:
        if operation == "PutSecretValue" and phase == "before":
            raise ServiceError("AccessDeniedException", "User: arn:... is not authorized")

    secret.service.on_request = deny
    error = secret.fails()
    assert type(error) is AccessDenied
    assert "kms:Decrypt" in error.advice


def test_endpoint_that_is_out_of_reach(secret: RotatingSecret, rotating: Rotating) -> None:
    """A function without a way to Secrets Manager says what a VPC needs for it."""
    function = rotating.function(secret.server, SECRETS_MANAGER_ENDPOINT="http://127.0.0.1:1")
    rotating.service.enable_rotation(secret.arn, function)
    error = secret.fails()
    assert type(error) is ServiceFailed
    assert "interface endpoint" in error.advice


def test_time_that_is_over(secret: RotatingSecret, rotating: Rotating) -> None:
    """With too little time left nothing is begun."""
    function = rotating.function(secret.server, timeout_seconds=1)
    rotating.service.enable_rotation(secret.arn, function)
    token = secret.prepare()
    secret.step(token, "createSecret")
    with pytest.raises(OutOfTime):
        secret.step(token, "setSecret")


# AWSCURRENT edited in the middle


def test_current_that_names_another_user_meanwhile(postgres: Server, rotating: Rotating) -> None:
    """An AWSCURRENT edited to another user ends the rotation that was begun for the old one."""
    secret = rotating.secret(postgres)
    secret.service._operations.edit_abandons_rotation = False
    token = secret.prepare()
    secret.step(token, "createSecret")
    postgres.create_user(other := new_name(), "another First passw0rd")
    secret.edit(username=other, password="another First passw0rd")
    with pytest.raises(CurrentChanged) as caught:
        secret.step(token, "setSecret")
    assert "AWSPENDING is off" in caught.value.outcome
    assert secret.label("AWSPENDING") is None
    assert secret.logs_in()
    secret.rotate()
    assert secret.username == other
    assert secret.logs_in()


@pytest.mark.parametrize("applied", [False, True])
def test_current_that_gets_another_key_meanwhile(
    postgres: Server, rotating: Rotating, applied: bool
) -> None:
    """An edit is never undone by a promotion, and AWSCURRENT logs in afterwards."""
    function = rotating.function(postgres, ROTATION_PROMOTE_IN="finishSecret")
    secret = rotating.secret(postgres, function=function)
    secret.service._operations.edit_abandons_rotation = False
    token = secret.prepare()
    secret.step(token, "createSecret")
    if applied:
        secret.step(token, "setSecret")
    secret.edit(added="by an operator")
    with pytest.raises(CurrentChanged):
        secret.step(token, "setSecret")
    with pytest.raises(VersionNotPending):
        secret.step(token, "finishSecret")
    assert secret.document()["added"] == "by an operator"
    assert secret.logs_in()
    secret.abandon()
    secret.rotate()
    assert secret.document()["added"] == "by an operator"
    assert secret.logs_in()


def test_handler_survives_what_nobody_foresaw(
    secret: RotatingSecret, rotating: Rotating, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect's own text, which may quote anything, reaches neither the log nor the caller."""

    def fail(*args: object, **kwargs: object) -> None:
        raise KeyError("the First passw0rd")

    monkeypatch.setattr("shared.plan.Plan.next_user", fail)
    error = secret.fails()
    assert type(error) is UnexpectedError
    assert "KeyError" in str(error)
    assert error.__cause__ is None
    assert error.__context__ is None
    (line,) = [line for line in rotating.record.lines() if "places" in line]
    assert "rotator.py" in line["places"]


def test_handlers_take_any_mapping() -> None:
    """The two handlers are made alike, by one call."""
    assert handler_for(PostgresRotator).__module__ == handler_for(MysqlRotator).__module__

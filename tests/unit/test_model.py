"""Events, labels and secrets: whatever comes in, it is read or refused by name."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.errors import (
    BadEvent,
    BadSecret,
    ManagedSecret,
    PartnerSecret,
    ReplicaBehind,
    ReplicaSecret,
    RotationError,
    RotationNotEnabled,
)
from shared.model import (
    Description,
    Label,
    Login,
    RotationEvent,
    Stage,
    Step,
    Version,
    replicas_behind,
    require_replicas_in_sync,
    require_rotatable,
)

Parsed = TypeVar("Parsed")

PASSWORD = "hunter2 hunter2"

EVENT = {"Step": "setSecret", "SecretId": "arn:secret", "ClientRequestToken": "0" * 36}
SECRET = {
    "engine": "postgres",
    "host": "db.example.com",
    "port": 5432,
    "username": "app",
    "password": PASSWORD,
    "dbname": "app",
}

text = st.text(st.characters() | st.sampled_from("\ud800\udfff\0"), max_size=30)
"""Any characters, halves of surrogate pairs too."""

json_value = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | text,
    lambda children: st.lists(children, max_size=4) | st.dictionaries(text, children, max_size=4),
    max_leaves=10,
)


def outcome(parse: Callable[[], Parsed]) -> Parsed | BadEvent | BadSecret:
    """Return what is parsed, or the refusal; let any other error through."""
    try:
        return parse()
    except (BadEvent, BadSecret) as error:
        return error


def shown(error: Exception) -> str:
    """Return all that an error shows, its chain included."""
    assert error.__cause__ is None
    assert error.__suppress_context__ or error.__context__ is None
    return f"{error} {error!r}"


# Events


@given(st.dictionaries(st.sampled_from([*EVENT, "RotationToken", "Other"]), json_value))
def test_any_event_is_read_or_refused(changes: dict[str, Any]) -> None:
    """Any JSON value in any field gives an event, or a BadEvent that names a field of it."""
    event = {**EVENT, **changes}
    parsed = outcome(lambda: RotationEvent.parse(event))
    if isinstance(parsed, BadEvent):
        names = (*EVENT, "RotationToken")
        assert len([name for name in names if f"Field {name} " in parsed.message]) == 1
        token = event.get("RotationToken")
        if isinstance(token, str) and len(token) > 8:
            assert token not in shown(parsed)
    else:
        assert isinstance(parsed, RotationEvent)
        assert (parsed.step, parsed.secret_id, parsed.token) == (
            event["Step"],
            event["SecretId"],
            event["ClientRequestToken"],
        )
        assert parsed.rotation_token == event.get("RotationToken")


@pytest.mark.parametrize("event", [None, [], "createSecret", 5, [("Step", "createSecret")]])
def test_event_that_is_no_object(event: object) -> None:
    """What is no mapping is refused by its kind."""
    with pytest.raises(BadEvent, match="not a JSON object"):
        RotationEvent.parse(event)


@pytest.mark.parametrize("field", EVENT)
@pytest.mark.parametrize(
    ("value", "found"),
    [(None, "missing"), ("", "empty"), (" \n", "empty"), (5, "not text"), ("\ud800", "not text")],
)
def test_event_says_what_is_wrong_with_a_field(field: str, value: object, found: str) -> None:
    """Missing, empty and no text are told apart."""
    with pytest.raises(BadEvent, match=f"Field {field} of the event is {found}"):
        RotationEvent.parse({**EVENT, field: value})


def test_step_that_is_unknown() -> None:
    """The steps that there are, are told."""
    with pytest.raises(BadEvent, match="'x'; it must be one of createSecret, setSecret, testSec"):
        RotationEvent.parse({**EVENT, "Step": "x"})


def test_rotation_token_is_not_shown() -> None:
    """The RotationToken is sensitive: no repr has it."""
    event = RotationEvent.parse({**EVENT, "RotationToken": "sensitive"})
    assert event.rotation_token == "sensitive"
    assert "sensitive" not in repr(event)


def test_steps_are_those_of_the_service() -> None:
    """The four steps by the names that Secrets Manager sends."""
    assert [step.value for step in Step] == [
        "createSecret",
        "setSecret",
        "testSecret",
        "finishSecret",
    ]


# Labels


def test_labels_of_the_framework() -> None:
    """They are a format, stored in secrets: no update may call them something else."""
    assert list(Label) == ["rotation-fence", "rotation-searched"]
    assert list(Stage) == ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"]


# Secrets


@given(st.dictionaries(st.sampled_from([*SECRET, "ssl", "masterarn", "other"]), json_value))
@example({"port": 5432.0})
@example({"port": "9" * 5000})
@example({"password": "a\0b c\0d e\0f"})
@example({"host": "\ud800 half of a pair"})
def test_any_secret_is_read_or_refused(changes: dict[str, Any]) -> None:
    """Any JSON value in any field gives a login, or a BadSecret that names a field, no value."""
    document = {**SECRET, **changes}
    login = outcome(lambda: Login.parse(json.dumps(document), where="the secret"))
    if isinstance(login, BadSecret):
        names = (*SECRET, "ssl", "masterarn")
        (named,) = [name for name in names if f"`{name}`" in login.message]
        value = document[named]
        if isinstance(value, str) and len(value) > 8:
            assert value not in shown(login)
        assert PASSWORD not in shown(login)
    else:
        assert isinstance(login, Login)
        assert login.password == document["password"]
        assert login.document == document
        if login.password == PASSWORD:
            assert PASSWORD not in repr(login)


@given(json_value, json_value)
def test_any_json_is_kept(value: Any, other: Any) -> None:  # noqa: ANN401
    """Every other key keeps its value, its type and its place, over any number of rotations."""
    document = {"before": other, **SECRET, "between \ud800 ü": value, "after": [value, other]}
    login = Login.parse(json.dumps(document), where="the secret")
    stored = login.replacing(password="new").replacing(password="newer", username="other").to_json()
    stored.encode()
    after = json.loads(stored)
    assert list(after) == list(document)
    expected = {**document, "password": "newer", "username": "other"}
    assert json.dumps(after) == json.dumps(expected)


@given(text)
def test_any_text_is_read_or_refused(value: str) -> None:
    """Text that is no JSON object is refused without showing any of it."""
    try:
        Login.parse(value, where="the secret")
    except BadSecret as error:
        assert len(value) < 9 or value not in shown(error)  # noqa: PT017


@pytest.mark.parametrize("depth", [10, 300, 400, 450, 480, 490, 900, 990, 2000, 100_000])
def test_deep_secret_is_kept_or_refused(depth: int) -> None:
    """A value nested beyond what Python can read is refused, never half-read."""
    nested = json.dumps(SECRET)[:-1] + ', "deep": ' + "[" * depth + "]" * depth + "}"
    try:
        login = Login.parse(nested, where="the secret")
    except BadSecret as error:
        assert depth > 200, error  # noqa: PT017
    else:
        assert login.replacing(password="new").to_json().count("[") == depth


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000])
def test_numbers_that_would_not_come_back(number: str) -> None:
    """What Python would store as something else is refused as no JSON."""
    with pytest.raises(BadSecret, match="not valid JSON"):
        Login.parse(json.dumps(SECRET)[:-1] + f', "n": {number}}}', where="the secret")


def test_text_is_stored_as_it_is() -> None:
    """Non-ASCII characters are stored unescaped: a large value stays below the service's limit."""
    login = Login.parse(json.dumps({**SECRET, "note": "ü" * 1000}), where="the secret")
    assert "ü" * 1000 in login.to_json()


@pytest.mark.parametrize(
    ("stored", "port"),
    [
        (5433, 5433),
        ("5433", 5433),
        (None, None),
        ("", None),
        (1, 1),
        (65535, 65535),
        ("65535", 65535),
    ],
)
def test_port_as_operators_store_it(stored: object, port: int | None) -> None:
    """A number, a number as text, or nothing."""
    assert Login.parse(json.dumps({**SECRET, "port": stored}), where="x").port == port


@pytest.mark.parametrize("stored", [0, "0", 65536, "65536", "655350", "9" * 5000, True, 1.5, "x"])
def test_port_that_is_none(stored: object) -> None:
    """What is no port is refused, however it is stored."""
    with pytest.raises(BadSecret, match="`port` of the secret is not a number from 1 to 65535"):
        Login.parse(json.dumps({**SECRET, "port": stored}), where="the secret")


@pytest.mark.parametrize(
    ("field", "stored"),
    [
        ("engine", 5),
        ("host", "two words"),
        ("host", 5),
        ("port", "x"),
        ("username", ""),
        ("username", "a\0b"),
        ("password", None),
        ("dbname", 5),
        ("ssl", "perhaps"),
        ("masterarn", 5),
    ],
)
def test_field_that_is_wrong_is_named(field: str, stored: object) -> None:
    """The error names the field and the secret."""
    with pytest.raises(BadSecret, match=f"Field `{field}` of the secret"):
        Login.parse(json.dumps({**SECRET, field: stored}), where="the secret")


def test_engine_is_read_in_lower_case() -> None:
    """However a secret writes its engine, it is compared in lower case."""
    assert Login.parse(json.dumps({**SECRET, "engine": "PostgreSQL"}), where="x").engine == (
        "postgresql"
    )


@pytest.mark.parametrize(("username", "expected"), [(None, "app"), ("app_clone", "app_clone")])
def test_login_of_the_next_rotation(username: str | None, expected: str) -> None:
    """User and password are replaced in the login and in what is stored; nothing else is."""
    replaced = Login.parse(json.dumps(SECRET), where="x").replacing(password="p", username=username)
    assert (replaced.username, replaced.password) == (expected, "p")
    assert replaced.document == {**SECRET, "username": expected, "password": "p"}


@pytest.mark.parametrize(
    ("stored", "tls"),
    [
        (True, True),
        ("true", True),
        ("TRUE", True),
        ("1", True),
        (None, True),
        ("", True),
        (False, False),
        ("false", False),
        ("False", False),
        ("0", False),
    ],
)
def test_tls_unless_it_clearly_says_no(stored: object, tls: bool) -> None:
    """Only false switches TLS off; nothing and the empty text leave it on."""
    assert Login.parse(json.dumps({**SECRET, "ssl": stored}), where="x").tls is tls


@pytest.mark.parametrize("host", ["localhost:5432", "[::1]:5432", "db.example.com:3306"])
def test_host_with_a_port(host: str) -> None:
    """A port that stands in `host` is sent to where it belongs, before DNS is asked for it."""
    with pytest.raises(BadSecret, match=r"`host` of the secret ends with a port.*`port`") as caught:
        Login.parse(json.dumps({**SECRET, "host": host}), where="the secret")
    assert host not in shown(caught.value)


@pytest.mark.parametrize(
    ("value", "says", "advice"),
    [
        (None, "holds SecretBinary", "JSON object"),
        ("[1]", "not an object", "JSON object"),
        ('{\n  "host": hunter2,\n}', r"not valid JSON \(line 2, column 11\)", "JSON object"),
        ('{"host": "db", "n": NaN}', r"not valid JSON\.", "JSON object"),
        ('{"host": 5}', "`host`", "Correct that field"),
        ("no JSON", "the secret is not valid JSON", "JSON object"),
    ],
)
def test_advice_fits_what_is_wrong(value: str | None, says: str, advice: str) -> None:
    """Where no field is wrong none is named; broken JSON has a place, and no text of it."""
    with pytest.raises(BadSecret, match=says) as caught:
        Login.parse(value, where="the secret")
    assert advice in caught.value.advice
    assert "hunter2" not in shown(caught.value)


def test_proxy_is_no_place_for_a_proof() -> None:
    """A secret whose host is an RDS Proxy is refused by name, the own endpoint is not."""
    host = "c9akciq32rgh.eu-central-1.rds.amazonaws.com"
    own, proxy = (
        Login.parse(json.dumps({**SECRET, "host": f"orders.{kind}{host}"}), where="x")
        for kind in ("", "proxy-")
    )
    own.require_own_address("the secret")
    with pytest.raises(BadSecret, match=r"`host` of the secret is an RDS Proxy") as caught:
        proxy.require_own_address("the secret")
    assert "own endpoint" in caught.value.advice


def test_login_of_a_managed_administrator() -> None:
    """A secret that RDS manages has neither host nor port."""
    login = Login.parse('{"username": "a", "password": "b"}', where="x", host_required=False)
    assert (login.host, login.port, login.engine, login.tls) == ("", None, "", True)
    with pytest.raises(BadSecret, match="`host`"):
        Login.parse('{"username": "a", "password": "b"}', where="x")


def test_login_at_another_address() -> None:
    """A reader's login differs in its address only, and is stored nowhere."""
    login = Login.parse(json.dumps(SECRET), where="x")
    for port in (None, 6000):
        reader = login.at("reader.example.com", port)
        assert (reader.host, reader.port) == ("reader.example.com", port)
        assert reader.password == login.password
        assert reader.document == login.document


def test_version_shows_no_value() -> None:
    """A version's repr has no text of it; its login is read on demand."""
    version = Version("id", frozenset({Stage.CURRENT}), json.dumps(SECRET))
    assert "hunter2" not in repr(version)
    nowhere = Version("id", frozenset(), json.dumps({**SECRET, "host": ""}))
    with pytest.raises(BadSecret, match="`host`"):
        nowhere.login("x")
    assert nowhere.login("x", host_required=False).host == ""
    assert version.login("x").username == "app"


def test_holder_of_a_label() -> None:
    """A label's holder is found, or there is none."""
    description = Description(
        "arn", {"v1": frozenset({"a", "b"}), "v2": frozenset()}, {}, True, None
    )
    assert description.holder("b") == "v1"
    assert description.holder("c") is None


@pytest.mark.parametrize(
    ("replication", "behind"),
    [
        ({}, []),
        ({"eu-west-1": "InSync", "us-east-1": "InSync"}, []),
        (
            {"us-east-1": "InProgress", "eu-west-1": "Failed", "eu-west-2": "InSync"},
            ["eu-west-1 (Failed)", "us-east-1 (InProgress)"],
        ),
    ],
)
def test_replicas_that_are_behind(replication: dict[str, str], behind: list[str]) -> None:
    """Every replica that is not in sync is named with its status; a retry may find it in sync."""
    description = Description("arn:secret", {}, {}, True, None, replication=replication)
    assert replicas_behind(description) == behind
    if not behind:
        require_replicas_in_sync(description)
        return
    with pytest.raises(
        ReplicaBehind, match=r"arn:secret.*eu-west-1 \(Failed\), us-east-1"
    ) as caught:
        require_replicas_in_sync(description)
    assert (caught.value.retry_cures, caught.value.remedy) == (True, "wait")


@pytest.mark.parametrize(
    ("kind", "says", "fields"),
    [
        (ManagedSecret, "is managed by rds", {"owning_service": "rds"}),
        (
            PartnerSecret,
            "is of the type SalesforceClientSecret",
            {"partner": "SalesforceClientSecret"},
        ),
        (ReplicaSecret, "is a replica of the one in eu-west-1", {"primary_region": "eu-west-1"}),
        (RotationNotEnabled, "Rotation is not enabled for", {"rotation_enabled": False}),
    ],
)
def test_secret_that_somebody_else_rotates(
    kind: type[RotationError], says: str, fields: dict[str, Any]
) -> None:
    """It is refused, and the error names it and says whose it is."""
    arn = "arn:aws:secretsmanager:eu-central-1:1:secret:app"
    ours = Description(arn, {}, {}, rotation_enabled=True, owning_service=None)
    require_rotatable(ours)
    require_rotatable(replace(ours, primary_region="eu-central-1"))
    with pytest.raises(kind, match=says) as caught:
        require_rotatable(replace(ours, **fields))
    assert arn in str(caught.value)

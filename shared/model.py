"""The words of a rotation: steps, staging labels, events, versions and logins."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Self, TypeGuard

from shared.errors import (
    BadEvent,
    BadSecret,
    ManagedSecret,
    PartnerSecret,
    RdsProxy,
    ReplicaBehind,
    ReplicaSecret,
    RotationNotEnabled,
)
from shared.hosts import ends_with_port, is_host, is_rds_proxy

MAX_PORT = 65_535


class Step(StrEnum):
    """The four invocations of one rotation, in their order."""

    CREATE = "createSecret"
    SET = "setSecret"
    TEST = "testSecret"
    FINISH = "finishSecret"


class Stage(StrEnum):
    """The staging labels that have a meaning to Secrets Manager itself."""

    CURRENT = "AWSCURRENT"
    PENDING = "AWSPENDING"
    PREVIOUS = "AWSPREVIOUS"


class Label(StrEnum):
    """The staging labels of this framework, beside those that hold a plan.

    A staging label sits on at most one version. A version with any label is never purged.
    """

    FENCE = "rotation-fence"
    """On the version whose password was last about to be brought into force."""
    SEARCHED = "rotation-searched"
    """On the version whose attempt has tried every stored password in vain."""


@dataclass(frozen=True, slots=True)
class RotationEvent:
    """One invocation by Secrets Manager.

    Attributes:
        step: Which of the four steps.
        secret_id: The secret's ARN.
        token: The ClientRequestToken: the id of the version that the rotation makes.
        rotation_token: Comes with cross-account rotation; itself sensitive, hence never shown.
    """

    step: Step
    secret_id: str
    token: str
    rotation_token: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, event: object) -> Self:
        """Read the event of a Lambda invocation.

        Raises:
            BadEvent: It is no mapping, a field is missing, empty or no text, or the step unknown.
        """
        if not isinstance(event, Mapping):
            msg = f"The event is {type(event).__name__}, not a JSON object."
            raise BadEvent(msg)
        step, secret_id, token = (
            _text(event, name) for name in ("Step", "SecretId", "ClientRequestToken")
        )
        rotation_token = event.get("RotationToken")
        if rotation_token is not None and not is_text(rotation_token):
            msg = "Field RotationToken of the event is not text."
            raise BadEvent(msg)
        try:
            return cls(Step(step), secret_id, token, rotation_token)
        except ValueError:
            steps = ", ".join(Step)
            msg = f"Field Step of the event is {step[:40]!r}; it must be one of {steps}."
            raise BadEvent(msg) from None


def _text(event: Mapping[Any, Any], name: str) -> str:
    value = event.get(name)
    if not is_text(value) or not value.strip():
        found = "missing" if value is None else "not text" if not is_text(value) else "empty"
        msg = f"Field {name} of the event is {found}."
        raise BadEvent(msg)
    return value


def is_text(value: object) -> TypeGuard[str]:
    """Say whether ``value`` is text that can be sent: half of a surrogate pair cannot."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class Login:
    """What a client needs to log in, as one version of a secret holds it.

    Attributes:
        engine: ``engine`` as stored, in lower case; empty when the secret has none.
        host: DNS name or address; empty in an administrator's secret that RDS manages.
        port: None for the engine's own default.
        username: As stored.
        password: Never shown by ``repr``.
        dbname: None for the engine's default database.
        tls: False only when the secret says ``"ssl": false``.
        document: The whole JSON object, known keys and unknown ones, in their order.
    """

    engine: str
    host: str
    port: int | None
    username: str
    password: str = field(repr=False)
    dbname: str | None
    tls: bool
    document: Mapping[str, Any] = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str | None, *, where: str, host_required: bool = True) -> Self:
        """Read the value of a secret's version.

        Args:
            text: The SecretString; None when the version holds SecretBinary.
            where: Which version of which secret, for the error's text.
            host_required: False for an administrator's secret that RDS manages.

        Raises:
            BadSecret: Not a JSON object, or a field is missing or of a wrong kind; the message
                names the field and never its value.
        """
        document = _json_object(text, where)
        port = document.get("port")
        _field(document, "masterarn", where, required=False)
        return cls(
            engine=_field(document, "engine", where, required=False).lower(),
            host=_host(document, where, required=host_required),
            port=None if port in (None, "") else _port(port, where),
            username=_field(document, "username", where),
            password=_field(document, "password", where),
            dbname=_field(document, "dbname", where, required=False) or None,
            tls=_tls(document.get("ssl"), where),
            document=document,
        )

    @property
    def administrator_arn(self) -> str | None:
        """The ARN of the administrator's secret: ``masterarn``, None when the secret has none."""
        return self.document.get("masterarn") or None

    def replacing(self, *, password: str, username: str | None = None) -> Self:
        """Return the same login with another password, and user if given; keep every other key."""
        username = self.username if username is None else username
        return replace(
            self,
            username=username,
            password=password,
            document={**self.document, "username": username, "password": password},
        )

    def at(self, host: str, port: int | None) -> Self:
        """Return the same login for another address of the same database."""
        return replace(self, host=host, port=port)

    def require_own_address(self, where: str) -> None:
        """Make sure that the login goes to the database itself.

        Raises:
            RdsProxy: ``host`` is an RDS Proxy, through which nothing about the database is proven.
        """
        if is_rds_proxy(self.host):
            msg = f"Field `host` of {where} is an RDS Proxy, which keeps passwords of its own."
            raise RdsProxy(msg)

    def to_json(self) -> str:
        """Return the JSON text to store: every key in its place, non-ASCII characters as they are.

        Unescaped text keeps a large value below the limit of 65,536 bytes; a lone surrogate cannot
        be sent as UTF-8 and is the one reason to escape.
        """
        text = json.dumps(self.document, ensure_ascii=False)
        try:
            text.encode()
        except UnicodeEncodeError:
            return json.dumps(self.document)
        return text


OBJECT_HINT = (
    "Store a JSON object with `host`, `username` and `password`: `aws secretsmanager "
    "put-secret-value --secret-id <ARN> --secret-string file://value.json`."
)


def _json_object(text: str | None, where: str) -> dict[str, Any]:
    if text is None:
        found = "holds SecretBinary; a database secret is a JSON object in SecretString"
        raise BadSecret(f"{where} {found}.", hint=OBJECT_HINT)
    try:
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        # The parser's own message quotes the value; it must not be chained.
        place = ""
        if isinstance(error, json.JSONDecodeError):
            place = f" (line {error.lineno}, column {error.colno})"
        raise BadSecret(f"{where} is not valid JSON{place}.", hint=OBJECT_HINT) from None
    if not isinstance(document, dict):
        raise BadSecret(f"{where} is JSON but not an object with fields.", hint=OBJECT_HINT)
    return document


def _refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity: Python reads them, but they are no JSON."""
    raise ValueError(name)


def _finite(text: str) -> float:
    """Refuse a number too large for a double: it would be stored again as ``Infinity``."""
    number = float(text)
    if math.isinf(number):
        raise ValueError(text)
    return number


def _field(document: Mapping[str, Any], name: str, where: str, *, required: bool = True) -> str:
    value = document.get(name)
    if value is None or value == "":
        if not required:
            return ""
        msg = f"Field `{name}` of {where} is missing or empty."
        raise BadSecret(msg)
    if not isinstance(value, str):
        msg = f"Field `{name}` of {where} is not text."
        raise BadSecret(msg)
    if "\0" in value:
        msg = f"Field `{name}` of {where} contains a NUL character."
        raise BadSecret(msg)
    if not is_text(value):
        msg = f"Field `{name}` of {where} contains half of a surrogate pair, which is no character."
        raise BadSecret(msg)
    return value


def _host(document: Mapping[str, Any], where: str, *, required: bool) -> str:
    host = _field(document, "host", where, required=required)
    if is_host(host):
        return host
    found = "is not one DNS name or address"
    if ends_with_port(host):
        found = "ends with a port, which belongs into the field `port`"
    msg = f"Field `host` of {where} {found}."
    raise BadSecret(msg)


def _port(value: object, where: str) -> int:
    """Read the port: operators store it as a number and as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        # Beyond 4,300 digits int() raises ValueError; no port has more than 5.
        value = int(value) if len(value) <= len(str(MAX_PORT)) else 0
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_PORT:
        msg = f"Field `port` of {where} is not a number from 1 to {MAX_PORT}."
        raise BadSecret(msg)
    return value


TLS_WORDS = {"true": True, "1": True, "false": False, "0": False}


def _tls(value: object, where: str) -> bool:
    """Read ``ssl``: verified TLS unless it clearly says false."""
    if value is None or value == "":
        return True
    if isinstance(value, str):
        value = TLS_WORDS.get(value.lower())
    if not isinstance(value, bool):
        msg = f"Field `ssl` of {where} is neither true nor false."
        raise BadSecret(msg)
    return value


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a secret, as GetSecretValue returns it.

    Attributes:
        id: The version's id; for one made by a rotation, the rotation's token.
        stages: Its staging labels at the moment of reading.
        text: The SecretString; None when it holds SecretBinary.
        created: When the version was made, by RotateSecret for one of a rotation.
    """

    id: str
    stages: frozenset[str]
    text: str | None = field(repr=False)
    created: datetime | None = None

    def login(self, where: str, *, host_required: bool = True) -> Login:
        """Parse the value; see :meth:`Login.parse`."""
        return Login.parse(self.text, where=where, host_required=host_required)


@dataclass(frozen=True, slots=True)
class Description:
    """What DescribeSecret tells about a secret.

    Attributes:
        arn: The secret's ARN.
        stages: Version id to its staging labels; versions without labels are not listed.
        tags: Tag key to value.
        rotation_enabled: Whether a rotation function is attached.
        owning_service: Name of the service that manages the secret, None for an ordinary one.
        window_seconds: How long the schedule's window is open; None for the service's default.
        replication: Region of each replica to its status: InSync, InProgress or Failed.
        primary_region: Where the secret is written, if it has replicas or is one.
        partner: The partner whose type the secret is of; None for an ordinary one.
        function_arn: The rotation function that is attached, None for none.
    """

    arn: str
    stages: Mapping[str, frozenset[str]]
    tags: Mapping[str, str]
    rotation_enabled: bool
    owning_service: str | None
    window_seconds: int | None = None
    replication: Mapping[str, str] = field(default_factory=dict)
    primary_region: str | None = None
    partner: str | None = None
    function_arn: str | None = None

    def holder(self, label: str) -> str | None:
        """Return the id of the version that has ``label``, None when no version has it."""
        return next((v for v, labels in self.stages.items() if label in labels), None)


def require_rotatable(description: Description) -> None:
    """Refuse secrets that are rotated by somebody else, or that nobody asked to rotate.

    Raises:
        ManagedSecret, PartnerSecret, ReplicaSecret, RotationNotEnabled: As their names say.
    """
    arn = description.arn
    if description.owning_service:
        raise ManagedSecret(f"Secret {arn} is managed by {description.owning_service}.")
    if description.partner:
        raise PartnerSecret(f"Secret {arn} is of the type {description.partner}.")
    if (primary := description.primary_region) and f":{primary}:" not in arn:
        raise ReplicaSecret(f"Secret {arn} is a replica of the one in {primary}.")
    if not description.rotation_enabled:
        raise RotationNotEnabled(f"Rotation is not enabled for secret {arn}.")


def replicas_behind(description: Description) -> list[str]:
    """Return the Regions that may still hand out an older version, each with its status."""
    return [
        f"{region} ({status})"
        for region, status in sorted(description.replication.items())
        if status != IN_SYNC
    ]


IN_SYNC = "InSync"
"""https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ReplicationStatusType.html"""


def require_replicas_in_sync(description: Description) -> None:
    """Make sure that every Region hands out what this one does.

    Raises:
        ReplicaBehind: One does not: its applications may use a password that is about to change.
    """
    if behind := replicas_behind(description):
        msg = f"Replicas of {description.arn} are not in sync: {', '.join(behind)}."
        raise ReplicaBehind(msg)

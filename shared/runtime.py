"""From a rotator to a Lambda handler: logging, metrics, time budget, redaction.

This is the boundary: nothing leaves the function that has not passed the redactor, neither a log
line nor the exception that Lambda reports.
"""

import json
import os
import time
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from aws_lambda_powertools import Logger
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit
from botocore.config import Config
from botocore.session import get_session

from shared.deadline import Deadline
from shared.errors import BadSetting, RotationError
from shared.lifecycle import Action, Source
from shared.model import RotationEvent, Step
from shared.options import SHOWN, Variable
from shared.redaction import Redactor
from shared.rotation import BeforeChange, Facts, Rotation
from shared.rotator import Rotator
from shared.settings import Settings
from shared.store import (
    ATTEMPTS,
    CONNECT_TIMEOUT_SECONDS,
    READ_TIMEOUT_SECONDS,
    SecretStore,
)
from shared.tls import Trust

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from botocore.session import Session
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

METRICS_NAMESPACE = "SecretRotation"
SERVICE = "rotation"

EXAMINE = "Examine"
"""The only field of an event that asks for an examination: the secret's ARN."""

HEALTHY = Source.CURRENT.name
"""With which password a rotation logs in when nothing has to be recovered."""

PLAINTEXT_WARNING = (
    'The secret says "ssl": false: passwords cross the network in clear or nearly so. Remove it as '
    "soon as the server speaks TLS."
)

IN_USE_WARNING = (
    "The user whose password was changed had open sessions: whoever reconnects with the password "
    "before is refused. Have the applications read the secret again."
)

CLIENT_CONFIG = Config(
    connect_timeout=CONNECT_TIMEOUT_SECONDS,
    read_timeout=READ_TIMEOUT_SECONDS,
    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
    user_agent_extra="secret-rotation",
)

NO_VERSION = "-"
"""Stands for the token where nothing is rotated: no version's id is so short."""

_redactor: ContextVar[Redactor] = ContextVar("redactor")


class UnexpectedError(Exception):
    """A defect of this framework, reported without the original text, which may quote anything."""


class RedactingFormatter(LambdaPowertoolsFormatter):
    """Powertools' JSON lines, with every known password struck out."""

    def serialize(self, log: Any) -> str:  # noqa: ANN401 (Powertools' own signature)
        """Return the line for one record."""
        line: str = super().serialize(log)
        redactor = _redactor.get(None)
        return line if redactor is None else redactor.scrub(line)


def handler_for(
    rotator: type[Rotator], environment: Mapping[str, str] = os.environ
) -> "Callable[[Mapping[str, Any], LambdaContext], dict[str, Any] | None]":
    """Return the Lambda handler that rotates with ``rotator``.

    Args:
        rotator: The engine's class.
        environment: The function's variables, read at each invocation.

    Returns:
        A handler that returns None, or raises a :class:`~shared.errors.RotationError` (or
        UnexpectedError) whose text holds no password. To ``{"Examine": "<ARN>"}`` it answers what
        :mod:`shared.examination.finding` describes, and raises nothing.
    """
    logger = Logger(service=SERVICE, logger_formatter=RedactingFormatter())
    clients = Clients(environment)

    def handler(event: Mapping[str, Any], context: "LambdaContext") -> dict[str, Any] | None:
        invocation = _Invocation(rotator, environment, clients, logger)
        reset = _redactor.set(invocation.redactor)
        try:
            examined = _examined(event)
            if examined is not None:
                return invocation.examine(examined, context)
            invocation.run(event, context)
            return None
        finally:
            logger.clear_state()
            _redactor.reset(reset)

    return handler


class Clients:
    """The SDK's clients: made once for each execution environment, on first use."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        # A client is thread-safe to use, but not to make: Lambda delivers one event at a time.
        self.secretsmanager = cache(self._secretsmanager)
        self.rds = cache(self._rds)

    def _secretsmanager(self) -> "SecretsManagerClient":
        # None lets the SDK choose: AWS_ENDPOINT_URL_SECRETS_MANAGER, else the Region's endpoint.
        endpoint = self._environment.get(Variable.ENDPOINT) or None
        try:
            client = _sdk().create_client(
                "secretsmanager", endpoint_url=endpoint, config=CLIENT_CONFIG
            )
        except ValueError:
            msg = f"{Variable.ENDPOINT} is {endpoint!r}, which is not a URL."
            raise BadSetting(msg) from None
        return cast("SecretsManagerClient", client)

    @staticmethod
    def _rds() -> "RDSClient":
        return cast("RDSClient", _sdk().create_client("rds", config=CLIENT_CONFIG))


class _Invocation:
    """One call of a handler."""

    def __init__(
        self,
        rotator: type[Rotator],
        environment: Mapping[str, str],
        clients: Clients,
        logger: Logger,
    ) -> None:
        self._rotator = rotator
        self._environment = environment
        self._clients = clients
        self._logger = logger
        self._began = time.monotonic()
        self._facts = Facts()
        self.redactor = Redactor()

    def run(self, raw_event: Mapping[str, Any], context: "LambdaContext") -> None:
        """Carry out the step and report how it ended."""
        try:
            event = RotationEvent.parse(raw_event)
            self._logger.append_keys(
                secret=event.secret_id, token=event.token, step=event.step.value
            )
            self.redactor.learn(event.rotation_token)
            action = self._rotate(event, context)
        except Exception as error:  # noqa: BLE001 (the boundary: whatever it is, it is scrubbed)
            reported = self._reported(error)
        else:
            self._succeeded(action)
            return
        # Raised here, where no other exception hangs on it as its context.
        raise reported

    def examine(self, secret: str, context: "LambdaContext") -> dict[str, Any]:
        """Return what a rotation of the secret would need, and lacks."""
        # Not at the top: a rotation itself neither loads it nor needs it.
        from shared.examination import answer  # noqa: PLC0415

        def prepare() -> tuple[Rotator, Rotation]:
            return self._prepare(RotationEvent(Step.TEST, secret, NO_VERSION), context)

        examination = answer(prepare, secret, getattr(context, "invoked_function_arn", None))
        self._logger.append_keys(secret=secret)
        self._logger.info("examined", failures=[each.code for each in examination.failures])
        told: dict[str, Any] = json.loads(self.redactor.scrub(json.dumps(examination.to_dict())))
        return told

    def _rotate(self, event: RotationEvent, context: "LambdaContext") -> Action:
        rotator, rotation = self._prepare(event, context)
        self._facts = rotation.facts
        return rotator.run(rotation)

    def _prepare(self, event: RotationEvent, context: "LambdaContext") -> tuple[Rotator, Rotation]:
        deadline = Deadline(context.get_remaining_time_in_millis() / 1000)
        settings = Settings.from_environment(self._environment, self._rotator.profile)
        store = SecretStore(self._clients.secretsmanager())
        trust = _trust(settings.ca_file)
        rotator = self._rotator(store, settings, trust, self._clients.rds)
        called = _named(self._environment.get(Variable.BEFORE_CHANGE, ""))
        rotation = Rotation(event, store, settings, deadline, self.redactor, before_change=called)
        return rotator, rotation

    def _succeeded(self, action: Action) -> None:
        if self._facts.plaintext:
            self._logger.warning(PLAINTEXT_WARNING)
            self._count("Plaintext")
        self._logger.info("step succeeded", action=action.name, **self._report())
        self._count("StepSucceeded")
        if self._facts.idle_sessions:
            self._logger.warning(IN_USE_WARNING)
            self._count("IdleUserInUse")
        if self._facts.logged_in_with not in (None, HEALTHY):
            self._count("Recovered")

    def _reported(self, error: Exception) -> Exception:
        """Log a failure, and return what Lambda may see of it."""
        cause = type(error).__name__
        if isinstance(error, RotationError):
            message, advice, outcome = map(
                self.redactor.scrub, (error.message, error.advice, error.outcome)
            )
            told = type(error)(message, hint=advice)
            told.outcome = outcome
            reported: Exception = told
        else:
            places = "".join(traceback.format_tb(error.__traceback__))
            self._logger.error("unexpected error", places=places)
            reported = UnexpectedError(
                f"Unexpected {cause}: a defect. The log has the place; not the text, since it may "
                "quote a value."
            )
        self._logger.error(str(reported), cause=cause, **self._report())
        self._count("StepFailed")
        self._count("StepFailedByCause", cause=cause)
        if isinstance(error, RotationError):
            self._count("StepFailedByRemedy", remedy=error.remedy)
        return reported

    def _report(self) -> dict[str, Any]:
        return {
            **self._facts.told(),
            "milliseconds": round((time.monotonic() - self._began) * 1000),
        }

    @staticmethod
    def _count(metric: str, **dimensions: str) -> None:
        """Write one count in CloudWatch's embedded metric format, a log line of its own."""
        metrics = EphemeralMetrics(namespace=METRICS_NAMESPACE, service=SERVICE)
        metrics.add_metric(name=metric, unit=MetricUnit.Count, value=1)
        for name, value in dimensions.items():
            metrics.add_dimension(name=name, value=value)
        metrics.flush_metrics()


def _examined(raw: object) -> str | None:
    """Return the secret that is to be examined; None where a step is to be carried out."""
    return str(raw[EXAMINE]) if isinstance(raw, Mapping) and EXAMINE in raw else None


@cache
def _sdk() -> "Session":
    """Return the SDK's session.

    botocore's, on which boto3 builds: boto3's own import takes a tenth of a cold start, for S3's
    transfers and for resources, which nothing here uses.
    """
    return get_session()


@cache
def _named(text: str) -> BeforeChange | None:
    """Return what is to be called before a change; nothing is imported where nothing is named.

    Args:
        text: ``module.function``, and after a colon what it takes before all else.
    """
    name, _, settings = text.strip().partition(":")
    if not name:
        return None
    module, _, attribute = name.rpartition(".")
    try:
        return partial(getattr(import_module(module), attribute), settings)
    except (ImportError, AttributeError, ValueError):
        msg = f"{Variable.BEFORE_CHANGE} names {name[:SHOWN]!r}; no layer of the function has it."
        raise BadSetting(msg) from None


@cache
def _trust(ca_file: str | None) -> Trust:
    """Return the CA bundle, parsed once: it holds more than a hundred certificates."""
    return Trust(ca_file)

"""The service: its public face, which is described in the package's docstring."""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from random import Random
from threading import RLock, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from unittest.mock import patch
from uuid import uuid4

import boto3

from local.secretsmanager.errors import RotationFailed, ServiceError
from local.secretsmanager.faults import Faults, Loss, OnRequest
from local.secretsmanager.interception import INTERCEPTION, decoded
from local.secretsmanager.keys import Keys
from local.secretsmanager.operations import OPERATIONS, Operations, Secret
from local.secretsmanager.rotation import (
    INVOCATION,
    TEST,
    Context,
    Event,
    Handler,
    Invoke,
    Outcome,
    event_bridge,
    event_for,
    invoke_timed,
    run_steps,
)
from local.secretsmanager.validation import service_model, validate
from local.secretsmanager.versions import CURRENT, PENDING, Version

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from local.secretsmanager.endpoint import Endpoint

SECRET_MEMBERS: Final = frozenset({"SecretString", "SecretBinary", "RotationToken"})
# What boto3 needs to sign; nobody looks at the signature.
CREDENTIALS: Final = {
    "AWS_ACCESS_KEY_ID": "local",
    "AWS_SECRET_ACCESS_KEY": "local",
    "AWS_SESSION_TOKEN": "local",
}


@dataclass(frozen=True)
class Request:
    """One request that was made.

    Args:
        index: Its number since the last reset, from 1.
        operation: What was asked, such as ``GetSecretValue``.
        parameters: With what, without values of secrets and rotation tokens.
        caller: Who says it was: the ``app/`` or ``exec-env/`` part of the User-Agent.
        invocation: The function's invocation that made it, where it ran in this process.
        time: When, by the service's clock.
        error: The error's code, where it was refused.
    """

    index: int
    operation: str
    parameters: Mapping[str, Any]
    caller: str | None
    invocation: str | None
    time: datetime
    error: str | None = None


class SecretsManagerService:
    """Secrets Manager for one account in one Region, on this machine.

    Args:
        region: The Region that ARNs and clients name.
        account: The account's number.
        invoke: Carries out an invocation: gets the function's ARN and the event, raises when the
            function failed. Functions in :attr:`functions` come before it.
        clock: Gives the time, with its zone; :meth:`advance` goes on from it.
        stale_reads: So many reads of a secret after each write still see what was before it.
        throttle: This fraction of requests is refused with ``ThrottlingException``.
        retries: How often a failed rotation is started again from createSecret.
        backoff: Seconds before the first retry; doubled for each further one.
        seed: Decides which requests are throttled.
        cross_account: Events carry a ``RotationToken``, without which the function's
            ``PutSecretValue`` is refused.
        test_version: What the temporary version of ``RotateImmediately=False`` has: no value, or
            a copy of AWSCURRENT's. It is not documented; functions must bear both.
        edit_abandons_rotation: A new AWSCURRENT from outside takes AWSPENDING off the version of a
            rotation that is under way (event ``RotationAbandoned``), as CloudTrail's page says.
    """

    def __init__(
        self,
        region: str = "eu-central-1",
        account: str = "123456789012",
        invoke: Invoke | None = None,
        clock: Callable[[], datetime] | None = None,
        stale_reads: int = 0,
        throttle: float = 0.0,
        retries: int = 3,
        *,
        backoff: float = 0.0,
        seed: int = 0,
        cross_account: bool = False,
        test_version: Literal["valueless", "copy"] = "valueless",
        edit_abandons_rotation: bool = True,
    ) -> None:
        self.region = region
        self.account = account
        self.invoke = invoke
        self.retries = retries
        self.backoff = backoff
        self.test_version = test_version
        self.functions: dict[str, Callable[[Event], None]] = {}
        self.requests: list[Request] = []
        self.events: list[dict[str, Any]] = []
        self.outcomes: list[Outcome] = []
        self.faults = Faults(throttle, Random(seed))  # noqa: S311 - repeatable
        self._clock = clock or (lambda: datetime.now(UTC))
        self._ahead = timedelta(0)
        self._lock = RLock()
        self._threads: list[Thread] = []
        self._stack = ExitStack()
        self._operations = Operations(
            region=region,
            account=account,
            clock=self.now,
            record=self._record,
            stale_reads=stale_reads,
            cross_account=cross_account,
            edit_abandons_rotation=edit_abandons_rotation,
        )

    # -- in process ------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Answer boto3's requests in this process; other services' are moto's, nothing goes out."""
        from moto import mock_aws  # noqa: PLC0415 - takes 0.4 s, which an endpoint does not need

        settings = {"AWS_DEFAULT_REGION": self.region, "AWS_REGION": self.region}
        self._stack.enter_context(mock_aws(config={"lambda": {"use_docker": False}}))
        self._stack.enter_context(patch.dict(os.environ, {**settings, **CREDENTIALS}))
        INTERCEPTION.activate(self)
        self._stack.callback(INTERCEPTION.deactivate, self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.wait()
        self._stack.close()

    def client(self) -> "SecretsManagerClient":
        """Give a client of this service, the same one each time."""
        return self._client

    @cached_property
    def _client(self) -> "SecretsManagerClient":
        session = boto3.Session(
            aws_access_key_id="local",
            aws_secret_access_key="local",  # noqa: S106 - nobody looks at the signature
            region_name=self.region,
        )
        return session.client("secretsmanager")

    def endpoint(self, port: int = 0) -> "Endpoint":
        """Give an HTTP endpoint of this service on loopback; ``with`` starts and stops it."""
        from local.secretsmanager.endpoint import Endpoint  # noqa: PLC0415 - only where wanted

        return Endpoint(self, port)

    # -- requests --------------------------------------------------------------------------------

    def handle(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        caller: str | None = None,
        invocation: str | None = None,
    ) -> dict[str, Any]:
        """Carry out one request, with whatever faults are ordered.

        Args:
            operation: Such as ``GetSecretValue``.
            parameters: The request's JSON structure.
            caller: Who asks, for the log of requests.
            invocation: The function's invocation that asks, likewise.

        Returns:
            The answer's JSON structure, with times as :class:`~datetime.datetime`.

        Raises:
            ServiceError: The service's error.
            ConnectionLost: The request or its answer is lost.
        """
        shown = {name: each for name, each in parameters.items() if name not in SECRET_MEMBERS}
        with self._lock:
            index = len(self.requests) + 1
            self.requests.append(Request(index, operation, shown, caller, invocation, self.now()))
        try:
            self.faults.before(operation, index)
            validate(operation, parameters)
            with self._lock:
                answer = self._effect(operation, parameters)
        except ServiceError as error:
            self._mark(index, error.code)
            self.faults.after(operation, index)
            raise
        self.faults.after(operation, index)
        return answer

    def _mark(self, index: int, error: str) -> None:
        with self._lock:
            if index <= len(self.requests):  # else the log was reset meanwhile
                known = self.requests[index - 1]
                self.requests[index - 1] = Request(
                    known.index,
                    known.operation,
                    known.parameters,
                    known.caller,
                    known.invocation,
                    known.time,
                    error,
                )

    def _effect(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        self._operations.remove_deleted()
        if operation == "RotateSecret":
            return self._rotate_secret(parameters)
        if operation not in OPERATIONS:
            raise ServiceError("NotImplemented", f"{operation} is not to be had locally.")
        return OPERATIONS[operation](self._operations, parameters)

    def answer(
        self, operation: str, body: bytes, user_agent: str, invocation: str | None
    ) -> tuple[int, bytes]:
        """Carry out a request as it is on the wire and give the status and body of the answer.

        Raises:
            ConnectionLost: There is no answer.
        """
        request = decoded(body)
        if request is None:
            error = ServiceError("SerializationException", "The request is no JSON structure.")
            return _error(error)
        try:
            given = self.handle(
                operation, request, caller=_caller(user_agent), invocation=invocation
            )
        except ServiceError as error:
            return _error(error)
        return 200, json.dumps(given, default=datetime.timestamp).encode()

    def reset_requests(self) -> None:
        """Forget the requests made so far, and count those of each operation from 1 again."""
        with self._lock:
            self.requests.clear()
            self.faults.counts.clear()

    # -- faults ----------------------------------------------------------------------------------

    @property
    def on_request(self) -> OnRequest | None:
        """Called around each request: operation, ``"before"`` or ``"after"``, number from 1."""
        return self.faults.on_request

    @on_request.setter
    def on_request(self, callback: OnRequest | None) -> None:
        self.faults.on_request = callback

    @property
    def throttle(self) -> float:
        """The fraction of requests that are refused with ``ThrottlingException``."""
        return self.faults.throttle

    @throttle.setter
    def throttle(self, fraction: float) -> None:
        self.faults.throttle = fraction

    @property
    def stale_reads(self) -> int:
        """How many reads of a secret after a write still see what was before it."""
        return self._operations.stale_reads

    @stale_reads.setter
    def stale_reads(self, reads: int) -> None:
        self._operations.stale_reads = reads

    @property
    def keys(self) -> Keys:
        """Customer-managed keys that are disabled or whose policy refuses, by their id."""
        return self._operations.keys

    def fail_before(self, operation: str, nth: int = 1, *, times: int = 1) -> None:
        """Lose the nth request (from the last reset, from 1) and ``times - 1`` after it."""
        self.faults.losses.append(Loss(operation, "before", nth, times))

    def fail_after(self, operation: str, nth: int = 1, *, times: int = 1) -> None:
        """Lose the answer to the nth request, which had its effect, likewise."""
        self.faults.losses.append(Loss(operation, "after", nth, times))

    # -- secrets ---------------------------------------------------------------------------------

    def create_secret(
        self,
        name: str,
        value: str | Mapping[str, Any] | None,
        tags: Mapping[str, str] | None = None,
        owning_service: str | None = None,
        *,
        kms_key_id: str | None = None,
    ) -> str:
        """Make a secret, as its owner or as another service that manages it.

        Args:
            name: Its name.
            value: Its value; a mapping is stored as JSON, ``None`` leaves it without one.
            tags: Its tags, those that start with ``aws:`` too.
            owning_service: The service that manages it, such as ``rds``.
            kms_key_id: The customer's key, where it is not AWS's.

        Returns:
            Its ARN.
        """
        text = value if isinstance(value, str) or value is None else json.dumps(value)
        request: dict[str, Any] = {"Name": name, "ClientRequestToken": str(uuid4())}
        request |= {} if text is None else {"SecretString": text}
        request |= {} if kms_key_id is None else {"KmsKeyId": kms_key_id}
        with self._lock:
            validate("CreateSecret", request)
            arn = self._operations.create_secret(request)["ARN"]
            secret = self._operations.find(arn)
            secret.tags, secret.owning_service = dict(tags or {}), owning_service
            return str(arn)

    def value(self, secret_id: str, version_id: str | None = None, stage: str | None = None) -> str:
        """Read a value past all faults and without a trace in the log: what a test looks at.

        Raises:
            ServiceError: There is none.
        """
        with self._lock:
            versions = self._operations.find(secret_id, deleted=True).versions
            value = versions.read(version_id, stage).value
            return (value.string or value.binary or "") if value else ""

    def labels(self, secret_id: str) -> dict[str, str]:
        """Map each staging label to the id of its version, likewise."""
        with self._lock:
            return dict(self._operations.find(secret_id, deleted=True).versions.labels)

    def versions(self, secret_id: str) -> list[Version]:
        """List all versions, oldest first, likewise; those without a label too."""
        with self._lock:
            return list(self._operations.find(secret_id, deleted=True).versions.by_id.values())

    # -- functions -------------------------------------------------------------------------------

    def function_arn(self, name: str) -> str:
        """Give the ARN that a function of that name has."""
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"

    def register(
        self,
        name: str,
        handler: Handler,
        *,
        timeout_seconds: float = 60,
        memory_limit_in_mb: int = 256,
    ) -> str:
        """Make a function of a handler in this process.

        Args:
            name: The function's name.
            handler: Called with the event and a :class:`Context`.
            timeout_seconds: How long it may run. One that took longer has failed; it cannot be
                stopped in between.
            memory_limit_in_mb: What the context says of its memory.

        Returns:
            Its ARN.
        """
        arn = self.function_arn(name)

        def invoke(event: Event) -> None:
            context = Context(name, arn, timeout_seconds, memory_limit_in_mb)
            handler(json.loads(json.dumps(event)), context)
            if context.get_remaining_time_in_millis() == 0:
                raise TimeoutError(f"Task timed out after {timeout_seconds:.2f} seconds")

        self.functions[arn] = invoke
        return arn

    def _invoke(self, function_arn: str, event: Event) -> None:
        function = self.functions.get(function_arn)
        if function is not None:
            function(event)
        elif self.invoke is not None:
            self.invoke(function_arn, event)
        else:
            raise _not_invocable()

    # -- rotation --------------------------------------------------------------------------------

    def enable_rotation(
        self, secret_id: str, function_arn: str, rules: Mapping[str, Any] | None = None
    ) -> None:
        """Switch rotation on without rotating or testing anything."""
        request = {"RotationLambdaARN": function_arn, "RotationRules": dict(rules or {})}
        with self._lock:
            self._operations.configure_rotation(self._operations.find(secret_id), request)

    def rotate(self, secret_id: str, token: str | None = None) -> Outcome:
        """Rotate a secret and wait for the end.

        Args:
            secret_id: The secret, whose rotation must be enabled.
            token: The id of the version to make; a new one when omitted.

        Returns:
            How it went, well or badly; :meth:`Outcome.check` raises in the second case.

        Raises:
            ServiceError: The service refuses to rotate, as ``RotateSecret`` would.
        """
        token = token or str(uuid4())
        secret = self.prepare_rotation(secret_id, token)
        return self._drive(secret, token)

    def prepare_rotation(self, secret_id: str, token: str) -> Secret:
        """Put AWSPENDING on a version without a value, and invoke nothing.

        Raises:
            ServiceError: As :meth:`rotate`.
        """
        with self._lock:
            secret = self._operations.find(secret_id)
            self._operations.configure_rotation(secret, {})
            self._operations.start_rotation(secret, token)
            return secret

    def invoke_step(self, secret_id: str, token: str, step: str) -> None:
        """Invoke the secret's function for one step.

        Raises:
            BaseException: What the function raises.
        """
        with self._lock:
            secret = self._operations.find(secret_id)
        mark = INVOCATION.set(str(uuid4()))
        try:
            self._invoke_for(secret, token, step)
        finally:
            INVOCATION.reset(mark)

    def _invoke_for(self, secret: Secret, token: str, step: str) -> None:
        rotation = secret.rotation
        if rotation is None:
            raise _not_invocable()
        rotation_token = rotation.tokens.get(token)
        self._invoke(rotation.function_arn, event_for(step, secret.arn, token, rotation_token))

    def abandon(self, secret_id: str, token: str) -> None:
        """Take AWSPENDING off a version, as an operator does whose rotation is stuck.

        Raises:
            ServiceError: AWSPENDING is not on that version.
        """
        request = {
            "SecretId": secret_id,
            "VersionStage": PENDING,
            "RemoveFromVersionId": token,
        }
        with self._lock:
            self._operations.update_secret_version_stage(request)

    def wait(self) -> None:
        """Wait for the rotations that ``RotateSecret`` has started."""
        while self._threads:
            self._threads.pop().join()

    def _rotate_secret(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Start a rotation, or its test, and answer at once (``RotateSecret``)."""
        secret = self._operations.find(request["SecretId"])
        token = request.get("ClientRequestToken") or str(uuid4())
        self._operations.configure_rotation(secret, request)
        rotation = secret.rotation
        if rotation is None or (
            self.invoke is None and rotation.function_arn not in self.functions
        ):
            raise _not_invocable()
        answer = {"ARN": secret.arn, "Name": secret.name, "VersionId": token}
        running = rotation.running == token
        wanted = self._operations.start_rotation(secret, token)
        if wanted and not running:
            immediately = request.get("RotateImmediately", True)
            if immediately:
                rotation.running = token
            work = self._drive if immediately else self._test
            thread = Thread(target=work, args=(secret, token), name=f"rotation of {secret.name}")
            self._threads.append(thread)
            thread.start()
        return answer

    def _drive(self, secret: Secret, token: str) -> Outcome:
        """Carry out a rotation whose AWSPENDING is in place."""
        first = len(self.requests)
        invocation = INVOCATION.set(str(uuid4()))
        mine = INVOCATION.get()
        try:
            self._record("RotationStarted", secret.arn)
            steps, attempts = run_steps(
                lambda step: self._invoke_for(secret, token, step),
                attempts=1 + self.retries,
                wait=lambda attempt: time.sleep(self.backoff * 2 ** (attempt - 1)),
                goes_on=lambda: token in self._under_way(secret),
            )
        finally:
            INVOCATION.reset(invocation)
        with self._lock:
            error = steps[-1].error
            pending = secret.versions.pending()
            if error is None and pending is not None:
                error = RotationFailed(f"AWSPENDING was left on version {pending}.")
            rotation = secret.rotation
            if rotation is not None:
                rotation.running = None
                if error is None:
                    rotation.last_rotated = self.now()
                    rotation.tokens.pop(token, None)
            self._record("RotationFailed" if error else "RotationSucceeded", secret.arn)
            calls = [each for each in self.requests[first:] if _made_by_function(each, mine)]
            outcome = Outcome(
                secret.arn, token, steps, attempts, error is None, error=error, calls=calls
            )
            self.outcomes.append(outcome)
        return outcome

    def _under_way(self, secret: Secret) -> set[str | None]:
        """Give the versions for which a rotation may go on: AWSPENDING's and AWSCURRENT's."""
        with self._lock:
            labels = secret.versions.labels
            return {labels.get(PENDING), labels.get(CURRENT)}

    def _test(self, secret: Secret, token: str) -> None:
        """Run testSecret alone on a temporary version (``RotateImmediately=False``)."""
        with self._lock:
            if self.test_version == "copy":
                current = secret.versions.read()
                copy = Version(token, current.value, self.now(), current.key_id)
                versions = secret.versions.put(copy, [PENDING], secret.arn)
                self._operations.write(secret, versions, settled=True)
        step = invoke_timed(lambda: self._invoke_for(secret, token, TEST), TEST)
        with self._lock:
            secret.versions = secret.versions.without(token)
            name = "TestRotationSucceeded" if step.error is None else "TestRotationFailed"
            self._record(name, secret.arn)
            self.outcomes.append(
                Outcome(secret.arn, token, [step], 1, step.error is None, error=step.error)
            )

    # -- time ------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """Give the service's time."""
        return self._clock() + self._ahead

    def advance(self, delta: timedelta) -> list[Outcome]:
        """Let time pass, and carry out the rotations that fall due in it, in order.

        Each is carried out when its window opens, and awaited. One that finds an earlier rotation
        unfinished attempts that again, with its token.

        Returns:
            How the rotations went.
        """
        self.wait()
        until = self.now() + delta
        outcomes = []
        while (due := self._next_due(until)) is not None:
            opens, secret = due
            self._ahead += max(opens - self.now(), timedelta(0))
            with self._lock:
                rotation = secret.rotation
                if rotation is not None and rotation.schedule is not None:
                    rotation.next_window = rotation.schedule.next_window(opens)
                token = secret.versions.pending() or str(uuid4())
            outcomes.append(self.rotate(secret.arn, token))
        self._ahead += max(until - self.now(), timedelta(0))
        with self._lock:
            self._operations.remove_deleted()
        return outcomes

    def _next_due(self, until: datetime) -> tuple[datetime, Secret] | None:
        with self._lock:
            due = [
                (secret.rotation.next_window.opens, secret.name, secret)
                for secret in self._operations.secrets.values()
                if secret.deleted is None
                and secret.rotation is not None
                and secret.rotation.enabled
                and secret.rotation.next_window is not None
                and secret.rotation.next_window.opens <= until
            ]
        if not due:
            return None
        opens, _, secret = min(due)
        return opens, secret

    def _record(self, name: str, arn: str) -> None:
        moment = self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = event_bridge(name, arn, account=self.account, region=self.region, time=moment)
        self.events.append(event)


def _not_invocable() -> ServiceError:
    return ServiceError(
        "AccessDeniedException",
        "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function "
        "policy grants access to the principal secretsmanager.amazonaws.com.",
    )


def _made_by_function(request: Request, invocation: str | None) -> bool:
    """Tell whether a rotation's function made a request: in this process, or as a Lambda."""
    if request.invocation is not None:
        return request.invocation == invocation
    return (request.caller or "").startswith("exec-env/AWS_Lambda")


def _caller(user_agent: str) -> str | None:
    """Read who a User-Agent says it is: ``app/`` (AWS_SDK_UA_APP_ID), ``exec-env/`` (Lambda)."""
    parts = user_agent.split()
    for prefix in ("app/", "exec-env/"):
        for part in parts:
            if part.startswith(prefix):
                return part
    return None


def _error(error: ServiceError) -> tuple[int, bytes]:
    known = error.code in service_model().shape_names
    body = {"__type": error.code, ("Message" if known else "message"): error.message}
    return 400, json.dumps(body).encode()

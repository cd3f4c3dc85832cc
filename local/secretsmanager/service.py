"""The service: its public face, which is described in the package's docstring."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache, cached_property
from random import Random
from threading import RLock, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self
from unittest.mock import patch
from uuid import uuid4

import boto3

from local.secretsmanager.errors import RotationFailed, ServiceError
from local.secretsmanager.faults import Faults, Loss, OnRequest
from local.secretsmanager.interception import INTERCEPTION
from local.secretsmanager.keys import Keys, Trial
from local.secretsmanager.log import Request, RequestLog, caller_of
from local.secretsmanager.operations import OPERATIONS, Operations, Rotation, Secret
from local.secretsmanager.rotation import (
    INVOCATION,
    TEST,
    Context,
    Event,
    Handler,
    Invoke,
    Outcome,
    Step,
    event_bridge,
    event_for,
    invoke_timed,
    run_steps,
)
from local.secretsmanager.validation import validate
from local.secretsmanager.versions import CURRENT, PENDING, HolderCode, Value, Version

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from local.secretsmanager.endpoint import Endpoint

# What boto3 needs to sign; nobody looks at the signature.
CREDENTIALS: Final = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
_URL: Final = r"https?://secretsmanager\."

OtherService = Callable[[str, str, bytes], tuple[int, bytes, dict[str, str]]]
"""Gets path, target and body; gives status, body and headers."""


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
            rotation that is under way (event ``RotationAbandoned``), as the user guide's page on
            CloudTrail says.
        cleans_up_pending: After a rotation that succeeded, AWSPENDING is taken off the version that
            was promoted. Public sources disagree about it; functions must bear both.
        wrong_holder: The code with which a RemoveFromVersionId is refused that is not the label's
            holder. It is not documented; functions must bear both.
        key_trial: What the trial of a customer's key names as SecretARN when a secret is made: its
            own, or RequestToValidateKeyAccess. Public sources disagree; policies must allow both.

    Attributes:
        functions: What carries out an invocation, by the function's ARN.
        events: What EventBridge would deliver, oldest first, in EventBridge's shape; the name is
            at ``event["detail"]["eventName"]``.
        outcomes: How the rotations went that are over, tests of the rotation too.
        others: What answers requests to other services at the endpoint, by the service's name in a
            signature; moto does where there is nothing.
    """

    def __init__(  # noqa: PLR0917 - in this order since the first version; keywords are usual
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
        cleans_up_pending: bool = False,
        wrong_holder: HolderCode = "InvalidParameterException",
        key_trial: Trial = "arn",
    ) -> None:
        self.region = region
        self.account = account
        self.invoke = invoke
        self.retries = retries
        self.backoff = backoff
        self.test_version = test_version
        self.cleans_up_pending = cleans_up_pending
        self.functions: dict[str, Callable[[Event], object]] = {}
        self.events: list[dict[str, Any]] = []
        self.outcomes: list[Outcome] = []
        self.others: dict[str, OtherService] = {}
        self._log = RequestLog()
        self._faults = Faults(throttle, Random(seed))  # noqa: S311 - repeatable
        self._clock = clock or (lambda: datetime.now(UTC))
        self._ahead = timedelta(0)
        # Held for the effect of a request, never while a function runs.
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
            wrong_holder=wrong_holder,
            key_trial=key_trial,
        )

    # -- in process ------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Answer boto3's requests in this process; other services' are moto's, nothing goes out."""
        from moto import mock_aws  # noqa: PLC0415 - takes 0.4 s, which an endpoint does not need

        settings = {"AWS_DEFAULT_REGION": self.region, "AWS_REGION": self.region, **CREDENTIALS}
        # botocore asks moto's handler too, even where ours has answered. The URL is for speed.
        others = mock_aws(
            config={
                "lambda": {"use_docker": False},
                "core": {"passthrough": {"services": ["secretsmanager"], "urls": [_URL]}},
            }
        )
        self._stack.enter_context(others)
        self._stack.enter_context(patch.dict(os.environ, settings))
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
        return _session(self.region).client("secretsmanager")

    def endpoint(self, port: int = 0) -> "Endpoint":
        """Give an HTTP endpoint of this service on loopback; ``with`` starts and stops it."""
        from local.secretsmanager.endpoint import Endpoint  # noqa: PLC0415 - only where wanted

        return Endpoint(self, port)

    # -- requests --------------------------------------------------------------------------------

    @property
    def requests(self) -> list[Request]:
        """The requests since the last reset, in the order in which they came."""
        return self._log.requests

    def reset_requests(self) -> None:
        """Forget the requests made so far, and number them from 1 again."""
        self._log.reset()

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
        request = self._log.begin(
            operation, parameters, caller=caller, invocation=invocation, time=self.now()
        )
        try:
            self._faults.before(request)
            validate(operation, parameters)
            with self._lock:
                answer = self._effect(operation, parameters)
        except ServiceError as error:
            self._log.refused(request, error.code)
            self._faults.after(request)
            raise
        self._faults.after(request)
        return answer

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
        caller = caller_of(user_agent)
        try:
            request = _structure(body)
            answer = self.handle(operation, request, caller=caller, invocation=invocation)
        except ServiceError as error:
            refusal = {"__type": error.code, "Message": error.message}
            return 400, json.dumps(refusal).encode()
        return 200, json.dumps(answer, default=datetime.timestamp).encode()

    # -- faults ----------------------------------------------------------------------------------

    @property
    def on_request(self) -> OnRequest | None:
        """Called around each request: operation, ``"before"`` or ``"after"``, number from 1."""
        return self._faults.on_request

    @on_request.setter
    def on_request(self, callback: OnRequest | None) -> None:
        self._faults.on_request = callback

    @property
    def throttle(self) -> float:
        """The fraction of requests that are refused with ``ThrottlingException``."""
        return self._faults.throttle

    @throttle.setter
    def throttle(self, fraction: float) -> None:
        self._faults.throttle = fraction

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
        """Lose the nth request (since the last reset, from 1) and ``times - 1`` after it."""
        self._faults.losses.append(Loss(operation, "before", nth, times))

    def fail_after(self, operation: str, nth: int = 1, *, times: int = 1) -> None:
        """Lose the answer to the nth request, which had its effect, likewise."""
        self._faults.losses.append(Loss(operation, "after", nth, times))

    # -- secrets, past all faults and without a trace in the log ----------------------------------

    def create_secret(
        self,
        name: str,
        value: str | Mapping[str, Any] | None,
        tags: Mapping[str, str] | None = None,
        owning_service: str | None = None,
        *,
        kms_key_id: str | None = None,
        ending: str | None = None,
    ) -> str:
        """Make a secret, as its owner or as another service that manages it.

        Args:
            name: Its name.
            value: Its value; a mapping is stored as JSON, ``None`` leaves it without one.
            tags: Its tags, those that start with ``aws:`` too.
            owning_service: The service that manages it, such as ``rds``.
            kms_key_id: The customer's key, where it is not AWS's.
            ending: The six characters at the end of its ARN; random ones when omitted.

        Returns:
            Its ARN.

        Raises:
            ServiceError: As ``CreateSecret`` would answer.
        """
        text = value if isinstance(value, str) or value is None else json.dumps(value)
        request: dict[str, Any] = {"Name": name, "ClientRequestToken": str(uuid4())}
        request |= {} if text is None else {"SecretString": text}
        request |= {} if kms_key_id is None else {"KmsKeyId": kms_key_id}
        validate("CreateSecret", request)
        with self._lock:
            arn = str(self._operations.create_secret(request)["ARN"])
            secret = self._operations.find(arn)
            secret.tags, secret.owning_service = dict(tags or {}), owning_service
            if ending is not None:
                secret.arn = arn[: -len(ending)] + ending
        return secret.arn

    def value(self, secret_id: str, version_id: str | None = None, stage: str | None = None) -> str:
        """Read a version's text, AWSCURRENT's where nothing else is named.

        Raises:
            ServiceError: There is none.
        """
        with self._lock:
            version = self._operations.find(secret_id).versions.read(version_id, stage)
        return (version.value or Value()).string or ""

    def labels(self, secret_id: str) -> dict[str, str]:
        """Map each staging label to the id of its version."""
        with self._lock:
            return dict(self._operations.find(secret_id).versions.labels)

    def versions(self, secret_id: str) -> list[Version]:
        """List all versions, oldest first; those without a label too."""
        with self._lock:
            return list(self._operations.find(secret_id).versions.by_id.values())

    # -- functions -------------------------------------------------------------------------------

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
        arn = f"arn:aws:lambda:{self.region}:{self.account}:function:{name}"

        def invoke(event: Event) -> object:
            context = Context(name, arn, timeout_seconds, memory_limit_in_mb)
            answer = handler(dict(event), context)
            if context.get_remaining_time_in_millis() == 0:
                raise TimeoutError(f"Task timed out after {timeout_seconds:.2f} seconds")
            return answer

        self.functions[arn] = invoke
        return arn

    def invoke_step(self, secret_id: str, token: str, step: str) -> None:
        """Invoke the secret's function for one step.

        Raises:
            BaseException: What the function raises.
            ServiceError: No function is configured, or none is to be had under its ARN.
        """
        with self._lock:
            secret = self._operations.find(secret_id)
        with _invocation():
            self._invoke(secret, token, step)

    def _invoke(self, secret: Secret, token: str, step: str) -> None:
        function_arn, tokens = "", dict[str, str]()
        if secret.rotation is not None:
            function_arn, tokens = secret.rotation.function_arn, secret.rotation.tokens
        self._require_function(function_arn)
        event = event_for(step, secret.arn, token, tokens.get(token))
        if function_arn in self.functions:
            self.functions[function_arn](event)
        elif self.invoke is not None:
            self.invoke(function_arn, event)

    def _require_function(self, function_arn: str) -> None:
        if function_arn not in self.functions and self.invoke is None:
            raise ServiceError(
                "AccessDeniedException",
                "Secrets Manager cannot invoke the specified Lambda function. Ensure that the "
                "function policy grants access to the principal secretsmanager.amazonaws.com.",
            )

    # -- rotation --------------------------------------------------------------------------------

    def enable_rotation(
        self, secret_id: str, function_arn: str, rules: Mapping[str, Any] | None = None
    ) -> None:
        """Switch rotation on without rotating or testing anything.

        Args:
            secret_id: The secret.
            function_arn: The function that rotates it.
            rules: ``RotationRules`` as in the API; none for rotation by hand only.

        Raises:
            ServiceError: As ``RotateSecret`` would answer.
        """
        request = {"RotationLambdaARN": function_arn, "RotationRules": dict(rules or {})}
        with self._lock:
            secret = self._operations.find(secret_id)
            secret.rotation = self._operations.planned_rotation(secret, request)

    def rotate(self, secret_id: str, token: str | None = None) -> Outcome:
        """Rotate a secret as ``RotateSecret`` does, and wait for the end.

        Args:
            secret_id: The secret; how it is rotated must be configured.
            token: The id of the version to make; a new one when omitted.

        Returns:
            How it went, well or badly; :meth:`Outcome.check` raises in the second case.

        Raises:
            ServiceError: The service refuses to rotate, as ``RotateSecret`` would.
        """
        token = token or str(uuid4())
        self.prepare_rotation(secret_id, token)
        with self._lock:
            secret = self._operations.find(secret_id)
        return self._drive(secret, token)

    def prepare_rotation(self, secret_id: str, token: str) -> None:
        """Put AWSPENDING on a version without a value, and invoke nothing.

        Raises:
            ServiceError: As :meth:`rotate`.
        """
        with self._lock:
            secret = self._operations.find(secret_id)
            rotation = self._operations.planned_rotation(secret, {})
            self._operations.start_rotation(secret, rotation, token)

    def abandon(self, secret_id: str, token: str) -> None:
        """Take AWSPENDING off a version, as an operator does whose rotation is stuck.

        Raises:
            ServiceError: AWSPENDING is not on that version.
        """
        request = {"SecretId": secret_id, "VersionStage": PENDING, "RemoveFromVersionId": token}
        with self._lock:
            self._operations.update_secret_version_stage(request)

    def wait(self) -> None:
        """Wait for the rotations that ``RotateSecret`` has started."""
        while self._threads:
            self._threads.pop().join()

    def _rotate_secret(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Start a rotation, or its test, and answer at once (``RotateSecret``)."""
        secret = self._operations.find(request["SecretId"])
        token = request.get("ClientRequestToken")
        if not token:
            raise ServiceError(
                "InvalidParameterException",
                "You must provide a ClientRequestToken value. We recommend a UUID-type value.",
            )
        rotation = self._operations.planned_rotation(secret, request)
        self._require_function(rotation.function_arn)
        wanted = self._operations.start_rotation(secret, rotation, token)
        # A repeated request does not start a rotation twice.
        if wanted and rotation.running != token:
            rotation.running = token
            work = self._drive if request.get("RotateImmediately", True) else self._test
            thread = Thread(target=work, args=(secret, token), name=f"rotation of {secret.name}")
            self._threads = [each for each in self._threads if each.is_alive()]
            self._threads.append(thread)
            thread.start()
        return {"ARN": secret.arn, "Name": secret.name, "VersionId": token}

    def _drive(self, secret: Secret, token: str) -> Outcome:
        """Carry out a rotation whose AWSPENDING is in place."""
        first, steps, attempts = len(self.requests), list[Step](), 0
        with _invocation() as invocation:
            self._record("RotationStarted", secret.arn)
            for attempts in range(1, self.retries + 2):
                steps += run_steps(lambda step: self._invoke(secret, token, step))
                if steps[-1].error is None or not self._goes_on(secret, token):
                    break
                if attempts <= self.retries:
                    time.sleep(self.backoff * 2 ** (attempts - 1))
        with self._lock:
            error = steps[-1].error or _left_behind(secret)
            if secret.rotation is not None:
                self._conclude(secret, secret.rotation, token, succeeded=error is None)
            self._record("RotationFailed" if error else "RotationSucceeded", secret.arn)
            calls = [each for each in self.requests[first:] if each.made_by(invocation)]
            outcome = Outcome(secret.arn, token, steps, attempts, error is None, error, calls)
            self.outcomes.append(outcome)
        return outcome

    def _goes_on(self, secret: Secret, token: str) -> bool:
        """Tell whether a failed rotation is tried again: not if it was abandoned meanwhile."""
        with self._lock:
            labels = secret.versions.labels
            return token in {labels.get(PENDING), labels.get(CURRENT)}

    def _conclude(self, secret: Secret, rotation: Rotation, token: str, *, succeeded: bool) -> None:
        rotation.running = None
        if succeeded:
            if self.cleans_up_pending and secret.versions.labels.get(PENDING) == token:
                cleaned = secret.versions.move(PENDING, token, None)
                self._operations.write(secret, cleaned, settled=True)
            rotation.last_rotated, rotation.missed = self.now(), None
            rotation.tokens.pop(token, None)
            if rotation.schedule is not None:
                rotation.next_window = rotation.schedule.next_window(self.now())

    def _test(self, secret: Secret, token: str) -> None:
        """Run testSecret alone on a temporary version (``RotateImmediately=False``)."""
        with self._lock:
            current = secret.versions.by_id.get(secret.versions.labels.get(CURRENT, ""))
            if self.test_version == "copy" and current is not None and current.value is not None:
                copy = Version(token, current.value, self.now(), current.key_id)
                versions = secret.versions.put(copy, [PENDING], secret.arn)
                self._operations.write(secret, versions, settled=True)
        first = len(self.requests)
        with _invocation() as invocation:
            step = invoke_timed(lambda step: self._invoke(secret, token, step), TEST)
        with self._lock:
            secret.versions = secret.versions.concluded(token)
            if secret.rotation is not None:
                secret.rotation.running = None
            name = "TestRotationFailed" if step.error else "TestRotationSucceeded"
            self._record(name, secret.arn)
            calls = [each for each in self.requests[first:] if each.made_by(invocation)]
            self.outcomes.append(
                Outcome(secret.arn, token, [step], 1, step.error is None, step.error, calls)
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
            secret, rotation, opens = due
            self._ahead += max(opens - self.now(), timedelta(0))
            with self._lock:
                if rotation.schedule is not None:
                    rotation.missed = rotation.missed or rotation.next_window
                    rotation.next_window = rotation.schedule.next_window(opens)
                token = secret.versions.pending()
            outcomes.append(self.rotate(secret.arn, token))
        self._ahead += max(until - self.now(), timedelta(0))
        return outcomes

    def _next_due(self, until: datetime) -> tuple[Secret, Rotation, datetime] | None:
        with self._lock:
            due = [
                (secret, secret.rotation, secret.rotation.next_window.opens)
                for secret in self._operations.secrets.values()
                if secret.deleted is None
                and secret.rotation is not None
                and secret.rotation.enabled
                and secret.rotation.next_window is not None
                and secret.rotation.next_window.opens <= until
            ]
        return min(due, key=lambda each: each[2], default=None)

    def _record(self, name: str, arn: str) -> None:
        moment = self.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        event = event_bridge(name, arn, account=self.account, region=self.region, time=moment)
        self.events.append(event)


@cache
def _session(region: str) -> boto3.Session:
    """Make a session for clients of a Region, once: each one reads botocore's files anew."""
    return boto3.Session(
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        region_name=region,
    )


@contextmanager
def _invocation() -> Iterator[str]:
    """Mark this thread's requests as those of one rotation's function."""
    name = str(uuid4())
    mark = INVOCATION.set(name)
    try:
        yield name
    finally:
        INVOCATION.reset(mark)


def _left_behind(secret: Secret) -> RotationFailed | None:
    """Say what a rotation must not end with: AWSPENDING on a version that is not AWSCURRENT."""
    pending = secret.versions.pending()
    if pending is None:
        return None
    return RotationFailed(f"AWSPENDING was left on version {pending}, which is not AWSCURRENT.")


def _structure(body: bytes) -> dict[str, Any]:
    """Read a request's JSON.

    Raises:
        ServiceError: ``SerializationException`` where it is none, or no structure.
    """
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        request = None
    if not isinstance(request, dict):
        raise ServiceError("SerializationException", "The request is no JSON structure.")
    return request

"""One AWS account in one Region: the clients of its services, at the services' quotas.

Every request, repeated ones too, waits for its turn first: a command over a thousand secrets uses
what the service allows, and leaves the functions, which live on the same quotas, a part.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)

from console.outcome import CouldNotLook, Stop

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_kms import KMSClient
    from mypy_boto3_lambda import LambdaClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

ROTATE_A_SECOND = 45
"""RotateSecret and CancelRotateSecret together: 50 a second for each account and Region
(https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html)."""
WRITE_A_SECOND = 25
"""PutSecretValue, UpdateSecretVersionStage and UpdateSecret together: 50; functions live on it."""
TAG_A_SECOND = 40
"""TagResource and UntagResource: 50."""
LIST_A_SECOND = 80
"""ListSecrets: 100."""
DESCRIBE_A_SECOND = 2_000
"""DescribeSecret and GetSecretValue together: 10,000."""
LOGS_A_SECOND = 5
"""FilterLogEvents: 5 in the smallest Regions
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html)."""
LAMBDA_A_SECOND = 80
"""Lambda's requests but Invoke: 100 for GetFunctionConfiguration
(https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html)."""

QUOTAS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (ROTATE_A_SECOND, ("RotateSecret", "CancelRotateSecret")),
    (WRITE_A_SECOND, ("UpdateSecretVersionStage",)),
    (TAG_A_SECOND, ("TagResource", "UntagResource")),
    (LIST_A_SECOND, ("ListSecrets",)),
    (DESCRIBE_A_SECOND, ("DescribeSecret",)),
    (LOGS_A_SECOND, ("FilterLogEvents",)),
    (LAMBDA_A_SECOND, ("GetFunctionConfiguration", "GetPolicy", "ListFunctions")),
)
"""Requests a second, and which operations share them."""

ATTEMPTS = 12
"""Of one request: what is throttled all the same, by others' requests, waits and passes."""
INVOKE_SECONDS = 120
"""How long a function may take to answer; its own time is one minute."""

APPLICATION = "rotation-console"
"""Stands in the User-Agent, and so in CloudTrail."""

DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
NOT_FOUND = frozenset({"ResourceNotFoundException", "NoSuchEntity", "NotFoundException"})


class Pace:
    """A token bucket: lets so many pass a second, and waits where there are more.

    Args:
        a_second: How many.
        clock: Monotonic seconds.
        sleep: Waits.
    """

    def __init__(
        self,
        a_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 1 / a_second
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = clock()

    def wait(self) -> None:
        """Return when it is one's turn."""
        with self._lock:
            turn = max(self._next, self._clock())
            self._next = turn + self._interval
        self._sleep(max(0.0, turn - self._clock()))


class Account:
    """The services of one account.

    Args:
        profile: Of the AWS configuration; its default when None.
        region: Its own when None.
        endpoint_url: Of all services, where it is not AWS.
    """

    def __init__(
        self, profile: str | None = None, region: str | None = None, endpoint_url: str | None = None
    ) -> None:
        self._profile = profile
        self._region = region
        self._endpoint_url = endpoint_url
        self._paces = {
            operation: pace
            for a_second, operations in QUOTAS
            for pace in (Pace(a_second),)
            for operation in operations
        }
        self._making = threading.Lock()
        self._clients: dict[str, Any] = {}

    @cached_property
    def _session(self) -> boto3.Session:
        with asking():
            return boto3.Session(profile_name=self._profile, region_name=self._region)

    @property
    def region(self) -> str:
        """The Region's name."""
        return str(self.secrets.meta.region_name)

    def _client(self, service: str) -> Any:  # noqa: ANN401 (the properties below have its type)
        with self._making:
            if service not in self._clients:
                config = Config(
                    retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                    read_timeout=INVOKE_SECONDS,
                    connect_timeout=5,
                    max_pool_connections=30,
                    user_agent_appid=APPLICATION,  # type: ignore[call-arg] # the stubs lack it
                )
                with asking():
                    client = self._session.client(
                        service,  # type: ignore[call-overload]
                        endpoint_url=self._endpoint_url,
                        config=config,
                    )
                # For each attempt at a request, those that repeat it too.
                client.meta.events.register("before-send", self._take_turn)
                self._clients[service] = client
            return self._clients[service]

    def _take_turn(self, event_name: str, **_rest: object) -> None:
        pace = self._paces.get(event_name.rpartition(".")[2])
        if pace is not None:
            pace.wait()

    @property
    def secrets(self) -> "SecretsManagerClient":
        """Secrets Manager."""
        return self._client("secretsmanager")  # type: ignore[no-any-return]

    @property
    def functions(self) -> "LambdaClient":
        """Lambda."""
        return self._client("lambda")  # type: ignore[no-any-return]

    @property
    def logs(self) -> "CloudWatchLogsClient":
        """CloudWatch Logs."""
        return self._client("logs")  # type: ignore[no-any-return]

    @property
    def roles(self) -> "IAMClient":
        """IAM."""
        return self._client("iam")  # type: ignore[no-any-return]

    @property
    def keys(self) -> "KMSClient":
        """KMS."""
        return self._client("kms")  # type: ignore[no-any-return]

    def client(self, service: str) -> Any:  # noqa: ANN401 (of any service)
        """Return the client of any service, by boto3's name."""
        return self._client(service)


def code_of(error: ClientError) -> str:
    """Return the code of a service's error."""
    return str(error.response.get("Error", {}).get("Code", ""))


HINTS: Mapping[type[BotoCoreError], str] = {
    NoCredentialsError: "There are no credentials: name a profile with --profile, or log in.",
    PartialCredentialsError: "The credentials are not complete: name a profile with --profile.",
    ProfileNotFound: "There is no such profile: `aws configure list-profiles` names them.",
    NoRegionError: "No Region is set: name one with --region.",
    EndpointConnectionError: "AWS cannot be reached from here: check the network and --region.",
}


@contextmanager
def asking() -> Iterator[None]:
    """Turn what the SDK raises into the end of the command.

    Raises:
        CouldNotLook: Refused, or no answer.
        Stop: Any other error of the service.
    """
    try:
        yield
    except ClientError as error:
        raise stop_of(error) from None
    except BotoCoreError as error:
        kinds = (hint for kind, hint in HINTS.items() if isinstance(error, kind))
        raise CouldNotLook(next(kinds, f"AWS gave no answer: {error}.")) from None


def stop_of(error: ClientError) -> Stop:
    """Return what a service's refusal means for the command."""
    code, operation = code_of(error), error.operation_name
    said = str(error.response.get("Error", {}).get("Message", "")).strip()
    if code in DENIED:
        return CouldNotLook(f"{operation} was refused ({code}): {said}")
    return Stop(f"{operation} was answered with {code}: {said}")

"""Brings boto3's requests to the service without a network, as moto does.

botocore asks its ``before-send`` handlers before it sends a request; the first answer is taken.
One handler, registered for every session made after this module was imported, answers requests
to Secrets Manager while a service is active, and comes before moto's. Requests to loopback are
left alone: they are meant for an endpoint.
"""

from collections.abc import Iterator
from io import BytesIO
from threading import Lock
from typing import Final, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError
from botocore.handlers import BUILTIN_HANDLERS, REGISTER_FIRST

from local.secretsmanager.errors import ConnectionLost
from local.secretsmanager.rotation import INVOCATION

TARGET: Final = "X-Amz-Target"
PREFIX: Final = "secretsmanager."
# Tells an endpoint in this process which invocation a request belongs to.
INVOCATION_HEADER: Final = "X-Local-Invocation"
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


class Answering(Protocol):
    """What answers a request: status and body."""

    def answer(
        self, operation: str, body: bytes, user_agent: str, invocation: str | None
    ) -> tuple[int, bytes]:
        """Carry out a request as it is on the wire."""


class _Body(BytesIO):
    """A response's body as botocore reads it."""

    def stream(self, amount: int = 65_536, *, decode_content: bool = False) -> Iterator[bytes]:  # noqa: ARG002 - urllib3's signature
        while part := self.read(amount):
            yield part


class Interception:
    """The handler; the service that was activated last answers."""

    def __init__(self) -> None:
        self._active: list[Answering] = []
        self._lock = Lock()

    def activate(self, service: Answering) -> None:
        """Let a service answer from now on."""
        with self._lock:
            self._active.append(service)

    def deactivate(self, service: Answering) -> None:
        """Let it answer no more."""
        with self._lock:
            self._active.remove(service)

    def __call__(
        self, event_name: str, request: AWSPreparedRequest, **_rest: object
    ) -> AWSResponse | None:
        """Answer one request, or leave it to the next handler."""
        del event_name
        target = _text(request.headers.get(TARGET, ""))
        if not target.startswith(PREFIX):
            return None
        invocation = INVOCATION.get()
        if urlsplit(request.url).hostname in _LOOPBACK:
            if invocation is not None:
                request.headers[INVOCATION_HEADER] = invocation
            return None
        with self._lock:
            if not self._active:
                return None
            service = self._active[-1]
        body = request.body if isinstance(request.body, bytes) else str(request.body).encode()
        try:
            status, answer = service.answer(
                target.removeprefix(PREFIX),
                body,
                _text(request.headers.get("User-Agent", "")),
                invocation,
            )
        except ConnectionLost as lost:
            raise ConnectionClosedError(endpoint_url=request.url, error=lost) from lost
        headers = HTTPHeaders()
        headers["Content-Type"] = "application/x-amz-json-1.1"
        headers["x-amzn-RequestId"] = str(uuid4())
        return AWSResponse(request.url, status, headers, _Body(answer))


def _text(header: str | bytes) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else header


INTERCEPTION: Final = Interception()
BUILTIN_HANDLERS.append(("before-send", INTERCEPTION, REGISTER_FIRST))

"""The service over HTTP on loopback, for anything that speaks to AWS.

A client is pointed to it with ``AWS_ENDPOINT_URL_SECRETS_MANAGER`` (or ``AWS_ENDPOINT_URL`` for all
of its services). Requests to Secrets Manager are answered by the service; those to other services
(STS, KMS, RDS, …) by moto, in this process, or by what the service was given for
them (:mod:`local.lambda_service`). Signatures are not looked at.

Small answers must not wait for anything: Nagle's algorithm is off, an answer is written at once,
and connections are kept open.
"""

import socket
import sys
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders

from local.secretsmanager.errors import ConnectionLost, Killed
from local.secretsmanager.interception import INVOCATION_HEADER, PREFIX, TARGET

if TYPE_CHECKING:
    from local.secretsmanager.service import SecretsManagerService

HOST: Final = "127.0.0.1"
JSON: Final = "application/x-amz-json-1.1"


class Endpoint:
    """A server of one service; ``with`` starts it and stops it again.

    Args:
        service: What answers.
        port: Where to listen; a free port for 0.
    """

    def __init__(self, service: "SecretsManagerService", port: int = 0) -> None:
        self.service = service
        self._port = port
        self._server: _Server | None = None
        self._thread: Thread | None = None

    def __enter__(self) -> Self:
        self._server = _Server((HOST, self._port), _Handler)
        self._server.service = self.service
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.05,), name="Secrets Manager endpoint"
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # First the rotations under way: their functions still talk to this endpoint.
        self.service.wait()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.close_connections()
            self._server.server_close()

    @property
    def port(self) -> int:
        """The port it listens on, once started."""
        return self._server.server_address[1] if self._server is not None else self._port

    @property
    def url(self) -> str:
        """The URL that clients are pointed to, once started."""
        return f"http://{HOST}:{self.port}"

    def environment(self) -> dict[str, str]:
        """Give the variables that point an SDK or the AWS CLI in another process here."""
        return {
            "AWS_ENDPOINT_URL_SECRETS_MANAGER": self.url,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_REGION": self.service.region,
            "AWS_DEFAULT_REGION": self.service.region,
        }


class _Server(ThreadingHTTPServer):
    """One thread a connection; knows its connections, so as to end those that are kept open."""

    daemon_threads = False
    request_queue_size = 128
    service: "SecretsManagerService"

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*arguments)
        self._connections: set[socket.socket] = set()
        self._lock = Lock()

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's
        with self._lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 - the base's
        with self._lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def close_connections(self) -> None:
        """End the connections that clients keep open; their threads then end too."""
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - the base's
        """Stay silent where the client went away, as one that was killed does."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_POST(self) -> None:
        """Answer a request to any service."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        target = self.headers.get(TARGET, "")
        try:
            if target.startswith(PREFIX):
                self._send(*self._secrets_manager(target.removeprefix(PREFIX), body))
            else:
                self._send(*self._other_service(body))
        except (ConnectionLost, Killed):
            # The client sees the connection end without an answer.
            self.close_connection = True

    do_GET = do_PUT = do_DELETE = do_HEAD = do_POST  # noqa: N815 - names that http.server asks for

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's
        """Write nothing: the service keeps a log of requests."""

    def _secrets_manager(self, operation: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        status, answer = self.server.service.answer(
            operation,
            body,
            self.headers.get("User-Agent", ""),
            self.headers.get(INVOCATION_HEADER),
        )
        return status, answer, {"Content-Type": JSON}

    def _other_service(self, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Hand a request on: to what the service knows for it, else to moto.

        moto gets it under the URL that it would have had on AWS.
        """
        # Which service it is, is said by the signature's scope: id/date/region/service/aws4_request
        scope = self.headers.get("Authorization", "").partition("Credential=")[2].split("/")
        if len(scope) < 5:  # noqa: PLR2004 - the parts of a credential scope
            return HTTPStatus.FORBIDDEN, b'{"__type": "MissingAuthenticationToken"}', {}
        if other := self.server.service.others.get(scope[3]):
            return other(self.path, self.headers.get(TARGET, ""), body)
        from moto.core.botocore_stubber import BotocoreStubber  # noqa: PLC0415 - takes 0.4 s

        parts = urlsplit(self.path)
        query = f"?{parts.query}" if parts.query else ""
        url = f"https://{scope[3]}.{scope[2]}.amazonaws.com{parts.path}{query}"
        headers = HTTPHeaders()
        for name, value in self.headers.items():
            headers[name] = value
        request = AWSPreparedRequest(self.command, url, headers, body, stream_output=False)
        given = BotocoreStubber().process_request(request)
        if given is None:
            return HTTPStatus.NOT_IMPLEMENTED, b"{}", {}
        status, given_headers, answer = given
        text = answer.encode() if isinstance(answer, str) else bytes(answer)
        return status, text, {str(name): str(value) for name, value in given_headers.items()}

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in {"content-length", "connection", "date", "server"}:
                self.send_header(name, value)
        self.send_header("x-amzn-RequestId", str(uuid4()))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

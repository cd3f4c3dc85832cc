"""The Lambda Runtime API on loopback: what a runtime asks for its work and tells its results.

Protocol: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import contextlib
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class Invocation:
    """One event on its way to the function.

    Attributes:
        request_id: Names the invocation in the runtime's answer.
        event: The payload, JSON.
        headers: What the runtime makes the function's context of.
    """

    request_id: str
    event: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the runtime said.

    Attributes:
        kind: ``ready`` when it asks for work, else ``response``, ``error`` or ``init``, the last
            for a function that could not be loaded.
        request_id: The invocation that it is about, ``""`` for ``ready`` and ``init``.
        body: JSON.
    """

    kind: str
    request_id: str
    body: bytes


class RuntimeApi:
    """Serves one runtime at a time; put events in, get answers out.

    Used as a context manager; `address` is what ``AWS_LAMBDA_RUNTIME_API`` has to be.
    """

    def __init__(self) -> None:
        self._invocations: queue.Queue[Invocation | None] = queue.Queue()
        self.answers: queue.Queue[Answer] = queue.Queue()
        api = self

        class Bound(_Handler):
            runtime_api = api

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.forget()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, invocation: Invocation) -> None:
        """Hand the runtime an event, when it asks next."""
        self._invocations.put(invocation)

    def next(self) -> Invocation | None:
        """Tell that the runtime is ready, and return its next event, however long that takes.

        None means that the runtime which asked is gone.
        """
        mine = self._invocations
        self.answers.put(Answer("ready", "", b""))
        return mine.get()

    def forget(self) -> None:
        """Begin anew after a runtime has gone: whatever still waits on its behalf is released."""
        gone, self._invocations, self.answers = self._invocations, queue.Queue(), queue.Queue()
        gone.put(None)


class _Handler(BaseHTTPRequestHandler):
    runtime_api: ClassVar[RuntimeApi]
    protocol_version = "HTTP/1.1"
    # Without these two, Nagle's algorithm and delayed acknowledgements add 40 ms to each message.
    disable_nagle_algorithm = True
    wbufsize = -1

    def handle(self) -> None:
        """Serve one connection; a runtime that is killed resets it."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        invocation = self.runtime_api.next()
        if invocation is None:
            self.close_connection = True
            return
        self._answer(200, invocation.event, invocation.headers)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        # /{version}/runtime/init/error or /{version}/runtime/invocation/{request id}/{kind}
        _, _, _, subject, *rest = self.path.split("/")
        if subject == "init":
            answer = Answer("init", "", body)
        else:
            request_id, kind = rest
            answer = Answer(kind, request_id, body)
        self.runtime_api.answers.put(answer)
        self._answer(202, b'{"status": "OK"}', {})

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
        """Say nothing: the function's own log is what matters."""

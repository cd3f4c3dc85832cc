"""A lane whose function seals: KMS and S3 over HTTP, with boundaries to kill it at."""

import base64
import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import ClassVar, Literal

from escrow.record import Context, Record
from local.kms import KeyManagement
from local.secretsmanager import Killed
from local.secretsmanager.interception import TARGET
from shared.options import Variable
from tests.escrow_world import settings_of
from tests.kit.boundaries import Tripwire
from tests.kit.lane import Lane, Trial

BUCKET = "escrow"


class Vault:
    """KMS, and a bucket that takes objects, at one address; every request passes the tripwire."""

    def __init__(self, tripwire: Tripwire) -> None:
        self.kms = KeyManagement()
        self.first, self.bucket_key = self.kms.make_key(), self.kms.make_key()
        self.second = self.kms.make_key("RSA_3072", account="210987654321", region="eu-west-1")
        self.objects: dict[str, bytes] = {}
        self.tripwire = tripwire

    @property
    def settings(self) -> str:
        """What a function is told."""
        return settings_of(self.kms, BUCKET, self.bucket_key, self.first, self.second)

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Listen on loopback, and give the URL."""
        vault = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_POST(self) -> None:
                vault.answer(self)

            def handle_expect_100(self) -> bool:
                # S3's client waits a second for it.
                going_on = super().handle_expect_100()
                self.wfile.flush()
                return going_on

            do_PUT = do_POST  # noqa: N815 - a name that http.server asks for

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.daemon_threads = True
            thread = Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()
            thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Carry out a request, unless the function dies before or after it."""
        body = request.rfile.read(int(request.headers["Content-Length"]))
        operation = request.headers.get(TARGET, "PutObject")
        try:
            self._pass(operation, "before")
            status, answer = self._effect(operation, request, body)
            self._pass(operation, "after")
        except Killed:
            request.close_connection = True
            return
        request.send_response(status)
        request.send_header("Content-Type", "application/x-amz-json-1.1")
        request.send_header("Content-Length", str(len(answer)))
        request.end_headers()
        request.wfile.write(answer)

    def _pass(self, operation: str, phase: Literal["before", "after"]) -> None:
        self.tripwire.on_request(operation, phase, 0)

    def _effect(
        self, operation: str, request: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, bytes]:
        if operation != "PutObject":
            return self.kms.answer(operation, "eu-central-1", body)
        told = base64.b64decode(request.headers["x-amz-checksum-sha256"])
        assert told == hashlib.sha256(body).digest()
        self.objects[request.path] = body
        return 200, b""

    def opened(self, secret: str) -> set[tuple[str, str]]:
        """Return user and password in every record of a secret, opened by the second key alone."""
        prefix = f"/{BUCKET}/{Context(secret, '', '').folder}"
        found = set()
        for path, raw in [*self.objects.items()]:
            if path.startswith(prefix):
                record = Record.from_bytes(raw)
                wrapped = base64.b64encode(record.second.wrapped).decode()
                told = self.kms.unwrap(self.second, wrapped)
                document = json.loads(record.open(told))
                found.add((document["username"], document["password"]))
        return found


class EscrowTrial(Trial):
    """A secret whose credentials are in escrow from their change on."""

    def look(self) -> str | None:
        """Say what is wrong, with the promise or with the escrow.

        Every password that a rotation has brought into force is in escrow; and so, from the first
        change on, what is in escrow logs in.
        """
        if (wrong := super().look()) is not None:
            return wrong
        lane = self.lane
        assert isinstance(lane, EscrowLane)
        escrowed = lane.vault.opened(self.arn)
        first, *_ = lane.service.versions(self.arn)
        for login in self.stored():
            works = login.version_id != first.version_id and lane.oracle.accepts(
                login.username, login.password
            )
            if works and (login.username, login.password) not in escrowed:
                return f"version {login.version_id} logs in and is not in escrow"
        return None


class EscrowLane(Lane):
    """A lane with an escrow."""

    called: ClassVar[str] = "escrow.sealing.seal"

    def _enter_more(self, stack: ExitStack) -> None:
        self.vault = Vault(self.tripwire)
        url = stack.enter_context(self.vault.serving())
        self.function.variables |= {
            Variable.BEFORE_CHANGE: f"{self.called}:{self.vault.settings}",
            "AWS_ENDPOINT_URL_KMS": url,
            "AWS_ENDPOINT_URL_S3": url,
        }

    def new_trial(self) -> Trial:
        """Make a user and its secret."""
        trial = super().new_trial()
        return EscrowTrial(self, trial.arn, trial.first)


def forget(settings: str, secret_arn: str, version_id: str, text: str) -> None:
    """Seal nothing."""
    del settings, secret_arn, version_id, text


class ForgetfulLane(EscrowLane):
    """A lane whose function only says that it seals."""

    called = "tests.conformance.escrow_lane.forget"

"""The process in which rotation functions run: ``python -m tests.kit.function_process``.

It has imported the function and made its SDK client, and forks execution environments: one after
another, a new one when the last one was killed. An environment carries out invocations until then,
as Lambda's do. So a kill costs some milliseconds instead of a cold start, and nothing of a killed
environment lives on: no connection, no cache.

It has one thread, since a fork copies only the thread that forks. Requests come in and answers go
out, one packet each, on the socket named on the command line: an environment's process id when it
is made, what came of each invocation, and how the environment ended. What the function prints goes
to standard output, its log.
"""

import gc
import importlib
import json
import os
import pkgutil
import socket
import sys
from typing import Any, NoReturn
from unittest.mock import patch

from botocore.config import Config
from botocore.session import Session, get_session

from local.secretsmanager.rotation import Context

FUNCTION_NAME = "rotator"
LONGEST_PACKET = 131_072
READ_TIMEOUT_VARIABLE = "KIT_READ_TIMEOUT"
"""Names a variable: seconds that the SDK waits for an answer, where they are to be others."""


def main(handler_name: str, descriptor: int) -> int:
    """Serve until the other side closes the socket.

    Args:
        handler_name: ``module.attribute`` of the handler, as Lambda is told.
        descriptor: The socket, of type SOCK_SEQPACKET: a packet is read whole or not at all, so
            that a kill leaves no half of a request to the next environment.
    """
    channel = socket.socket(fileno=descriptor)
    _keep_client()
    module, _, attribute = handler_name.rpartition(".")
    handler = getattr(importlib.import_module(module), attribute)
    _keep_drivers()
    gc.collect()
    gc.freeze()
    while True:
        child = os.fork()
        if child == 0:
            _serve(handler, channel)
        _say(channel, {"process": child})
        _, status = os.waitpid(child, 0)
        if status == 0:
            return 0
        _say(channel, {"status": os.waitstatus_to_exitcode(status)})


def _say(channel: socket.socket, answer: dict[str, Any]) -> None:
    channel.send(json.dumps(answer).encode())


def _keep_client() -> None:
    """Make the SDK's client before the forks: 50 ms that each of them would need otherwise.

    A client that has sent nothing has no connection that the forks could share.
    """
    from shared.runtime import CLIENT_CONFIG  # noqa: PLC0415 - the one thing taken from there

    make: Any = Session.create_client
    config = CLIENT_CONFIG
    if seconds := os.environ.get(READ_TIMEOUT_VARIABLE):
        config = config.merge(Config(read_timeout=float(seconds)))
    kept = make(get_session(), "secretsmanager", config=config)

    def client(session: Session, name: str, **options: Any) -> object:  # noqa: ANN401 - the SDK's
        if name == "secretsmanager" and not options.get("endpoint_url"):
            return kept
        return make(session, name, **options)

    patch.object(Session, "create_client", client).start()


def _keep_drivers() -> None:
    """Import, before the forks, what the function imports when it first logs in: its driver."""
    for name in [name for name in sys.modules if name.startswith("rotators.")]:
        package = sys.modules[name]
        for found in pkgutil.iter_modules(getattr(package, "__path__", ())):
            importlib.import_module(f"{name}.{found.name}")


def _serve(handler: Any, channel: socket.socket) -> NoReturn:  # noqa: ANN401 - any handler
    """Be an execution environment, until there are no more requests or the process is killed."""
    while packet := channel.recv(LONGEST_PACKET):
        request = json.loads(packet)
        if request["process"] == os.getpid():
            _say(channel, _invoke(handler, request))
    os._exit(0)


def _invoke(handler: Any, request: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - any handler
    """Carry out one invocation and return what came of it."""
    os.environ.update(request["environment"])
    arn = f"arn:aws:lambda:eu-central-1:123456789012:function:{FUNCTION_NAME}"
    try:
        handler(request["event"], Context(FUNCTION_NAME, arn, request["seconds"]))
    except BaseException as error:  # noqa: BLE001 - whatever ends the invocation
        return {"succeeded": False, "kind": type(error).__name__, "text": str(error)}
    finally:
        for name in request["environment"]:
            del os.environ[name]
        sys.stdout.flush()
        sys.stderr.flush()
    return {"succeeded": True}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))

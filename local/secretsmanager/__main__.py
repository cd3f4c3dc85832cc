"""Runs the endpoint in the foreground: ``python -m local.secretsmanager --help``."""

import argparse
import os
import signal
import sys
from datetime import timedelta
from importlib import import_module
from threading import Event, Lock
from typing import Any, Final

from local.secretsmanager.rotation import Handler
from local.secretsmanager.service import SecretsManagerService

TICK_SECONDS: Final = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Listen until interrupted or terminated.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The exit status: 0 once stopped, 2 where a function cannot be imported.
    """
    chosen = _parser().parse_args(arguments)
    service = SecretsManagerService(region=chosen.region, account=chosen.account)
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopped.set())
    with service.endpoint(chosen.port) as endpoint:
        # Before the import: a function may make its client there, and must find this endpoint.
        os.environ.update(endpoint.environment())
        try:
            arns = [
                service.register(name, _one_at_a_time(_imported(path)))
                for name, path in chosen.function
            ]
        except (ImportError, AttributeError, TypeError, ValueError) as error:
            print(f"--function: {error}", file=sys.stderr)
            return 2
        for name, value in endpoint.environment().items():
            print(f"export {name}={value}")
        for arn in arns:
            print(f"# {arn}")
        print("# Listening; stop with Ctrl-C.", flush=True)
        told = 0
        while not stopped.wait(TICK_SECONDS):
            service.advance(timedelta(0))  # what has fallen due by the real clock
            for outcome in service.outcomes[told:]:
                print(f"# {outcome}", flush=True)
                told += 1
    return 0


def _one_at_a_time(handler: Handler) -> Handler:
    """Let a function serve one event at a time, as one execution environment of Lambda's does.

    What a handler keeps in its module, such as the logger's keys, would be mixed up otherwise.
    """
    serving = Lock()

    def serve(event: dict[str, Any], context: object) -> object:
        with serving:
            return handler(event, context)

    return serve


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m local.secretsmanager",
        description="AWS Secrets Manager on loopback. RotateSecret really calls the functions "
        "given here, in this process.",
    )
    parser.add_argument("--port", type=int, default=0, help="a free one when omitted")
    parser.add_argument("--region", default="eu-central-1")
    parser.add_argument("--account", default="123456789012")
    parser.add_argument(
        "--function",
        action="append",
        default=[],
        type=_named_path,
        metavar="NAME=MODULE.ATTRIBUTE",
        help="a rotation function, such as postgres=rotators.postgres.rotator.handler",
    )
    return parser


def _named_path(text: str) -> tuple[str, str]:
    name, separator, path = text.partition("=")
    if not (name and separator and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=MODULE.ATTRIBUTE")
    return name, path


def _imported(path: str) -> Handler:
    """Import a handler.

    Raises:
        ImportError: There is no such module.
        AttributeError: It has no such attribute.
        TypeError: It cannot be called.
        ValueError: The path has no dot.
    """
    module, _, attribute = path.rpartition(".")
    handler = getattr(import_module(module), attribute)
    if not callable(handler):
        raise TypeError(f"{path} cannot be called")
    return handler  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main())

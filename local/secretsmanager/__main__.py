"""Runs the endpoint in the foreground: ``python -m local.secretsmanager --help``."""

import argparse
import os
import signal
import sys
from importlib import import_module
from threading import Event

from local.secretsmanager.rotation import Handler
from local.secretsmanager.service import SecretsManagerService


def main(arguments: list[str] | None = None) -> int:
    """Listen until interrupted or terminated.

    Args:
        arguments: The command line, without the program's name.

    Returns:
        The exit status: 0 once stopped, 2 where a function cannot be imported.
    """
    chosen = _parser().parse_args(arguments)
    service = SecretsManagerService(region=chosen.region, account=chosen.account)
    try:
        handlers = {name: _imported(path) for name, path in chosen.function}
    except (ImportError, AttributeError, ValueError) as error:
        print(f"--function: {error}", file=sys.stderr)
        return 2
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: stopped.set())
    with service.endpoint(chosen.port) as endpoint:
        # The functions run in this process and find the endpoint as they would in Lambda.
        os.environ.update(endpoint.environment())
        for name, value in endpoint.environment().items():
            print(f"export {name}={value}")
        for name, handler in handlers.items():
            print(f"# {name}: {service.register(name, handler)}")
        print("# Listening; stop with Ctrl-C.", flush=True)
        stopped.wait()
    return 0


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
        ValueError: The path has no dot, or what it names cannot be called.
    """
    module, _, attribute = path.rpartition(".")
    handler = getattr(import_module(module), attribute)
    if not callable(handler):
        raise ValueError(f"{path} cannot be called")
    return handler  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.exit(main())

"""The measured process: a rotation function, as Lambda would call it.

Its one argument is the handler, such as `rotators.postgres.rotator.handler`.
"""

import sys
from importlib import import_module
from typing import Any

from local.bench.conversation import Order, converse


class Context:
    """What the handler reads of Lambda's context."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Return what is left of a minute that never ends."""
        return 60_000


def main(path: str) -> None:
    """Import the handler and call it for every step that is asked for."""
    module, _, name = path.rpartition(".")
    handler: Any = getattr(import_module(module), name)
    context = Context()
    sent: list[list[Any]] = []

    def work(order: Order, number: int) -> None:
        event = {
            "Step": order["steps"][number],
            "SecretId": order["secret"],
            "ClientRequestToken": order["token"],
        }
        if not order["records"]:
            handler(event, context)
            return
        from local.bench.recording import recorded  # noqa: PLC0415 - nothing measured records

        with recorded(module.split(".")[1]) as messages:
            handler(event, context)
        sent[:] = messages

    converse(work, lambda: sent)


if __name__ == "__main__":
    main(sys.argv[1])

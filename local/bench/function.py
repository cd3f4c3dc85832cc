"""The measured process: a rotation function, as Lambda would call it.

Its one argument is the handler, such as `rotators.postgres.rotator.handler`.
"""

import sys
from importlib import import_module
from typing import Any

from local.bench.conversation import converse

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


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

    def work(secret: str, token: str, whole: bool) -> None:  # noqa: FBT001 - as in `Work`
        for step in STEPS if whole else STEPS[:1]:
            handler({"Step": step, "SecretId": secret, "ClientRequestToken": token}, context)

    converse(work)


if __name__ == "__main__":
    main(sys.argv[1])

"""How a command ends: its exit status, and what ends it early."""

from enum import IntEnum


class Exit(IntEnum):
    """The exit statuses."""

    WELL = 0
    """Looked at, or done, and well."""
    FAILURE = 1
    """Something fails, or was not done."""
    WARNINGS = 2
    """Nothing fails; something will, or should be looked at."""
    USAGE = 3
    """The command line makes no sense."""
    BLIND = 4
    """What was asked could not be looked at."""


class Stop(Exception):
    """Ends the command.

    Args:
        message: What was found, and what to do next.
    """

    status = Exit.FAILURE

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)


class Misused(Stop):
    """The command line makes no sense."""

    status = Exit.USAGE


class CouldNotLook(Stop):
    """AWS did not answer, or refused."""

    status = Exit.BLIND

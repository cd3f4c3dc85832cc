"""What can go wrong: in the service's own words, in a rotation, and on the wire."""

from typing import Final

# Messages that several operations share, worded as the service words them.
NOT_FOUND: Final = "Secrets Manager can't find the specified secret."
DELETED: Final = (
    "You can't perform this operation on the secret because it was marked for deletion."
)
UNFINISHED: Final = "A previous rotation isn't complete. That rotation will be reattempted."


class ServiceError(Exception):
    """An answer of the service that is an error.

    Args:
        code: The error's name, such as ``ResourceNotFoundException``; boto3 shows it as
            ``error.response["Error"]["Code"]``.
        message: The service's wording.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(f"{code}: {message}")


class RotationFailed(Exception):
    """A rotation did not end well: a step failed every time, or AWSPENDING was left behind."""


class ConnectionLost(ConnectionError):
    """The request did not arrive, or its answer did not: the caller cannot tell which."""


class Killed(BaseException):
    """Ends a function where it stands; raise it from ``on_request``.

    Not an :class:`Exception`, so that no ``except Exception`` on the way can survive it, as none
    survives the end of a process. The service takes it for a function that failed.
    """

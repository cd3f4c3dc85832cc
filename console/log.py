"""What the functions have written to their logs about secrets: one line of JSON for each step."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from botocore.exceptions import ClientError

from console.account import DENIED, NOT_FOUND, Account, asking, code_of
from console.functions import Function

LOOK_BACK = timedelta(days=14)
"""So far back causes are looked for."""
PAGES = 20
"""Of 10,000 lines at most, for one log group: what is older than that is not looked for."""


@dataclass(frozen=True, slots=True)
class Line:
    """What a function has said at the end of a step.

    Attributes:
        moment: When.
        secret: The secret's ARN.
        token: Of the attempt.
        step: Such as ``setSecret``.
        failed: Whether the step failed.
        message: With the cause, what to do.
        cause: The class of the error; empty where the step succeeded.
        document: The whole line.
    """

    moment: datetime
    secret: str
    token: str
    step: str
    failed: bool
    message: str
    cause: str
    document: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Self | None:
        """Read a log event; None where it is no line of a step."""
        try:
            document = json.loads(event["message"])
        except ValueError:
            return None
        if not isinstance(document, dict) or not document.get("secret"):
            return None
        level, cause = document.get("level"), document.get("cause")
        if not (cause or "action" in document):
            return None
        return cls(
            moment=datetime.fromtimestamp(event["timestamp"] / 1000, UTC),
            secret=str(document["secret"]),
            token=str(document.get("token", "")),
            step=str(document.get("step", "")),
            failed=level == "ERROR",
            message=str(document.get("message", "")),
            cause=str(cause or ""),
            document=document,
        )


@dataclass
class Log:
    """The logs of an account's functions.

    Attributes:
        unread: Log groups that could not be read, and why.
    """

    account: Account
    unread: dict[str, str] = field(default_factory=dict)

    def last_errors(self, function: Function, since: datetime) -> dict[str, Line]:
        """Return the last failed step of each secret since a moment, by the secret's ARN."""
        lines = self._lines(function, since, '{ $.level = "ERROR" && $.secret = * }')
        # Lines of several streams come in no certain order.
        return {line.secret: line for line in sorted(lines, key=_moment) if line.failed}

    def of(self, function: Function, secret: str, since: datetime, token: str = "") -> list[Line]:
        """Return what a function has said about a secret, or about one attempt, oldest first."""
        about = f'$.secret = "{secret}"' + (f' && $.token = "{token}"' if token else "")
        return sorted(self._lines(function, since, f"{{ {about} }}"), key=_moment)

    def _lines(self, function: Function, since: datetime, pattern: str) -> Iterator[Line]:
        """Yield the lines that a pattern fits; none where the log cannot be read."""
        if not function.log_group:
            self.unread[function.arn] = "Lambda does not tell where its log is"
            return
        request: dict[str, Any] = {
            "logGroupName": function.log_group,
            "startTime": int(since.timestamp() * 1000),
            "filterPattern": pattern,
        }
        for _ in range(PAGES):
            answer = self._page(request)
            for event in answer.get("events", []):
                line = Line.of(event)
                if line is not None:
                    yield line
            if "nextToken" not in answer:
                return
            request["nextToken"] = answer["nextToken"]

    def _page(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        with asking():
            try:
                answer: Mapping[str, Any] = self.account.logs.filter_log_events(**request)
            except ClientError as error:
                if code_of(error) not in DENIED | NOT_FOUND:
                    raise
                self.unread[request["logGroupName"]] = f"FilterLogEvents: {code_of(error)}"
                return {}
        return answer


def _moment(line: Line) -> datetime:
    return line.moment

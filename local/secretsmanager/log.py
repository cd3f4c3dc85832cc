"""The log of requests: who asked what and when, without any value of a secret."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Any, Final

# Members of requests that are never written down.
SENSITIVE: Final = frozenset({"SecretString", "SecretBinary", "RotationToken"})
CALLER_PREFIXES: Final = ("app/", "exec-env/")


@dataclass(frozen=True)
class Request:
    """One request that was made.

    Args:
        index: Its number since the last reset, from 1.
        nth: Its number among those of the same operation, likewise.
        operation: What was asked, such as ``GetSecretValue``.
        parameters: With what, without values of secrets and rotation tokens.
        caller: Who says it was: the ``app/`` or ``exec-env/`` part of the User-Agent, which the
            SDK makes of ``AWS_SDK_UA_APP_ID`` and ``AWS_EXECUTION_ENV`` (Lambda sets that).
        invocation: The function's invocation that made it, where it ran in this process.
        time: When, by the service's clock.
        error: The error's code, where it was refused.
    """

    index: int
    nth: int
    operation: str
    parameters: Mapping[str, Any]
    caller: str | None
    invocation: str | None
    time: datetime
    error: str | None = None

    def made_by(self, invocation: str | None) -> bool:
        """Tell whether a rotation's function made it: in this process, or as a Lambda."""
        if self.invocation is not None:
            return self.invocation == invocation
        return (self.caller or "").startswith("exec-env/AWS_Lambda")


@dataclass
class RequestLog:
    """All requests since the last reset, in the order in which they came."""

    requests: list[Request] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock)

    def begin(
        self,
        operation: str,
        parameters: Mapping[str, Any],
        *,
        caller: str | None,
        invocation: str | None,
        time: datetime,
    ) -> Request:
        """Write a request down and number it."""
        shown = {name: each for name, each in parameters.items() if name not in SENSITIVE}
        with self._lock:
            self._counts[operation] += 1
            index, nth = len(self.requests) + 1, self._counts[operation]
            request = Request(index, nth, operation, shown, caller, invocation, time)
            self.requests.append(request)
        return request

    def refused(self, request: Request, error: str) -> None:
        """Add to a request that it was refused, unless the log was reset meanwhile."""
        place = request.index - 1
        with self._lock:
            if place < len(self.requests) and self.requests[place] is request:
                self.requests[place] = replace(request, error=error)

    def reset(self) -> None:
        """Forget all requests and number from 1 again."""
        with self._lock:
            self.requests.clear()
            self._counts.clear()


def caller_of(user_agent: str) -> str | None:
    """Read who a User-Agent says it is; an application's own name comes before Lambda's."""
    parts = user_agent.split()
    named = [part for prefix in CALLER_PREFIXES for part in parts if part.startswith(prefix)]
    return named[0] if named else None

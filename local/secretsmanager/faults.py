"""Faults to order: what a network and a busy service do, at a chosen moment."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from threading import Lock
from typing import Literal

from local.secretsmanager.errors import ConnectionLost, ServiceError
from local.secretsmanager.log import Request

Phase = Literal["before", "after"]
OnRequest = Callable[[str, Phase, int], None]


@dataclass(frozen=True)
class Loss:
    """Requests of an operation that are lost: from the ``first`` on, ``times`` of them."""

    operation: str
    phase: Phase
    first: int
    times: int

    def hits(self, request: Request, phase: Phase) -> bool:
        """Tell whether a request is one of them, in this phase."""
        return (self.operation, self.phase) == (request.operation, phase) and (
            self.first <= request.nth < self.first + self.times
        )


@dataclass
class Faults:
    """Which faults are ordered.

    Args:
        throttle: The fraction of requests that are refused with ``ThrottlingException``.
        randomness: Decides which; seeded, so that a run can be repeated.
        on_request: Called around each request with the operation, ``"before"`` or ``"after"`` its
            effect, and the request's number. What it raises ends the request.
        losses: What is lost.
    """

    throttle: float = 0.0
    randomness: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - repeatable
    on_request: OnRequest | None = None
    losses: list[Loss] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)

    def before(self, request: Request) -> None:
        """Do what is ordered before a request has its effect.

        Raises:
            ServiceError: ``ThrottlingException``.
            ConnectionLost: The request is lost.
        """
        self._around(request, "before")
        with self._lock:
            throttled = self.randomness.random() < self.throttle
        if throttled:
            raise ServiceError("ThrottlingException", "Rate exceeded")

    def after(self, request: Request) -> None:
        """Do what is ordered after a request had its effect, before its answer arrives.

        Raises:
            ConnectionLost: The answer is lost.
        """
        self._around(request, "after")

    def _around(self, request: Request, phase: Phase) -> None:
        if self.on_request is not None:
            self.on_request(request.operation, phase, request.index)
        if any(loss.hits(request, phase) for loss in self.losses):
            raise ConnectionLost(f"{request.operation} was lost {phase} its effect")

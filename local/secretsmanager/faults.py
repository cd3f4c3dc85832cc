"""Faults to order: what a network and a busy service do, at a chosen moment."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from local.secretsmanager.errors import ConnectionLost, ServiceError

Phase = Literal["before", "after"]
OnRequest = Callable[[str, Phase, int], None]


@dataclass
class Loss:
    """Requests that are lost: the ``first`` of an operation, and those that follow it."""

    operation: str
    phase: Phase
    first: int
    times: int


@dataclass
class Faults:
    """Which faults are ordered, and how many requests there were.

    Args:
        throttle: The fraction of requests that are refused with ``ThrottlingException``.
        randomness: Decides which; seeded, so that a run can be repeated.
        on_request: Called around each request with the operation, ``"before"`` or ``"after"`` its
            effect, and the request's number. What it raises ends the request.
    """

    throttle: float = 0.0
    randomness: Random = field(default_factory=lambda: Random(0))  # noqa: S311 - repeatable
    on_request: OnRequest | None = None
    losses: list[Loss] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def before(self, operation: str, index: int) -> None:
        """Do what is ordered before a request has its effect.

        Raises:
            ServiceError: ``ThrottlingException``.
            ConnectionLost: The request is lost.
        """
        self.counts[operation] += 1
        if self.throttle and self.randomness.random() < self.throttle:
            raise ServiceError("ThrottlingException", "Rate exceeded")
        if self.on_request is not None:
            self.on_request(operation, "before", index)
        self._lose(operation, "before")

    def after(self, operation: str, index: int) -> None:
        """Do what is ordered after a request had its effect, before its answer arrives.

        Raises:
            ConnectionLost: The answer is lost.
        """
        if self.on_request is not None:
            self.on_request(operation, "after", index)
        self._lose(operation, "after")

    def _lose(self, operation: str, phase: Phase) -> None:
        number = self.counts[operation]
        for loss in self.losses:
            if (loss.operation, loss.phase) == (operation, phase) and (
                loss.first <= number < loss.first + loss.times
            ):
                raise ConnectionLost(f"{operation} number {number} was lost, {phase} its effect")

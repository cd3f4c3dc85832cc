"""Reads policies, as far as can be decided from outside: whom a statement is about, and what.

Simulated: IAM alone decides. What a condition makes of a statement is not evaluated here, and a
role's own policies are put to IAM's simulator.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any


class Answer(Enum):
    """What a policy says of an action by a role."""

    ALLOWED = "allowed"
    DENIED = "denied"
    PERHAPS_DENIED = "perhaps denied"
    """By a statement with a condition."""
    SILENT = "silent"
    HANDED_OVER = "handed over"
    """To the account, whose IAM policies decide."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a policy."""

    denies: bool
    principals: Sequence[str]
    actions: Sequence[str]
    is_conditional: bool
    excludes: bool

    def is_about(self, role: str, action: str) -> bool:
        """Say whether it names the role, by itself or among all, and the action."""
        named = any(each in {"*", role} for each in self.principals)
        return named and self._has(action)

    def hands_over(self, role: str, action: str) -> bool:
        """Say whether it names the role's account."""
        account = role.split(":")[4]
        root = {account, f"arn:{role.split(':')[1]}:iam::{account}:root"}
        return bool(root & {*self.principals}) and self._has(action)

    def _has(self, action: str) -> bool:
        found = any(fnmatchcase(action.lower(), each.lower()) for each in self.actions)
        return found is not self.excludes


def statements(text: str | None) -> Iterator[Statement]:
    """Yield the statements of a policy document; none where there is no policy."""
    document: Any = json.loads(text or "{}")
    for each in _listed(document.get("Statement", [])):
        principal = each.get("Principal", each.get("NotPrincipal", []))
        names = principal.values() if isinstance(principal, Mapping) else [principal]
        yield Statement(
            denies=each.get("Effect") == "Deny",
            principals=[name for one in names for name in _listed(one)],
            actions=_listed(each.get("Action", each.get("NotAction", []))),
            # Whom NotPrincipal means is not looked up.
            is_conditional="Condition" in each or "NotPrincipal" in each,
            excludes="NotAction" in each,
        )


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 (what JSON holds)
    return value if isinstance(value, list) else [value]


def answer(text: str | None, role: str, action: str) -> Answer:
    """Say what a policy says of an action by a role."""
    every = [*statements(text)]
    about = [each for each in every if each.is_about(role, action)]
    denying = [each for each in about if each.denies]
    if any(not each.is_conditional for each in denying):
        return Answer.DENIED
    if denying:
        return Answer.PERHAPS_DENIED
    if about:
        return Answer.ALLOWED
    if any(each.hands_over(role, action) and not each.denies for each in every):
        return Answer.HANDED_OVER
    return Answer.SILENT


def lets_service_invoke(text: str | None) -> bool:
    """Say whether a function's policy lets Secrets Manager invoke it."""
    return any(
        not each.denies and "secretsmanager.amazonaws.com" in each.principals
        for each in statements(text)
    )

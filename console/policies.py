"""The statements of an IAM policy, and what they give to whom.

Not a simulator: one statement after the other is looked at. The posture counts a Deny only where it
says just what is looked for; tests hold its answers to a simulator's. :func:`answer`, which doctor
asks, does not evaluate conditions.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Final, Self

ANYBODY: Final = "*"
POSITIVE: Final = frozenset(
    {"stringequals", "stringlike", "stringequalsignorecase", "arnequals", "arnlike"}
)
"""Operators that a request fulfils only with a value that is named."""
NARROWING: Final = frozenset(
    {
        *("aws:principalorgid", "aws:principalorgpaths", "aws:principalaccount"),
        *("aws:principalarn", "aws:sourceaccount", "aws:sourcearn", "aws:sourceorgid"),
        *("aws:sourcevpce", "aws:sourcevpc", "aws:sourcevpcarn", "kms:calleraccount"),
    }
)
"""Keys of conditions that say who may ask, or from where."""
SERVICE_KEY: Final = "kms:viaservice"
GRANT_KEY: Final = "kms:grantisforawsresource"


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
    """One statement.

    Attributes:
        raw: As it stands in the policy.
        allows: Whether its effect is Allow.
        principals: ARNs and accounts; ``*`` for anybody, whom NotPrincipal may leave out.
        services: Of AWS's.
        actions: Patterns, in lower case.
        resources: Patterns.
        conditions: (operator, key, values), the first two in lower case.
    """

    raw: Mapping[str, Any]
    allows: bool
    principals: frozenset[str]
    services: frozenset[str]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """Read a statement."""
        principal = raw.get("Principal", ANYBODY if "NotPrincipal" in raw else {})
        named = {ANYBODY: principal} if isinstance(principal, str) else principal
        return cls(
            raw=raw,
            allows=raw.get("Effect") == "Allow",
            principals=frozenset(_many(named.get("AWS", named.get(ANYBODY)))),
            services=frozenset(_many(named.get("Service"))),
            actions=tuple(each.lower() for each in _many(raw.get("Action"))),
            resources=tuple(_many(raw.get("Resource"))),
            conditions=tuple(
                (operator.lower(), key.lower(), tuple(map(str, _many(values))))
                for operator, keys in raw.get("Condition", {}).items()
                for key, values in keys.items()
            ),
        )

    @property
    def name(self) -> str:
        """Its Sid, or its first action."""
        return str(self.raw.get("Sid") or next(iter(_many(self.raw.get("Action"))), "NotAction"))

    def covers(self, *actions: str) -> tuple[str, ...]:
        """Return those of the actions that the statement is about."""
        if "NotAction" in self.raw:
            but = [each.lower() for each in _many(self.raw["NotAction"])]
            return tuple(each for each in actions if not _fits(each.lower(), but))
        return tuple(each for each in actions if _fits(each.lower(), self.actions))

    @property
    def is_conditional(self) -> bool:
        """Whether it may turn out not to be about who asks."""
        return "Condition" in self.raw or "NotPrincipal" in self.raw

    def demands(self, keys: Collection[str]) -> bool:
        """Say whether a request must bring a value that is named for one of these keys."""
        return any(
            operator.removeprefix("foranyvalue:") in POSITIVE
            and key in keys
            and not any(value.startswith("*") or "::*:" in value for value in values)
            for operator, key, values in self.conditions
        )

    @property
    def is_open(self) -> bool:
        """Whether anybody has what it allows."""
        return self.allows and ANYBODY in self.principals and not self.demands(NARROWING)

    @property
    def is_for_services(self) -> bool:
        """Whether a request must come through a service of AWS's."""
        return self.demands({SERVICE_KEY})

    @property
    def is_for_aws_resources(self) -> bool:
        """Whether grants must be for resources of AWS's."""
        return ("bool", GRANT_KEY, ("true",)) in self.conditions

    def refuses(self, operators: Collection[str], key: str, *values: str) -> bool:
        """Say whether it refuses everybody whose request has, or has not, a value."""
        found = [
            operator in operators and name == key and (not values or has == values)
            for operator, name, has in self.conditions
        ]
        return not self.allows and ANYBODY in self.principals and found == [True]


def statements(document: str | Mapping[str, Any] | None) -> list[Statement]:
    """Return the statements of a policy; none where there is no policy."""
    policy = json.loads(document) if isinstance(document, str) else document
    return [Statement.of(each) for each in _many((policy or {}).get("Statement"))]


def answer(document: str | None, role: str, action: str) -> Answer:
    """Say what a policy says of an action by a role, given as ARN."""
    every = statements(document)
    about = [
        each
        for each in every
        if not each.principals.isdisjoint({ANYBODY, role}) and each.covers(action)
    ]
    denying = [each for each in about if not each.allows]
    if denying:
        certain = any(not each.is_conditional for each in denying)
        return Answer.DENIED if certain else Answer.PERHAPS_DENIED
    if about:
        return Answer.ALLOWED
    account = account_of(role)
    for each in every:
        to_account = any(is_root(principal, account) for principal in each.principals)
        if each.allows and to_account and each.covers(action):
            return Answer.HANDED_OVER
    return Answer.SILENT


def lets_service_invoke(document: str | None) -> bool:
    """Say whether a function's policy lets Secrets Manager invoke it."""
    return any(
        each.allows and "secretsmanager.amazonaws.com" in each.services
        for each in statements(document)
    )


def policy_of(kept: Iterable[Statement | Mapping[str, Any]], **rest: object) -> str:
    """Return a policy as text."""
    told = [dict(each.raw if isinstance(each, Statement) else each) for each in kept]
    return json.dumps({"Version": "2012-10-17", **rest, "Statement": told}, separators=(",", ":"))


def account_of(principal: str) -> str:
    """Return the account of a principal; empty where it tells none."""
    return principal if principal.isdigit() else (principal.split(":") + [""] * 5)[4]


def is_root(principal: str, account: str) -> bool:
    """Say whether a principal is an account as a whole."""
    return principal == account or principal.endswith(f"::{account}:root")


def _many(value: Any) -> list[Any]:  # noqa: ANN401 (JSON)
    """Return a list of what stands in a policy alone or as a list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _fits(action: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(action, pattern) for pattern in patterns)


def without(raw: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a statement without one of its elements."""
    return {key: value for key, value in raw.items() if key != name}

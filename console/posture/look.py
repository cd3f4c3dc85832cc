"""Looks at secrets, account and buckets; every check runs, whatever another one has found."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from console.account import Account
from console.condition import Standing
from console.fleet import Secret
from console.functions import Function, Functions, Maker, unqualified
from console.log import Log
from console.posture.access import check_role, check_secret_policy
from console.posture.databases import (
    check_iam_login,
    check_reach,
    check_snapshots,
    check_storage,
    check_tls_parameter,
)
from console.posture.keys import AWS_MANAGED, check_key, check_key_policy
from console.posture.place import Place, place_of
from console.posture.storage import BUCKET_CHECKS, EBS, buckets_of, check_ebs
from console.posture.subject import DENIED, Check, Seen, Subject
from console.posture.turning import check_rotation
from console.posture.view import Unseen, View
from console.posture.wire import Wire
from console.screen import Screen
from console.status import standings
from shared.examination.finding import Finding, Level

CHECKS: Mapping[str, Check] = {
    "key": check_key,
    # Before the policy: which services a key must serve, the storage tells.
    "storage": check_storage,
    "key-policy": check_key_policy,
    "secret-policy": check_secret_policy,
    "rotation": check_rotation,
    "role": check_role,
    "snapshots": check_snapshots,
    "tls-parameter": check_tls_parameter,
    "iam-login": check_iam_login,
    "reach": check_reach,
}
"""What is looked at for each secret, in this order; the handshake comes last."""
HANDSHAKE = "handshake"
NO_VALUES = "Which database it is stands in the secret's value, and --no-values is set."


@dataclass(frozen=True, slots=True)
class Row:
    """What was found about a secret, the account or a bucket.

    Attributes:
        name: Of the secret or the bucket; the Region's for the account.
        arn: Of the secret; else empty.
        facts: What was seen, by name.
        findings: What is not as it should be, or could not be looked at.
    """

    name: str
    arn: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Posture:
    """What was found: secrets by name, the account and Region, and the stacks' buckets."""

    secrets: tuple[Row, ...]
    account: Row
    buckets: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All rows."""
        return (*self.secrets, self.account, *self.buckets)

    @property
    def findings(self) -> list[Finding]:
        """All findings."""
        return [finding for row in self.rows for finding in row.findings]


@dataclass
class Looking:
    """One look at an account.

    Attributes:
        view: What its services tell.
        days: How old a password may be.
        reads_values: Whether secrets' values are read, to find the databases.
        wire: The handshakes.
        unread: Logs that could not be read, and why.
    """

    view: View
    days: int
    reads_values: bool = True
    wire: Wire = field(default_factory=Wire)
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def checks(self) -> Mapping[str, Check]:
        """Every check of a secret."""
        return {**CHECKS, HANDSHAKE: self.wire.check}

    def at(self, screen: Screen, secrets: Sequence[Secret]) -> Posture:
        """Look at secrets, the account and the buckets of the functions' stacks."""
        account = self.view.account
        functions = Functions(account)
        log = Log(account)
        found = standings(account, secrets, functions, log, self.days)
        self.unread = log.unread
        keys = _keys_by_function(secrets)
        rows = [
            row
            for _, row in screen.each(
                "Looking", found, lambda each: self.secret(each, keys[each.function.arn])
            )
        ]
        ours = {
            each.function.arn: each.function for each in found if each.function.maker is Maker.OURS
        }
        return Posture(
            tuple(sorted(rows, key=lambda row: row.name)),
            self.account(),
            tuple(self.buckets(ours.values())),
        )

    def secret(self, standing: Standing, keys: Iterable[str]) -> Row:
        """Look at one secret."""
        secret = standing.secret
        subject = Subject(
            self.view,
            standing,
            self.days,
            keys=frozenset(keys),
            place=self._place(secret),
            unread=self.unread.get(standing.function.log_group, ""),
        )
        findings = [
            finding
            for name, check in self.checks.items()
            for finding in _findings(name, lambda check=check: check(subject))  # type: ignore[misc]
        ]
        return Row(secret.name, secret.arn, subject.facts, tuple(findings))

    def _place(self, secret: Secret) -> Place | Unseen:
        if not self.reads_values:
            return Unseen(NO_VALUES)
        try:
            return place_of(self.view, secret)
        except Unseen as unseen:
            return unseen

    def account(self) -> Row:
        """Look at what is set for the account and Region."""
        facts: dict[str, object] = {}
        findings = _findings(EBS, lambda: check_ebs(self.view, facts))
        return Row(self.view.account.region, facts=facts, findings=tuple(findings))

    def buckets(self, functions: Iterable[Function]) -> Iterator[Row]:
        """Look at the buckets of the functions' stacks."""
        names: set[str] = set()
        for function in functions:
            try:
                names |= set(buckets_of(self.view, function))
            except Unseen as unseen:
                finding = Finding("buckets", DENIED, Level.NOT_LOOKED_AT, str(unseen))
                yield Row(function.name, findings=(finding,))
        for name in sorted(names):
            facts: dict[str, object] = {}
            findings = [
                finding
                for check, look in BUCKET_CHECKS.items()
                for finding in _findings(check, lambda look=look: look(self.view, name, facts))  # type: ignore[misc] # noqa: B023
            ]
            yield Row(name, facts=facts, findings=tuple(findings))


def posture(
    account: Account,
    screen: Screen,
    secrets: Sequence[Secret],
    *,
    days: int,
    reads_values: bool = True,
) -> Posture:
    """Look at secrets and at what they rest on; nothing is changed.

    Raises:
        CouldNotLook: AWS cannot be reached at all.
    """
    return Looking(View(account), days, reads_values).at(screen, secrets)


def _findings(check: str, look: Callable[[], Iterator[Seen]]) -> list[Finding]:
    found: list[Finding] = []
    try:
        # What was seen before something could not be seen counts.
        found.extend(seen.finding(check) for seen in look())
    except Unseen as unseen:
        found.append(Finding(check, DENIED, Level.NOT_LOOKED_AT, str(unseen)))
    return found


def _keys_by_function(secrets: Sequence[Secret]) -> Mapping[str, set[str]]:
    keys: defaultdict[str, set[str]] = defaultdict(set)
    for secret in secrets:
        if secret.key not in AWS_MANAGED and secret.function:
            keys[unqualified(secret.function)].add(secret.key)
    return keys

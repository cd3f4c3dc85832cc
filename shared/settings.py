"""How a function is configured, and how a secret's tags say that it is rotated."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Self

from shared.errors import CapabilityMissing
from shared.hosts import is_host, related_hosts
from shared.model import Description, Step
from shared.options import Options, Tag, Variable
from shared.passwords import PasswordPolicy, Profile

DEFAULT_REFUSED_LOGINS = 5
DEFAULT_LOCK_SECONDS = 20
"""A rotation's setSecret takes well under a second: enough for many deliveries in a row."""


class StrategyName(StrEnum):
    """The strategies, as tags, settings and staging labels name them."""

    SINGLE_USER = "single-user"
    SINGLE_USER_BY_ADMINISTRATOR = "single-user-by-administrator"
    ALTERNATING_USERS = "alternating-users"
    DUAL_PASSWORD = "dual-password"  # noqa: S105 (a strategy's name)


class Promotion(StrEnum):
    """The step in which the new version becomes AWSCURRENT."""

    SET = Step.SET
    FINISH = Step.FINISH


class Rights(StrEnum):
    """Who keeps the rights of two users that take turns equal."""

    MANAGED = "managed"
    """This framework."""
    UNTOUCHED = "untouched"
    """A DBA; only passwords are changed."""


class InUse(StrEnum):
    """What to do when somebody is logged in as the idle user, whose password is to change."""

    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Settings:
    """A function's configuration.

    Attributes:
        strategy: For secrets without a tag of their own; None to choose by the secret.
        promote_in: ``setSecret``, right after the proof, or ``finishSecret``.
        refused_logins: How many refused logins one attempt may make before it gives up.
        lock_seconds: How long to wait for another delivery of the same secret.
        ca_file: PEM path of the authorities for databases outside RDS, None for the built-in ones.
        password_policy: What generated passwords look like.
    """

    strategy: StrategyName | None
    promote_in: Step
    refused_logins: int
    lock_seconds: int
    ca_file: str | None
    password_policy: PasswordPolicy

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], profile: Profile) -> Self:
        """Read the variables.

        Raises:
            BadSetting: One has an impossible value; the message names it.
        """
        options = Options(environment)
        return cls(
            strategy=options.word(Variable.STRATEGY, StrategyName),
            promote_in=Step(options.word(Variable.PROMOTE_IN, Promotion) or Promotion.SET),
            # None at all would forbid to try AWSCURRENT, of which nobody knows beforehand whether
            # it will be refused.
            refused_logins=options.number(Variable.REFUSED_LOGINS, range(1, 100))
            or DEFAULT_REFUSED_LOGINS,
            lock_seconds=options.number(Variable.LOCK_SECONDS, range(1, 61))
            or DEFAULT_LOCK_SECONDS,
            ca_file=options.text(Variable.CA_FILE) or None,
            password_policy=PasswordPolicy.from_environment(environment, profile),
        )


@dataclass(frozen=True, slots=True)
class SecretSettings:
    """How one secret is to be rotated: by its tags, and where they say nothing, by the function.

    Attributes:
        strategy: None to choose by the secret.
        first_user: Of two that take turns; empty to choose by the secret.
        second_user: Likewise.
        adopt: The second user that an administrator may adopt; empty for none.
        rights: Who keeps the rights of the two users equal.
        in_use: What to do when somebody is logged in as the idle user.
        reader_hosts: Hosts that must accept the new login before it is promoted.
        password_policy: The function's, or a tighter one.
        tags: What it was read from.
    """

    strategy: StrategyName | None
    first_user: str
    second_user: str
    adopt: str
    rights: Rights
    in_use: InUse
    reader_hosts: tuple[str, ...]
    password_policy: PasswordPolicy
    tags: Options = field(repr=False)

    @classmethod
    def of(cls, description: Description, settings: Settings) -> Self:
        """Read the tags of a secret.

        Raises:
            BadSetting: One of the project's is misspelt, or has an impossible value; the message
                names it.
        """
        tags = Options.of_tags(description.arn, description.tags)
        return cls(
            strategy=tags.word(Tag.STRATEGY, StrategyName) or settings.strategy,
            first_user=tags.text(Tag.FIRST_USER),
            second_user=tags.text(Tag.SECOND_USER),
            adopt=tags.text(Tag.ADOPT),
            rights=tags.word(Tag.RIGHTS, Rights) or Rights.MANAGED,
            in_use=tags.word(Tag.IN_USE, InUse) or InUse.WARN,
            reader_hosts=_hosts(tags),
            password_policy=settings.password_policy.tightened(tags),
            tags=tags,
        )

    def require_related_readers(self, host: str) -> None:
        """Make sure that the readers belong to ``host``: the new password is sent to them.

        Raises:
            BadSetting: The name of one does not show it.
        """
        for reader in self.reader_hosts:
            if not related_hosts(host, reader):
                raise self.tags.bad_value(
                    Tag.READER_HOSTS,
                    f"hosts of the same account and Region of RDS's as the secret's {host}, or of "
                    f"the same domain, which {reader} is not",
                )


def _hosts(tags: Options) -> tuple[str, ...]:
    hosts = tuple(tags.text(Tag.READER_HOSTS).split())
    if not all(map(is_host, hosts)):
        expected = "names or addresses without ports, with spaces between them (no commas)"
        raise tags.bad_value(Tag.READER_HOSTS, expected)
    return hosts


def capability_missing(
    secret_arn: str,
    strategy: StrategyName,
    possible: Iterable[StrategyName],
    because: str | None = None,
) -> CapabilityMissing:
    """Return the error for a strategy that the engine, or its version, cannot do.

    Args:
        secret_arn: The secret.
        strategy: What was chosen for it.
        possible: What it can do, the best first.
        because: What the server lacks, as a sentence.
    """
    names = list(possible)
    command = ["aws", "secretsmanager", "tag-resource", "--secret-id", secret_arn]
    chosen = [*command, "--tags", f"Key={Tag.STRATEGY},Value={names[0]}"]
    told = f" {because}" if because else ""
    return CapabilityMissing(
        f"The database of {secret_arn} cannot do what the strategy {strategy} needs; "
        f"it can do {', '.join(names)}.{told}",
        hint=f"Choose another one, for example `{shlex.join(chosen)}`, and rotate again.",
    )

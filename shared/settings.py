"""How a function is configured: its environment variables, read once per invocation."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from shared.errors import BadSetting
from shared.model import Step
from shared.passwords import PasswordPolicy, Profile

DEFAULT_REFUSED_LOGINS = 5


class StrategyName(StrEnum):
    """The strategies, as tags, settings and staging labels name them."""

    SINGLE_USER = "single-user"
    SINGLE_USER_BY_ADMINISTRATOR = "single-user-by-administrator"
    ALTERNATING_USERS = "alternating-users"
    DUAL_PASSWORD = "dual-password"  # noqa: S105 (a strategy's name)

    @classmethod
    def read(cls, text: str, source: str) -> "StrategyName":
        """Return the strategy called ``text``.

        Raises:
            BadSetting: There is none; the message names ``source`` and the possible names.
        """
        try:
            return cls(text.strip())
        except ValueError:
            names = ", ".join(cls)
            msg = f"{source} is {text[:40]!r}; it must be one of {names}."
            raise BadSetting(msg) from None


class Tag:
    """The tags of a secret that steer its rotation (tags, since applications read the JSON)."""

    STRATEGY = "rotation:strategy"
    FIRST_USER = "rotation:first-user"
    SECOND_USER = "rotation:second-user"
    RIGHTS = "rotation:rights"
    READER_HOSTS = "rotation:reader-hosts"


@dataclass(frozen=True, slots=True)
class Settings:
    """A function's configuration.

    Attributes:
        strategy: For secrets without a tag of their own; None to choose by the secret.
        promote_in: ``setSecret``, right after the proof, or ``finishSecret``.
        refused_logins: How many refused logins one attempt may make before it gives up.
        lock_seconds: Longest wait for another delivery of the same secret's rotation.
        ca_file: PEM path that takes the place of the built-in CA bundle, None for the bundle.
        password_policy: What generated passwords look like.
    """

    strategy: StrategyName | None
    promote_in: Step
    refused_logins: int
    lock_seconds: float
    ca_file: str | None
    password_policy: PasswordPolicy

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], profile: Profile) -> Self:
        """Read the variables.

        Raises:
            BadSetting: One has an impossible value; the message names it.
        """
        strategy = environment.get("ROTATION_STRATEGY", "").strip()
        return cls(
            strategy=StrategyName.read(strategy, "ROTATION_STRATEGY") if strategy else None,
            promote_in=_promote_in(environment.get("ROTATION_PROMOTE_IN") or Step.SET),
            refused_logins=_count(environment.get("ROTATION_REFUSED_LOGINS", "")),
            lock_seconds=float(environment.get("ROTATION_LOCK_SECONDS") or 20),
            ca_file=environment.get("DATABASE_CA_FILE") or None,
            password_policy=PasswordPolicy.from_environment(environment, profile),
        )


def _promote_in(text: str) -> Step:
    if text in (Step.SET, Step.FINISH):
        return Step(text)
    msg = f"ROTATION_PROMOTE_IN is {text[:20]!r}; it must be {Step.SET} or {Step.FINISH}."
    raise BadSetting(msg)


def _count(text: str) -> int:
    if not text:
        return DEFAULT_REFUSED_LOGINS
    # None at all would forbid to try AWSCURRENT, of which nobody knows whether it will be refused.
    if text.isascii() and text.isdigit() and len(text) <= 2 and int(text):  # noqa: PLR2004
        return int(text)
    msg = f"ROTATION_REFUSED_LOGINS is {text[:20]!r}; it must be a number from 1 to 99."
    raise BadSetting(msg)

"""What is known of an engine before any server is asked: one declaration, in the rotator's folder.

It imports no driver, so that whoever only wants to know (createSecret, the tests, the tools) needs
none. What a particular server cannot do, the type of its session tells (:mod:`shared.session`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from shared.errors import RotationError, StrategyNeedsAdministrator
from shared.settings import StrategyName, capability_missing


class By(StrEnum):
    """Who changes the password."""

    USER = "user"
    ADMINISTRATOR = "administrator"


BY_USER = frozenset({By.USER})
BY_ADMINISTRATOR = frozenset({By.ADMINISTRATOR})
BY_EITHER = BY_USER | BY_ADMINISTRATOR

PREFERENCE: Mapping[bool, Sequence[StrategyName]] = {
    False: (StrategyName.SINGLE_USER, StrategyName.DUAL_PASSWORD),
    True: (
        StrategyName.ALTERNATING_USERS,
        StrategyName.DUAL_PASSWORD,
        StrategyName.SINGLE_USER_BY_ADMINISTRATOR,
        StrategyName.SINGLE_USER,
    ),
}
"""Whether the secret names an administrator, to the strategies, the default first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One engine.

    Attributes:
        name: As servers, events and documents call it, such as ``postgres``.
        title: Its own name, such as ``PostgreSQL``.
        names: Values of a secret's ``engine`` that mean it, in lower case.
        function: The logical id, in the template, of the function that rotates its secrets.
        driver: The package that no other rotator imports.
        default_port: For secrets without ``port``; the same for all engines of a function.
        strategies: What it can do, and by whom: with ``By.USER`` a secret needs no administrator.
    """

    name: str
    title: str
    names: frozenset[str]
    function: str
    driver: str
    default_port: int
    strategies: Mapping[StrategyName, frozenset[By]]

    @property
    def users_rotate(self) -> bool:
        """Whether a user can rotate itself: only then need its own session have the lock."""
        return any(By.USER in by for by in self.strategies.values())

    def strategies_for(self, *, administrator: bool) -> list[StrategyName]:
        """Return what the engine can do for a secret, the default first.

        Args:
            administrator: Whether the secret names one.
        """
        wanted = BY_EITHER if administrator else BY_USER
        return [
            name
            for name in PREFERENCE[administrator]
            if self.strategies.get(name, frozenset()) & wanted
        ]


def choose_strategy(
    engines: Iterable[Engine],
    secret_arn: str,
    wanted: StrategyName | None,
    *,
    administrator: bool,
) -> StrategyName:
    """Return the strategy for a secret: the one that is wanted, else the best that is possible.

    Args:
        engines: Those that the secret may be of: one, unless it does not say.
        secret_arn: The secret.
        wanted: By its tag, or by the function's setting.
        administrator: Whether the secret names one.

    Raises:
        StrategyNeedsAdministrator: The secret names none, and it cannot be done without.
        CapabilityMissing: No such engine can do what is wanted.
    """
    known = list(engines)
    possible = _strategies(known, administrator=administrator)
    if wanted in possible or (wanted is None and possible):
        return wanted or possible[0]
    raise _impossible(secret_arn, wanted, possible, _strategies(known, administrator=True))


def _strategies(engines: Iterable[Engine], *, administrator: bool) -> list[StrategyName]:
    found = [name for each in engines for name in each.strategies_for(administrator=administrator)]
    return list(dict.fromkeys(found))


def _impossible(
    secret_arn: str,
    wanted: StrategyName | None,
    possible: Sequence[StrategyName],
    with_administrator: Sequence[StrategyName],
) -> RotationError:
    if wanted is None:
        msg = f"Every strategy that there is for {secret_arn} needs an administrator."
        return StrategyNeedsAdministrator(msg)
    if wanted in with_administrator:
        msg = f"Strategy {wanted} of {secret_arn} needs an administrator."
        return StrategyNeedsAdministrator(msg)
    return capability_missing(secret_arn, wanted, possible or with_administrator)

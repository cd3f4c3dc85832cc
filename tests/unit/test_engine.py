"""What an engine is declared to do, and what is chosen for a secret."""

from dataclasses import replace

import pytest

from local.engines import ENGINES
from shared.engine import BY_ADMINISTRATOR, BY_EITHER, BY_USER, PREFERENCE, By, choose_strategy
from shared.errors import CapabilityMissing, StrategyNeedsAdministrator
from shared.settings import StrategyName
from tests.conformance.simulated import SIMULATED

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf"
SINGLE, BY_ADMIN, ALTERNATING, DUAL = StrategyName
ONLY_BY_ADMINISTRATOR = replace(
    SIMULATED, strategies={DUAL: BY_ADMINISTRATOR, BY_ADMIN: BY_ADMINISTRATOR}
)


def test_every_strategy_has_its_place_in_the_order() -> None:
    """With an administrator a default may be any; without, one that some engine does by itself."""
    assert set(PREFERENCE[True]) == set(StrategyName)
    assert set(PREFERENCE[False]) < set(StrategyName)


@pytest.mark.parametrize(
    ("strategies", "administrator", "default"),
    [
        ({SINGLE: BY_USER, ALTERNATING: BY_ADMINISTRATOR}, False, SINGLE),
        ({SINGLE: BY_USER, ALTERNATING: BY_ADMINISTRATOR}, True, ALTERNATING),
        ({SINGLE: BY_USER, BY_ADMIN: BY_ADMINISTRATOR}, True, BY_ADMIN),
        ({SINGLE: BY_USER}, True, SINGLE),
        ({DUAL: BY_ADMINISTRATOR, BY_ADMIN: BY_ADMINISTRATOR}, True, DUAL),
        ({DUAL: BY_EITHER, BY_ADMIN: BY_ADMINISTRATOR}, False, DUAL),
    ],
)
def test_default(
    strategies: dict[StrategyName, frozenset[By]], administrator: bool, default: StrategyName
) -> None:
    """The default is one that the engine can do for this secret, the gentlest first."""
    engine = replace(SIMULATED, strategies=strategies)
    chosen = choose_strategy([engine], ARN, None, administrator=administrator)
    assert chosen is default


def test_strategy_that_is_ruled_out() -> None:
    """What no engine of the secret's can do is refused, with what can be done as a command."""
    with pytest.raises(
        CapabilityMissing, match="it can do dual-password, single-user-by"
    ) as caught:
        choose_strategy([ONLY_BY_ADMINISTRATOR], ARN, ALTERNATING, administrator=True)
    assert f"--secret-id {ARN} --tags Key=rotation:strategy,Value=dual" in caught.value.advice


@pytest.mark.parametrize("wanted", [None, DUAL, BY_ADMIN])
def test_strategy_that_needs_an_administrator(wanted: StrategyName | None) -> None:
    """A secret without one is refused where the engine can do nothing by the user itself."""
    with pytest.raises(StrategyNeedsAdministrator, match=ARN):
        choose_strategy([ONLY_BY_ADMINISTRATOR], ARN, wanted, administrator=False)
    chosen = choose_strategy([ONLY_BY_ADMINISTRATOR], ARN, wanted, administrator=True)
    assert chosen is (wanted or DUAL)


@pytest.mark.parametrize(
    ("strategies", "told"),
    [
        ({SINGLE: BY_USER, DUAL: BY_ADMINISTRATOR}, "alternating-users needs; it can do single-us"),
        ({DUAL: BY_ADMINISTRATOR}, "alternating-users needs; it can do dual-password"),
    ],
)
def test_what_can_be_done_instead(strategies: dict[StrategyName, frozenset[By]], told: str) -> None:
    """Without an administrator, that is what needs none; else what needs one."""
    engine = replace(SIMULATED, strategies=strategies)
    with pytest.raises(CapabilityMissing, match=told):
        choose_strategy([engine], ARN, ALTERNATING, administrator=False)


def test_secret_that_does_not_say_its_engine() -> None:
    """Whatever one of the function's engines can do is left to the server."""
    both = [ONLY_BY_ADMINISTRATOR, replace(SIMULATED, strategies={SINGLE: BY_USER})]
    assert choose_strategy(both, ARN, SINGLE, administrator=False) is SINGLE
    assert choose_strategy(both, ARN, DUAL, administrator=True) is DUAL


def test_engines_of_a_function_agree() -> None:
    """One folder is one function with one driver, one port and names that no other has."""
    for folder in {each.folder for each in ENGINES.values()}:
        declared = [each.engine for each in ENGINES.values() if each.folder == folder]
        assert len({(each.function, each.driver, each.default_port) for each in declared}) == 1
        assert tuple(declared) == ENGINES[declared[0].name].rotator().engines
    names = [name for each in ENGINES.values() for name in each.engine.names]
    assert len(names) == len(set(names))
    assert all(each.engine.name in each.engine.names for each in ENGINES.values())

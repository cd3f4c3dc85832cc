"""Whatever an engine is declared to be, tools and tests have what they need for it.

Where something is missing, the message is the one thing to do next.
"""

import re

import pytest

from local import client
from local.bench import measurements
from local.demo import logins
from local.demo.scenes import SCENES
from local.engines import ENGINES
from local.servers import KINDS
from local.template import ROOT
from shared.settings import StrategyName
from tests.kit.contract.world import World
from tests.kit.oracles import ORACLES
from tests.kit.pairs import SUBJECTS
from tests.kit.worlds import WORLDS

QUICK = {each for world in WORLDS for each in world.subjects() if each.name in (world.quick or ())}

every_engine = pytest.mark.parametrize("name", sorted(ENGINES))


def test_every_rotator_is_declared() -> None:
    """A folder below rotators/ has a declaration beside its class."""
    for path in ROOT.glob("rotators/*/rotator.py"):
        folder = path.parent.name
        declared = folder in {each.folder for each in ENGINES.values()}
        assert declared, f"rotators/{folder}/engine.py is missing: declare its ENGINES there"


@every_engine
def test_tools_know_the_engine(name: str) -> None:
    """It has a server, an oracle, clients, a floor to be measured against, and logins to count."""
    needed = {
        "local/servers/archive.py: a recipe for its server": KINDS,
        "tests/kit/oracles/__init__.py: an oracle": ORACLES,
        "local/client.py: a client, of DRIVERS": client.DRIVERS,
        "local/demo/logins.py: the line of a login, of LINES": logins.LINES,
        "local/demo/scenes.py: a scene": {scene.engine for scene in SCENES},
        "tests/kit/worlds: a world": {world.engine().name for world in WORLDS},
        "its world: a quick subject": {each.engine for each in QUICK},
    }
    for what, known in needed.items():
        assert name in known, f"{name} lacks, in {what}"


@pytest.mark.parametrize("world", WORLDS)
def test_every_world_is_asked(world: type[World]) -> None:
    """Each world has a class of contract tests."""
    classes = "".join(path.read_text() for path in ROOT.glob("tests/conformance/test_*.py"))
    assert f"    world = {world.__name__}\n" in classes, f"no class has the world {world.__name__}"


@pytest.mark.parametrize(
    "name",
    [name for name, each in ENGINES.items() if StrategyName.SINGLE_USER in each.engine.strategies],
)
def test_every_function_is_measured(name: str) -> None:
    """One engine of each function that has single-user is measured beside its bare calls."""
    measured = {each.folder for each in measurements.ENGINES}
    folder = ENGINES[name].folder
    assert folder in measured, f"{folder} lacks, in local/bench/bare.py, recording.py: its driver"


@every_engine
def test_the_driver_is_locked(name: str) -> None:
    """The driver of a folder is a group of its own, locked into what its function carries."""
    folder = ENGINES[name].folder
    groups = (ROOT / "pyproject.toml").read_text()
    assert re.search(rf"^{folder} = \[", groups, re.MULTILINE), (
        f"pyproject.toml lacks, in [dependency-groups]: {folder}"
    )
    line = f"--output-file rotators/{folder}/requirements.txt"
    assert line in (ROOT / "local" / "lock.sh").read_text(), f"local/lock.sh lacks: {line}"


def test_every_strategy_of_every_engine_is_proven() -> None:
    """The matrices run over what is declared; the quick run has each engine and each strategy."""
    assert {each.engine for each in SUBJECTS} == set(ENGINES)
    assert {each.strategy for each in QUICK} == {each.strategy for each in SUBJECTS}
    assert set(SUBJECTS) >= QUICK

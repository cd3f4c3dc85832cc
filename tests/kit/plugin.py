"""What the contract tests need of pytest: ``pytest_plugins = ["tests.kit.plugin"]`` in conftest.py.

Fixtures for worlds and lanes; the strategies that a test is for; and at the end of a run what was
not asked of an engine, and why.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.kit.contract.world import World
from tests.kit.lane import Lane
from tests.kit.pairs import Subject

MARKS = (
    "needs(*states): asked only of engines that have these states",
    "strategies(able, always): asked of the strategies that are able to",
    "lacking(reason): not asked, and why",
    "matrix: engines and strategies beyond the quick ones",
)

NOT_ASKED = pytest.StashKey[dict[str, int]]()
"""What was not asked, in words, and of how many tests."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known, and keep every test away from a real AWS account."""
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    config.stash[NOT_ASKED] = {}
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_ENDPOINT_URL"):
        os.environ.pop(name, None)
    os.environ.update(
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
        AWS_DEFAULT_REGION="eu-central-1",
        AWS_EC2_METADATA_DISABLED="true",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Ask a test of each strategy that it is for."""
    mark = metafunc.definition.get_closest_marker("strategies")
    world = getattr(metafunc.cls, "world", None)
    if mark is None or world is None:
        return
    able, always = mark.args
    found: list[Any] = [
        subject
        if always or world.quick is None or subject.name in world.quick
        else pytest.param(subject, marks=pytest.mark.matrix)
        for subject in world.subjects()
        if able(subject)
    ]
    if not found:
        reason = f"No strategy is declared of the kind: {able.__name__.replace('_', ' ')}."
        found = [pytest.param(None, marks=pytest.mark.lacking(reason))]
    metafunc.parametrize(
        "subject", found, ids=lambda subject: subject.name if subject else "no strategy"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what an engine does not have, and keep the reason."""
    left_out = []
    for item in items:
        world = getattr(getattr(item, "cls", None), "world", None)
        if world is None:
            continue
        reasons = _reasons(item, world)
        if reasons:
            left_out.append(item)
        for reason in reasons:
            told = f"{world.__name__}: {reason}"
            config.stash[NOT_ASKED][told] = config.stash[NOT_ASKED].get(told, 0) + 1
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def _reasons(item: pytest.Item, world: type[World]) -> list[str]:
    """Return why a test is not asked of an engine; none, if it is."""
    lacking = world.lacking()
    states = [state for mark in item.iter_markers("needs") for state in mark.args]
    return [
        *(f"{state}: {lacking[state]}" for state in states if state in lacking),
        *(reason for mark in item.iter_markers("lacking") for reason in mark.args),
    ]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send what was not asked from a process of pytest-xdist to the one that tells."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["not asked"] = session.config.stash[NOT_ASKED]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:  # noqa: ANN401 - pytest-xdist's own
    """Take it: every process has collected all tests."""
    node.config.stash[NOT_ASKED] |= getattr(node, "workeroutput", {}).get("not asked", {})


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not asked."""
    not_asked = terminalreporter.config.stash[NOT_ASKED]
    if not_asked:
        terminalreporter.section("contract: not asked")
        for told, tests in sorted(not_asked.items()):
            terminalreporter.line(f"{told} ({tests} tests)")


@pytest.fixture(scope="session")
def world_of() -> Iterator[Callable[[type[World]], World]]:
    """Return the running world of a kind, started when first asked for."""
    with ExitStack() as stack:
        running: dict[type[World], World] = {}

        def world(kind: type[World]) -> World:
            if kind not in running:
                running[kind] = stack.enter_context(kind())
            return running[kind]

        yield world


@pytest.fixture
def on(request: pytest.FixtureRequest, world_of: Callable[[type[World]], World]) -> Iterator[World]:
    """Return the world of the test's class, its oracle open."""
    world = world_of(request.cls.world)
    with world.oracle:
        yield world


@pytest.fixture
def lane_of(on: World, tmp_path: Path) -> Iterator[Callable[[Subject], Lane]]:
    """Return a lane of a subject, on the server that all tests of the world share."""
    with ExitStack() as lanes:
        yield lambda subject: lanes.enter_context(Lane(on.place, subject, tmp_path))

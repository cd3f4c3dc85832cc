"""The examination, on real servers: what it finds in broken worlds, and in healthy ones."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from local.engines import ENGINES
from local.secretsmanager.rotation import Event
from local.servers import Server
from local.template import ROOT
from shared.errors import NotOurUser, ServerReadOnly, TooManyLabels
from shared.examination import SETTINGS, checks_of
from shared.examination.check import Check, Subject
from shared.examination.checks import CHECKS
from shared.examination.code import Examiner
from shared.examination.finding import Examination, Level
from shared.examination.registry import CODES, RETIRED
from shared.rotator import Rotator
from tests.functional.rotations import ROTATORS, Rotating, RotatingSecret
from tests.functional.worlds import WORLDS, Scene, World

Made = Callable[[World], AbstractContextManager[tuple[RotatingSecret, str]]]

ABOVE_NOTE = {Level.FAILURE, Level.WARNING}


@pytest.fixture
def made(
    rotating: Rotating,
    server_of: Callable[[str], Server],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Made:
    """Make a world for as long as it is looked at."""

    @contextmanager
    def make(world: World) -> Iterator[tuple[RotatingSecret, str]]:
        with monkeypatch.context() as patch:
            scene = Scene(server_of(world.server), rotating, patch, tmp_path, server_of)
            with closing(world.make(scene)) as making:
                secret = next(making)
                yield secret, scene.examiner or attached_to(secret)
                assert next(making, None) is None

    return make


def attached_to(secret: RotatingSecret) -> str:
    """Return the ARN of the secret's function."""
    return secret.service.client().describe_secret(SecretId=secret.arn)["RotationLambdaARN"]


def examine(secret: RotatingSecret, function: str = "") -> Examination:
    """Ask a function, the secret's own by default, to examine a secret."""
    answer = secret.service.functions[function or attached_to(secret)]({"Examine": secret.arn})
    assert isinstance(answer, dict)
    return Examination.from_dict(answer)


def told(examination: Examination) -> set[tuple[str, str]]:
    """Return check and code of each finding above a note."""
    return {(each.check, each.code) for each in examination.findings if each.level in ABOVE_NOTE}


def worlds_by_check() -> list[World]:
    """Return one world for each check of each rotator, the quickest first named."""
    chosen: dict[tuple[str, str], World] = {}
    for world in WORLDS:
        if world.check != SETTINGS:  # it is no check, but what comes before all
            chosen.setdefault((ENGINES[engine_of(world)].folder, world.check), world)
    return list(chosen.values())


def engine_of(world: World) -> str:
    """Return the engine that a world's server is of."""
    return world.server.partition("-")[0]


def sampled() -> Iterator[object]:
    """Yield one world for each check of each rotator; the others for `make test-sample`."""
    quick = worlds_by_check()
    for world in WORLDS:
        marks = [] if world in quick else [pytest.mark.matrix]
        yield pytest.param(world, id=str(world), marks=marks)


@pytest.mark.parametrize("world", list(sampled()))
def test_a_broken_world_is_named(world: World, made: Made) -> None:
    """The examination names what is broken; all else is well, a note, or cannot be looked at."""
    with made(world) as (secret, function):
        examination = examine(secret, function)
    found = [each for each in examination.findings if each.code == world.code]
    assert (world.check, world.code) in {(each.check, each.code) for each in found}
    assert told(examination) <= {(world.check, world.code)}, examination.findings
    finding = next(each for each in found if each.check == world.check)
    assert finding.level in {CODES[world.code].level, Level.WARNING}
    assert finding.seen
    assert finding.do
    assert "<ARN>" not in finding.do
    for each in examination.findings:
        blocked = each.level is Level.NOT_LOOKED_AT
        assert not blocked or each.code in {code for _, code in told(examination)}


FOUND_BY = {world.check for world in WORLDS}
UNBREAKABLE = {"product": "it tells the server's name and version"}
"""Checks that find nothing themselves."""


def test_every_code_has_its_world() -> None:
    """What the function may find is found in a world, or the registry promises too much."""
    ours = {name for name, code in CODES.items() if code.examiner is Examiner.FUNCTION}
    assert {world.code for world in WORLDS} == ours - {code.name for code in RETIRED}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_check_has_its_world(engine: str) -> None:
    """There is no check that no world needs; an engine's own are needed by one of its own."""
    folder, names = ENGINES[engine].folder, [each.name for each in checks_of(ROTATORS[engine])]
    assert len(names) == len(set(names))
    assert set(names) - FOUND_BY <= set(UNBREAKABLE)
    broken = {each.check for each in WORLDS if ENGINES[engine_of(each)].folder == folder}
    assert set(names) - {check.name for check in CHECKS} - broken <= set(UNBREAKABLE)


@pytest.mark.matrix
@pytest.mark.parametrize("world", worlds_by_check(), ids=str)
def test_without_its_check_a_world_looks_well(
    world: World, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check is what finds its world's fault: without it, the test of the world would fail."""
    every = checks_of

    def all_but_one(rotator: type[Rotator]) -> tuple[Check, ...]:
        return tuple(
            replace(check, look=lambda _subject: None) if check.name == world.check else check
            for check in every(rotator)
        )

    monkeypatch.setattr("shared.examination.checks_of", all_but_one)
    with made(world) as (secret, function):
        examination = examine(secret, function)
    assert (world.check, world.code) not in {
        (each.check, each.code)
        for each in examination.findings
        if each.level is not Level.NOT_LOOKED_AT
    }


HEALTHY = [
    ("postgres", "single-user", False),
    ("postgres", "single-user-by-administrator", True),
    ("postgres-18", "alternating-users", True),
    ("postgres", "alternating-users", True),
    ("mysql", "single-user", False),
    ("mysql", "alternating-users", True),
    ("mysql", "dual-password", True),
    ("mariadb", "single-user-by-administrator", True),
    ("mariadb", "alternating-users", True),
    ("mariadb", "dual-password", True),
    ("valkey", "dual-password", True),
    ("valkey", "single-user-by-administrator", True),
]


@pytest.mark.parametrize(
    "rotations",
    [pytest.param(0, marks=pytest.mark.matrix), 1, pytest.param(2, marks=pytest.mark.matrix)],
)
@pytest.mark.parametrize(("kind", "strategy", "administrator"), HEALTHY)
def test_a_healthy_world_has_no_finding(
    kind: str,
    strategy: str,
    administrator: bool,
    rotations: int,
    server_of: Callable[[str], Server],
    rotating: Rotating,
) -> None:
    """Where a rotation succeeds, before, between and after, nothing is found; and it says what is.

    Nothing is changed, no login is refused, and nothing is counted.
    """
    server = server_of(kind)
    secret = rotating.secret(server, administrator=administrator, strategy=strategy)
    for _ in range(rotations):
        secret.rotate()
    before, refused = state(secret), server.failed_logins()
    rotating.record.forget()
    examination = examine(secret)
    assert examination.findings == ()
    assert examination.engine == server.engine
    title = ENGINES[server.engine].engine.title
    told = "product" in examination.checks  # an engine without that check has its title only
    assert (examination.server or "").startswith(f"{title} {server.version}" if told else title)
    assert examination.strategy == strategy
    assert state(secret) == before
    assert server.failed_logins() == refused
    assert rotating.record.metrics() == []
    secret.rotate()
    assert secret.logs_in()


def state(secret: RotatingSecret) -> tuple[object, ...]:
    """Return everything that Secrets Manager holds of a secret."""
    return secret.service.labels(secret.arn), [
        (version.version_id, version.value) for version in secret.versions()
    ]


@pytest.mark.parametrize("kind", ["postgres", "mysql", "mariadb"])
def test_no_user_is_refused_twice(
    kind: str, server_of: Callable[[str], Server], rotating: Rotating
) -> None:
    """However wrong both passwords are, each user has one refused login, not enough for a lock."""
    server = server_of(kind)
    administrator = rotating.administrator(server, password="not his passw0rd")
    secret = rotating.secret(server, administrator=administrator, strategy="alternating-users")
    secret.edit(password="not the passw0rd")
    before = server.failed_logins()
    examination = examine(secret)
    assert ("administrators-login", "LoginRefused") in told(examination)
    assert server.failed_logins() - before == 2


@pytest.mark.parametrize("kind", ["postgres", "mysql", "mariadb"])
def test_the_server_refuses_what_the_examination_never_does(
    kind: str,
    server_of: Callable[[str], Server],
    rotating: Rotating,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sessions only read: a check that changes something by mistake is refused."""
    secret = rotating.secret(server_of(kind), administrator=True, strategy="single-user")

    def change(subject: Subject) -> None:
        for session in (subject.session, subject.keeper):
            assert session is not None
            with pytest.raises(ServerReadOnly):
                session.change_password(secret.username, "never set")

    monkeypatch.setattr(
        "shared.examination.checks_of",
        lambda rotator: (*CHECKS, Check("mistake", change, ("administrators-login", "login"))),
    )
    assert examine(secret).findings == ()
    assert secret.logs_in()


def test_attaching_tests_the_configuration(postgres: Server, rotating: Rotating) -> None:
    """What the first night would fail with, RotateImmediately=false says now."""
    secret = rotating.secret(postgres, administrator=True, strategy="alternating-users")
    assert attached_again(secret) is None
    postgres.create_user(f"{secret.username}_clone", "somebody's own")
    error = attached_again(secret)
    assert isinstance(error, NotOurUser)
    assert "To adopt it, a DBA runs" in error.advice


def attached_again(secret: RotatingSecret) -> BaseException | None:
    """Attach the function once more, with RotateImmediately=false; return what it raises."""
    secret.service.client().rotate_secret(
        SecretId=secret.arn, RotationLambdaARN=attached_to(secret), RotateImmediately=False
    )
    secret.service.wait()
    return secret.service.outcomes[-1].error


def test_several_failures_are_told_at_once(postgres: Server, rotating: Rotating) -> None:
    """The error of the first failure names the others."""
    secret = rotating.secret(postgres, administrator=True, strategy="alternating-users")
    postgres.execute(f'ALTER ROLE "{secret.username}" NOLOGIN')
    for number in range(18):
        secret.service.client().update_secret_version_stage(
            SecretId=secret.arn,
            VersionStage=f"own-{number}",
            MoveToVersionId=str(secret.label("AWSCURRENT")),
        )
    error = attached_again(secret)
    assert isinstance(error, TooManyLabels)
    assert "Besides: AccountLocked" in error.message


def test_an_examination_is_answered_whatever_is_asked(postgres: Server, rotating: Rotating) -> None:
    """Nothing that stands for a secret's ARN makes the function raise."""
    function = rotating.service.functions[rotating.function(postgres)]
    for asked in ("", "arn:none", None, 5, ["x"], "\ud800"):
        answer = function(cast("Event", {"Examine": asked}))
        assert isinstance(answer, dict)
        assert Examination.from_dict(answer).failures


@pytest.mark.parametrize("module", ["rotators.postgres.rotator", "rotators.mysql.rotator"])
def test_a_rotation_never_loads_the_examination(module: str) -> None:
    """A function's start and its steps do without the examination's modules."""
    program = (
        f"import sys, {module}, shared.strategies\n"
        "assert not [name for name in sys.modules if 'examination' in name]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)

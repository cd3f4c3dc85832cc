"""What `make build` made is what Lambda can run: whole, small, for its processor; and it rotates.

The functions run as built, in Lambda's Python version, under AWS's own runtime client, with the
memory that the template gives them, against real servers.
"""

import json
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from uuid import uuid4

import pytest

from local.build import ARCHITECTURES, BUILD, build, size
from local.engines import ENGINES, FUNCTIONS
from local.lambda_runtime import FunctionError, Report
from local.lambda_runtime.functions import from_artefact
from local.lambda_runtime.scratch import Scratch, scratch
from local.template import ROOT, Function, functions, load
from tests.deployment.conftest import Reports

pytestmark = pytest.mark.deploy

HERE = "x86_64"
TEMPLATE = load()
ALL = functions(TEMPLATE)
DRIVERS: dict[str, str | None] = {
    **{each.engine.function: each.engine.driver for each in ENGINES.values()},
    "Watch": None,
}
ROTATORS = sorted(set(FUNCTIONS.values()))
LARGEST = {
    **dict.fromkeys(ROTATORS, 3e6),
    "PostgresRotator": 15e6,  # libpq and OpenSSL
    "Watch": 0.1e6,
    "Shared": 5e6,
}
MACHINES = {"x86_64": 62, "arm64": 183}
"""ELF's numbers of processors (EM_X86_64, EM_AARCH64)."""
GLIBC = (2, 34)
"""Of Amazon Linux 2023, on which the python3.13 runtime stands."""


@pytest.fixture(params=ARCHITECTURES)
def architecture(request: pytest.FixtureRequest) -> str:
    """A processor that was built for."""
    assert (BUILD / request.param).is_dir(), "make build makes it"
    return str(request.param)


@pytest.mark.parametrize("part", LARGEST)
def test_a_part_is_small(architecture: str, part: str, reports: Reports) -> None:
    """The unzipped sizes stay under their limits."""
    unzipped = size(BUILD / architecture / part)
    reports.add(f"{architecture} {part}: {unzipped / 1e6:.2f} MB unzipped")
    assert unzipped <= LARGEST[part]


@pytest.mark.parametrize(("name", "driver"), DRIVERS.items())
def test_a_function_carries_its_own_driver_only(
    architecture: str, name: str, driver: str | None
) -> None:
    """No other driver, no SDK, no core (that is the layer's), no tests: its package, its driver."""
    package = ALL[name].folder.split("/")[0]
    carried = {
        re.sub(r"(_binary)?(\.libs|-[0-9].*)?$", "", path.name)
        for path in (BUILD / architecture / name).iterdir()
    }
    # typing_extensions is psycopg's own need, on Python before 3.13 only.
    assert carried == {package, driver} - {None}


def test_the_layer_carries_the_core_and_no_sdk(architecture: str) -> None:
    """boto3 is the runtime's; the layer has the core, its certificates, and Powertools."""
    layer = BUILD / architecture / "Shared" / "python"
    packages = {path.name for path in layer.iterdir() if not re.search(r"-[0-9]", path.name)}
    assert packages == {"shared", "aws_lambda_powertools", "jmespath", "typing_extensions.py"}
    assert (layer / "shared" / "certs" / "bundle.pem").is_file()


def binaries(folder: Path) -> Iterator[Path]:
    """Yield the compiled files of everything that was built into a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def processors(folder: Path) -> set[int]:
    """Return the numbers of the processors that a folder's compiled files are for."""
    return {struct.unpack_from("<H", path.read_bytes(), 18)[0] for path in binaries(folder)}


def test_compiled_code_is_for_the_processor(architecture: str) -> None:
    """Every compiled file is of the processor, and there are some."""
    assert processors(BUILD / architecture) == {MACHINES[architecture]}


@pytest.mark.parametrize("example", ["mysql", "postgres"])
def test_an_example_is_built_whole(architecture: str, example: str) -> None:
    """`sam build` of an example gives what makes its users, and the nested rotation, for both."""
    folder = build(architecture, ROOT / "examples" / f"{example}.yaml")
    assert (folder / "MakeUsers" / "examples" / "users" / "create.py").is_file()
    assert (folder / "Network" / "template.yaml").is_file()
    for part in LARGEST:
        assert (folder / "Rotation" / part).is_dir()
    for part in ("MakeUsers", "Rotation"):
        assert processors(folder / part) == {MACHINES[architecture]}


def test_compiled_code_finds_its_glibc(architecture: str) -> None:
    """No compiled file wants a newer glibc than Lambda's operating system has."""
    for path in binaries(BUILD / architecture):
        wanted = re.findall(rb"GLIBC_([0-9]+)\.([0-9]+)", path.read_bytes())
        assert max((int(major), int(minor)) for major, minor in wanted or [(0, 0)]) <= GLIBC, path


def test_wheels_are_of_the_runtime(architecture: str) -> None:
    """Compiled wheels are for CPython 3.13 on Linux of the processor, and no older glibc's lack."""
    machine = {"arm64": "aarch64"}.get(architecture, architecture)
    tags = [
        tag
        for wheel in (BUILD / architecture).rglob("*.dist-info/WHEEL")
        for tag in re.findall(r"^Tag: (.+)$", wheel.read_text(), re.MULTILINE)
        if not tag.endswith("none-any")
    ]
    assert tags
    for tag in tags:
        assert re.fullmatch(rf"cp313-cp313-manylinux\w+_{machine}", tag), tag


@pytest.mark.parametrize("name", ROTATORS)
def test_a_function_imports_from_its_own_artefact(name: str) -> None:
    """The handler is found, starts, and answers a bad event with its own error."""
    with from_artefact(ALL[name], HERE, {}) as runtime, pytest.raises(FunctionError) as raised:
        runtime.invoke({"Step": "noSuchStep"})
    assert raised.value.type == "BadEvent"


Start = Callable[[str], AbstractContextManager[Scratch]]


def artefact_of(kind: str) -> Function:
    """Return the function that rotates an engine's secrets."""
    return ALL[FUNCTIONS[kind]]


def password(scene: Scratch) -> str:
    """Return the password that applications read now."""
    return str(json.loads(scene.service.value(scene.secret))["password"])


def told(kind: str, what: str, report: Report) -> str:
    """Return one line about an invocation."""
    cold = f"init {report.init_milliseconds:.0f} ms, " if report.init_milliseconds else ""
    memory = f", {report.max_memory_mb:.0f} MB" if report.max_memory_mb else ""
    return (
        f"{kind} {what}: {cold}{report.milliseconds:.0f} ms, "
        f"billed {report.billed_milliseconds} ms{memory}"
    )


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_a_built_function_rotates(kind: str, reports: Reports) -> None:
    """All four steps, twice, cold and warm: the new password logs in, the old one as it should."""
    with scratch(kind, lambda more: from_artefact(artefact_of(kind), HERE, more)) as scene:
        old = password(scene)
        for _ in range(2):
            scene.service.rotate(scene.secret).check()
            new = password(scene)
            assert scene.server.logs_in("app", new)
            assert scene.server.logs_in("app", old) is scene.keeps_former_password
            old = new
        done = scene.runtime.reports
        assert [report.init_milliseconds is None for report in done] == [False] + [True] * 7
        for report, what in zip(done, ("createSecret, cold", "setSecret"), strict=False):
            reports.add(told(kind, what, report))
        assert all((report.max_memory_mb or 0) <= 120 for report in done)


@pytest.mark.parametrize("kind", FUNCTIONS)
@pytest.mark.parametrize("operation", ["PutSecretValue", "UpdateSecretVersionStage"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_built_function_may_be_killed(kind: str, operation: str, moment: str) -> None:
    """Killed around a write, in the middle of a step: the service's retry ends well."""
    with scratch(kind, lambda more: from_artefact(artefact_of(kind), HERE, more)) as scene:
        old, token = password(scene), str(uuid4())

        def kill(seen: str, when: str, _number: int) -> None:
            if (seen, when) == (operation, moment):
                scene.service.on_request = None
                scene.runtime.kill()

        scene.service.on_request = kill
        assert not scene.service.rotate(scene.secret, token).succeeded
        assert scene.service.on_request is None
        scene.service.rotate(scene.secret, token).check()
        assert scene.server.logs_in("app", password(scene))
        assert scene.server.logs_in("app", old) is scene.keeps_former_password


def test_the_built_check_counts_what_its_functions_rotate() -> None:
    """The check runs as built, and finds the secrets that name the stack's functions."""
    arn = "arn:aws:lambda:eu-central-1:123456789012:function:postgres"
    rotator = ALL["PostgresRotator"]
    with (
        scratch("postgres", lambda more: from_artefact(rotator, HERE, more)) as scene,
        scene.service.endpoint() as endpoint,
    ):
        environment = endpoint.environment() | {"WATCHED_FUNCTIONS": arn, "STACK_NAME": "here"}
        with from_artefact(ALL["Watch"], HERE, environment) as watch:
            counted = watch.invoke({})
    assert counted == {"SecretsWatched": 1, "SecretsStuck": 0, "SecretsOverdue": 0}

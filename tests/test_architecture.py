"""The shape of the code: what may import what, how long functions are, what tests say."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.engines import ENGINES

ROOT = Path(__file__).parent.parent
LONGEST_FUNCTION = 70

SHARED = sorted(set((ROOT / "shared").rglob("*.py")) - {ROOT / "shared" / "__init__.py"})
ROTATORS = sorted((ROOT / "rotators").rglob("*.py"))
PRODUCT = [*SHARED, *ROTATORS]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
EVERYTHING = sorted(
    path
    for folder in ("console", "shared", "rotators", "escrow", "local", "probes", "tests")
    for path in (ROOT / folder).rglob("*.py")
)

ORDER = [
    # Each module imports only from those in the lines before its own.
    {"errors", "hosts"},
    {"options"},
    {"model", "deadline", "redaction", "passwords", "tls", "network"},
    {"settings", "store", "lifecycle"},
    {"engine"},
    {"session", "dialling"},
    {"plan", "administrators"},
    {"reading"},
    {"rotation"},
    {"databases", "holding"},
    {"attempts", "strategies.search", "strategies.strategy"},
    {"strategies.single_user", "strategies.alternating_users", "strategies.dual_password"},
    {"strategies"},
    {"examination.finding"},
    {"examination.code"},
    {"examination.posture"},
    {"examination.outside"},
    {"examination.registry", "examination.check"},
    {"examination.checks", "examination.certificate"},
    {"examination"},
    {"rotator"},
    {"runtime"},
]

DRIVERS = {declared.folder: {declared.engine.driver} for declared in ENGINES.values()}
SDK = {"boto3", "botocore", "aws_lambda_powertools"}
USES_SDK = {"store": {"botocore"}, "administrators": {"botocore"}, "runtime": SDK}


def imports(path: Path) -> set[str]:
    """Return what a module imports, those for type checking only left out."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = [ast.Pass()]
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            found.add(node.module or "")
    return found


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield every function of a module."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def name(path: Path) -> str:
    """Return a file's name in a test's id."""
    return str(path.relative_to(ROOT))


def module(path: Path) -> str:
    """Return a module's name within the core; a package's is that of its folder."""
    parts = path.relative_to(ROOT / "shared").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def test_every_shared_module_has_its_place() -> None:
    """No module of the core is missing from the order, and none in it is gone."""
    assert {module(path) for path in SHARED} == set().union(*ORDER)


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_core_imports_point_one_way(path: Path) -> None:
    """A module of the core imports only modules below its own line."""
    line = next(index for index, modules in enumerate(ORDER) if module(path) in modules)
    below: set[str] = set().union(*ORDER[:line])
    own = {found.removeprefix("shared.") for found in imports(path) if found.startswith("shared")}
    assert own <= below


@pytest.mark.parametrize("path", SHARED, ids=name)
def test_core_knows_no_engine(path: Path) -> None:
    """The core imports no driver, no rotator and nothing that stands in for AWS."""
    packages = {found.partition(".")[0] for found in imports(path)}
    assert not packages & {
        "rotators",
        "local",
        "tests",
        "examples",
        "escrow",
        *set().union(*DRIVERS.values()),
    }
    assert packages & SDK <= USES_SDK.get(path.stem, set())


@pytest.mark.parametrize("path", ROTATORS, ids=name)
def test_rotators_know_the_core_and_their_driver(path: Path) -> None:
    """A rotator imports its own driver and the core, no other rotator and no SDK."""
    engine = path.relative_to(ROOT / "rotators").parts[0]
    found = imports(path)
    packages = {each.partition(".")[0] for each in found}
    foreign = set().union(*(drivers for other, drivers in DRIVERS.items() if other != engine))
    assert not packages & {"local", "tests", "examples", *SDK, *foreign}
    for each in found:
        if each.startswith("rotators"):
            assert each.startswith(f"rotators.{engine}")


def test_modules_import_at_their_top() -> None:
    """What a function carries is imported when it starts; a driver when it logs in, not later.

    But for the examination, which no rotation needs.
    """
    late = {
        (name(path), function.name)
        for path in PRODUCT
        for function in functions(path)
        if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function))
    }
    folders = {path.parent.name for path in ROTATORS} - {"rotators"}
    examining = {("shared/rotator.py", "_probe"), ("shared/runtime.py", "examine")}
    assert late == {(f"rotators/{each}/rotator.py", "connect") for each in folders} | examining


def test_functions_share_no_package() -> None:
    """`rotators` is a namespace: each function carries its own part of it only."""
    assert not (ROOT / "rotators" / "__init__.py").exists()


@pytest.mark.parametrize("path", EVERYTHING, ids=name)
def test_functions_are_short(path: Path) -> None:
    """No function is longer than a screen."""
    for function in functions(path):
        assert function.end_lineno is not None
        assert function.end_lineno - function.lineno < LONGEST_FUNCTION, function.name


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_every_test_states_its_claim(path: Path) -> None:
    """Each test has a docstring whose first line is one sentence."""
    for function in functions(path):
        if function.name.startswith("test_"):
            claim = (ast.get_docstring(function) or "").partition("\n")[0]
            assert claim.endswith("."), f"{function.name}: {claim!r}"
            assert len(claim.split()) > 3, function.name


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_every_test_has_a_name_of_its_own(path: Path) -> None:
    """No test hides another one of the same name."""
    tests = [each.name for each in functions(path) if each.name.startswith("test_")]
    assert len(tests) == len(set(tests))


@pytest.mark.parametrize("path", EVERYTHING, ids=name)
def test_nothing_is_skipped_or_left_over(path: Path) -> None:
    """No test skips in silence, and no note to oneself is left."""
    if path == Path(__file__):
        return
    text = path.read_text()
    for word in ("TO" + "DO", "FIX" + "ME", "XX" + "X "):
        assert word not in text
    if path in TESTS:
        for call in ("pytest.skip(", "importorskip", "mark.skip(", "mark.skipif("):
            assert call not in text

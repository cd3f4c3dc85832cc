"""The command installs as `uv tool install` and `pipx` do, and imports what it may."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local.engines import ENGINES
from local.template import ROOT
from tests.test_architecture import imports

MODULES = sorted((ROOT / "console").glob("*.py"))
DRIVERS = {each.engine.driver for each in ENGINES.values()}
LOOKS_FROM_HERE = "here"
"""The one module that may load a rotator, by its name; and says how to install what is missing."""


@pytest.fixture(scope="module", name="wheel")
def wheel_of(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an installer makes of the tree."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel"]
    subprocess.run(
        [*command, "--directory", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_it_starts_from_its_wheel(wheel: Path, tmp_path: Path) -> None:
    """Unpacked elsewhere, it says what to do first, and loads no driver."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
        (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "rotation = console.app:main" in archive.read(entry).decode()
    code = (
        "import sys; from console.app import run; status = run([]); "
        "import console; print(console.__file__); "
        f"sys.exit(status or sorted({DRIVERS!r} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "rotation status --all" in done.stdout
    assert str(tmp_path) in done.stdout


def test_the_wheel_has_the_core_and_the_declarations(wheel: Path) -> None:
    """What the command takes from elsewhere is in it: errors, registry, engines, authorities."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {
        *("console/app.py", "shared/errors.py", "shared/examination/registry.py"),
        *("rotators/postgres/engine.py", "shared/certs/bundle.pem"),
    } <= names
    assert not [name for name in names if name.startswith(("local/", "tests/", "watch/"))]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_command_knows_the_core_alone(path: Path) -> None:
    """It imports no rotator, no driver, and nothing that stands in for AWS."""
    found = imports(path)
    packages = {each.partition(".")[0] for each in found}
    assert not packages & {"local", "tests", "watch", "examples", *DRIVERS}
    assert not {each for each in found if each.startswith("rotators.")}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_value_is_read_but_from_here(path: Path) -> None:
    """GetSecretValue is asked for by the core's store alone, and that by one module."""
    text = path.read_text()
    assert "get_secret_value" not in text
    assert ("SecretStore" in text) is (path.stem == LOOKS_FROM_HERE)

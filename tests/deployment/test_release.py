"""What `make release` makes of what was built."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local.build import ARCHITECTURES, BUILD, build
from local.release import CODE, archive, parts, release
from local.template import load

pytestmark = pytest.mark.deploy

PARTS = parts(load())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release."""
    return release(folder=tmp_path_factory.mktemp("release") / "one")


def contents(folder: Path) -> dict[str, bytes]:
    """Return a folder's files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_second_release_has_the_same_bytes(folder: Path) -> None:
    """Every file of it, the bill of materials included."""
    assert contents(release(folder=folder.with_name("two"))) == contents(folder)


def test_a_second_build_has_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    """Built anew, elsewhere, without what SAM has kept: the archives are the same."""
    built = build("x86_64", into=tmp_path)
    for name in PARTS:
        archive(built / name, tmp_path / f"{name}.zip")
        (released,) = folder.glob(f"*/x86_64/{name}.zip")
        assert (tmp_path / f"{name}.zip").read_bytes() == released.read_bytes(), name


def test_an_archive_has_what_was_built(folder: Path) -> None:
    """Each function's own package and each library's licence data are in it."""
    for architecture in ARCHITECTURES:
        for name in PARTS:
            (released,) = folder.glob(f"*/{architecture}/{name}.zip")
            with zipfile.ZipFile(released) as written:
                names = set(written.namelist())
            modules = {
                path.relative_to(BUILD / architecture / name).as_posix()
                for path in (BUILD / architecture / name).rglob("*.py")
            }
            assert modules
            assert modules <= names


def test_checksums_are_of_every_other_file(folder: Path) -> None:
    """`sha256sum --check` agrees, and no file is missing from it."""
    told = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout
    assert len(told.stdout.splitlines()) == len(contents(folder)) - 1


def test_the_template_names_archives_that_there_are(folder: Path) -> None:
    """Each function's and the layer's key is a path in the release, for both processors."""
    resources = json.loads((folder / "template.json").read_text())["Resources"].values()
    places = [
        one["Properties"].get("Code") or one["Properties"]["Content"]
        for one in resources
        if one["Type"].replace("Lambda", "Serverless") in CODE
    ]
    assert len(places) == len(PARTS)
    for place in places:
        for architecture in ARCHITECTURES:
            key = place["S3Key"]["Fn::Sub"].replace("${CodePrefix}", "")
            assert (folder / key.replace("${Architecture}", architecture)).is_file()


def test_the_linter_finds_nothing(folder: Path) -> None:
    """The template is whole CloudFormation."""
    linter = Path(sys.executable).parent / "cfn-lint"
    told = subprocess.run(
        [linter, folder / "template.json"], capture_output=True, text=True, check=False
    )
    assert (told.stdout, told.returncode) == ("", 0)


def test_the_bill_of_materials_is_of_what_is_carried(folder: Path) -> None:
    """CycloneDX, of each package in the archives, with the lock's version and hashes."""
    bill = json.loads((folder / "bom.json").read_text())
    assert bill["bomFormat"] == "CycloneDX"
    carried = {
        path.name.removesuffix(".dist-info").replace("_", "-").lower()
        for path in (BUILD / "x86_64").rglob("*.dist-info")
    }
    told = {f"{one['name']}-{one['version']}".lower() for one in bill["components"]}
    assert told == carried
    assert all(one["externalReferences"][0]["hashes"] for one in bill["components"])

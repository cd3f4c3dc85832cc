"""`make new-rotator` begins a rotator of which the template's tests find nothing missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.new_rotator import New, add, main
from local.template import ROOT

NEW = New("example", "Example", 1234)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of all that the repository has."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def outcome_of(copy: Path, *arguments: str) -> tuple[int, str]:
    """Run tests in the copy; return the exit status, and what they say."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=copy,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_new_rotator_is_deployed_like_the_others(copy: Path) -> None:
    """The template and the events have all that it needs; only people's pages do not name it."""
    add(NEW, copy)
    status, said = outcome_of(copy, "tests/test_template.py")
    failed = [line for line in said.splitlines() if line.startswith("FAILED")]
    assert [line.partition("[")[2].partition("]")[0] for line in failed] == ["example"], said
    assert "README.md does not name Example: add it to the table of engines" in said
    assert status == 1


def test_a_rotator_is_begun_once(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Begun a second time, or with a name that no folder has, nothing is changed and it is said."""
    add(NEW, copy)
    before = (copy / "template.yaml").read_text()
    with pytest.raises(FileExistsError):
        add(NEW, copy)
    assert (copy / "template.yaml").read_text() == before
    assert main(["valkey", "", "6379"]) == 2
    assert main(["Not-a-name", "", "1"]) == 2
    told = capsys.readouterr().out
    assert "rotators/valkey/ is there already" in told
    assert "NAME is small letters and digits" in told

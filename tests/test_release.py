"""A release is of one commit, and the same commit gives the same bytes."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from local.release import PARAMETERS, NotReleased, archive, digest, parts, plain, require_ready
from local.template import load

TRUE, FALSE = ((sys.executable, "-c", f"raise SystemExit({status})") for status in (0, 1))


def write(folder: Path, names: list[str], time: float) -> Path:
    """Write files in an order, at a time."""
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
        os.utime(file, (time, time))
    return folder


def test_the_same_files_are_the_same_archive(tmp_path: Path) -> None:
    """Order and time of writing, and who may read a file, make no difference."""
    names = ["b.py", "a/c.py", "a/b.py"]
    first = write(tmp_path / "first", names, 1_000_000_000)
    second = write(tmp_path / "second", names[::-1], 1_700_000_000)
    (second / "b.py").chmod(0o600)
    for folder in (first, second):
        archive(folder, tmp_path / f"{folder.name}.zip")
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "first.zip") as written:
        assert written.namelist() == ["a/b.py", "a/c.py", "b.py"]
        assert written.read("a/c.py") == b"a/c.py"
        assert {one.external_attr >> 16 & 0o777 for one in written.infolist()} == {0o644}


def test_an_installers_own_files_are_left_out(tmp_path: Path) -> None:
    """Compiled caches and records of an installation do not make two builds differ."""
    names = ["x.dist-info/METADATA", "x.dist-info/RECORD", "x/__pycache__/x.pyc", "x/x.py"]
    archive(write(tmp_path / "built", names, 1_000_000_000), tmp_path / "built.zip")
    with zipfile.ZipFile(tmp_path / "built.zip") as written:
        assert written.namelist() == ["x/x.py", "x.dist-info/METADATA"]


def test_a_digest_is_of_the_contents(tmp_path: Path) -> None:
    """Another byte in any file is another digest; it has twelve digits."""
    file = write(tmp_path, ["one", "two"], 0) / "two"
    paths = [tmp_path / "one", file]
    before = digest(paths)
    file.write_text("other")
    assert before != digest(paths)
    assert len(before) == 12


def test_other_code_is_another_place_and_another_layer() -> None:
    """A stack that is updated sees new code in each function and in the layer."""
    one, other = (plain(load(), code)["Resources"] for code in ("a" * 12, "b" * 12))
    functions = [name for name in one if one[name]["Type"] == "AWS::Lambda::Function"]
    assert len(functions) == len(parts(load())) - 1
    for name in functions:
        assert one[name]["Properties"]["Code"] != other[name]["Properties"]["Code"]
    assert one.keys() != other.keys()


def test_the_plain_template_needs_no_transformation() -> None:
    """No Transform, no type of SAM's, no path on this machine; the bucket is all one must give."""
    made = plain(load(), "a" * 12)
    assert "Transform" not in made
    text = json.dumps(made)
    assert "AWS::Serverless" not in text
    assert "s3://" not in text
    added = made["Parameters"].keys() - load()["Parameters"].keys()
    assert added == PARAMETERS.keys()
    assert [key for key, one in made["Parameters"].items() if "Default" not in one] == [
        "CodeBucket"
    ]


class TestReady:
    """What must hold before a commit is released."""

    @pytest.fixture
    def repository(self, tmp_path: Path) -> Path:
        """A repository with one file that is committed."""
        write(tmp_path, ["file"], 0)
        for command in (["init"], ["add", "."], ["commit", "--message", "x", "--no-gpg-sign"]):
            subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
        return tmp_path

    def test_a_commit_with_fresh_promises_is(self, repository: Path) -> None:
        """Nothing differs and nothing is stale."""
        require_ready({"make it": TRUE}, repository)

    def test_a_changed_file_is_not(self, repository: Path) -> None:
        """The file is named."""
        (repository / "file").write_text("other")
        with pytest.raises(NotReleased, match="file"):
            require_ready({"make it": TRUE}, repository)

    def test_a_stale_promise_is_not(self, repository: Path) -> None:
        """The command that measures anew is told."""
        with pytest.raises(NotReleased, match="make that"):
            require_ready({"make it": TRUE, "make that": FALSE}, repository)

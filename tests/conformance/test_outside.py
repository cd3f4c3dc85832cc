"""The kit is used from outside this repository: one class, one line of conftest.py."""

import os
import re
import subprocess
import sys
from pathlib import Path

from shared.rotator import Rotator
from shared.session import OwnTwoPasswords, SecondUser, Session
from tests.kit.contract import CONTRACT
from tests.kit.function import ROOT
from tests.pages.reference import OF_THE_CORE

CONFTEST = 'pytest_plugins = ["tests.kit.plugin"]\n'
ROTATOR = """
from rotators.valkey.rotator import ValkeyRotator
from shared.runtime import handler_for


class ElsewhereRotator(ValkeyRotator):
    \"\"\"A rotator of somebody else's.\"\"\"


handler = handler_for(ElsewhereRotator)
"""
TESTS = """
from elsewhere import ElsewhereRotator
from tests.kit.contract import CONTRACT, Contract
from tests.kit.worlds.valkey import ValkeyWorld


class ElsewhereWorld(ValkeyWorld):
    rotator = ElsewhereRotator
    quick = None


class TestElsewhere(Contract):
    world = ElsewhereWorld


def test_version():
    assert CONTRACT == 1
"""
CHOSEN = "version or test_password_is_changed or closed or killed_function or healthy_rotations"


def test_contract_of_a_rotator_elsewhere(tmp_path: Path) -> None:
    """A rotator in another folder is asked by one subclass, its function started there as well."""
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "elsewhere.py").write_text(ROTATOR)
    (tmp_path / "test_elsewhere.py").write_text(TESTS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHOSEN],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr
    assert "7 passed" in done.stdout
    assert "ElsewhereWorld: an expired user: Valkey's users have no end." in done.stdout


def test_what_the_number_stands_for() -> None:
    """The changelog names, under today's number, all that rotators are promised and asked for."""
    text = (ROOT / "tests" / "kit" / "CHANGELOG.md").read_text()
    newest = text[text.index("\n## ") :]
    assert newest.startswith(f"\n## {CONTRACT}\n")
    named = set(re.findall(r"`(\w+)`", newest))
    for promised in (Rotator, Session, SecondUser, OwnTwoPasswords):
        public = {each for each in dir(promised) if not each.startswith("_")}
        public |= {each for each in promised.__annotations__ if not each.startswith("_")}
        assert public - set(OF_THE_CORE) <= named, promised

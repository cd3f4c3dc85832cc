"""The kit is used from outside this repository: one class, one line of conftest.py."""

import os
import subprocess
import sys
from pathlib import Path

from tests.kit.function import ROOT

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

"""The kit finds out what is broken: each broken rotator fails the test that is named for it."""

import subprocess
import sys
from collections import Counter

import pytest

from shared.rotator import Rotator
from shared.session import OwnTwoPasswords, SecondUser, Session, TwoPasswords
from tests.kit.broken.classes import DEFECTS
from tests.kit.function import ROOT

PROMISES = (Rotator, Session, SecondUser, TwoPasswords, OwnTwoPasswords)


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_every_broken_rotator_is_found_out() -> None:
    """The score is all of them."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.kit.broken"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert f"{len(DEFECTS)} of {len(DEFECTS)} broken rotators" in done.stdout


def test_every_promise_is_broken_once() -> None:
    """There is a broken rotator for each method that has a promise, and at least thirty in all."""
    broken = {defect.promise for defect in DEFECTS}
    steps = {"run", "default_port", "engines_of"}  # the base's own; nothing of them is a subclass's
    for kind in PROMISES:
        for name, member in vars(kind).items():
            function = getattr(member, "__func__", member)
            if name.startswith("_") or not callable(function) or name in steps:
                continue
            assert getattr(kind, name) in broken, f"no broken rotator for {kind.__name__}.{name}"
    assert len(DEFECTS) >= 30


def test_broken_rotators_have_names_of_their_own() -> None:
    """No broken rotator hides another one."""
    assert [name for name, n in Counter(each.name for each in DEFECTS).items() if n > 1] == []

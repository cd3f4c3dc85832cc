"""`rotation escrow` is a part of the command; what it does, tests/functional shows."""

import subprocess
import sys

from local.template import ROOT

WITHOUT_CRYPTOGRAPHY = """
import sys
sys.modules["cryptography"] = None
from console.app import run
sys.exit(run(sys.argv[1:]))
"""


def run(*arguments: str, program: str = "from console.app import main; main()") -> tuple[int, str]:
    """Return the exit status of the command, and all that it says."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_escrow_is_a_part_of_the_command() -> None:
    """Its three commands are offered below the one."""
    status, said = run("escrow", "--help")
    assert status == 0
    assert all(name in said for name in ("fetch", "open", "drill"))


def test_options_of_every_command_hold_for_escrow() -> None:
    """A profile that does not exist is not passed over."""
    status, said = run("escrow", "fetch", "s", "--bucket", "b", "--to", "f", "--profile", "nobody")
    assert status != 0
    assert "nobody" in said


def test_escrow_without_its_extra_says_how_to_have_it() -> None:
    """Without its cryptography the rest of the command works, and this part tells what to do."""
    assert run("--version", program=WITHOUT_CRYPTOGRAPHY)[0] == 0
    status, said = run("escrow", "open", "file", "--key", "k", program=WITHOUT_CRYPTOGRAPHY)
    assert status == 3
    assert "uv tool install '.[escrow]'" in said

"""Finds the Python that Lambda runs, so that what is built and started here is what runs there."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

RUNTIME = "3.13"
"""The functions' runtime is python3.13; a test holds the template to it."""


class InterpreterMissing(Exception):
    """No usable interpreter of that version is installed."""


@cache
def find_interpreter(version: str = RUNTIME) -> Path:
    """Return the real executable of a Python version, one that has pip.

    A version manager's shim may stand for a version that is not selected, so every candidate is
    started, and the answer is where it really is: SAM asks for an interpreter first on ``PATH``.

    Args:
        version: Such as ``"3.13"``.

    Raises:
        InterpreterMissing: There is none; the message says what to install.
    """
    for candidate in _candidates(version):
        try:
            told = subprocess.run(
                [candidate, "-c", "import pip, sys; print(sys.version, sys.executable, sep='\\n')"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.splitlines()
        except (OSError, subprocess.CalledProcessError):
            continue
        if told and told[0].startswith(f"{version}."):
            return Path(told[-1]).resolve()
    msg = (
        f"Python {version} with pip is needed to build and run the functions as Lambda does. "
        f"Install it (pyenv install {version}, uv python install {version}, or your system's "
        f"python{version}), or name it: PYTHON_{version.replace('.', '')}=/path/to/python{version}."
    )
    raise InterpreterMissing(msg)


def _candidates(version: str) -> Iterator[str]:
    """Yield commands and paths that may be the version, the explicitly named one first."""
    named = os.environ.get(f"PYTHON_{version.replace('.', '')}")
    if named:
        yield named
    yield f"python{version}"
    home = Path.home()
    for folder, pattern in (
        (Path(os.environ.get("PYENV_ROOT", home / ".pyenv")) / "versions", f"{version}.*"),
        (home / ".local/share/uv/python", f"cpython-{version}.*"),
        (home / ".asdf/installs/python", f"{version}.*"),
    ):
        newest_first = sorted(folder.glob(pattern), key=_numbers, reverse=True)
        yield from (str(found / "bin" / f"python{version}") for found in newest_first)


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


if __name__ == "__main__":
    try:
        print(find_interpreter())
    except InterpreterMissing as error:
        sys.exit(str(error))

"""Builds the layer and the functions with SAM for both processors, without containers.

python -m local.build            # build/arm64 and build/x86_64
python -m local.build x86_64     # one of them
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from local.interpreter import find_interpreter
from local.template import ROOT, TEMPLATE

SAM = ROOT / ".venv-sam" / "bin" / "sam"
BUILD = ROOT / "build"
ARCHITECTURES = ("arm64", "x86_64")


def build(architecture: str, template: Path = TEMPLATE, into: Path = BUILD) -> Path:
    """Build for one processor and return the folder, which has one folder per function and layer.

    Args:
        architecture: ``arm64`` or ``x86_64``.
        template: What to build; a nested stack gets a folder of its own.
        into: Where the folder is made, and what SAM keeps so as not to build again.

    Raises:
        InterpreterMissing: The functions' own Python version is not installed.
        subprocess.CalledProcessError: SAM failed; it has said why.
    """
    folder = into / architecture
    if template != TEMPLATE:
        folder = into / template.stem / architecture
    interpreter = find_interpreter()
    subprocess.run(
        [
            *(SAM, "build", "--template", template),
            *("--build-dir", folder, "--cache-dir", into / "cache"),
            *("--parameter-overrides", f"Architecture={architecture}"),
        ],
        cwd=ROOT,
        # SAM builds with the interpreter that it finds first.
        env=os.environ | {"PATH": f"{interpreter.parent}:{os.environ['PATH']}"},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=None if os.environ.get("VERBOSE") else subprocess.PIPE,
    )
    return folder


def size(folder: Path) -> int:
    """Return how many bytes the files of a folder have, as Lambda counts them unzipped."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(architectures: tuple[str, ...]) -> int:
    """Build, and print what came of it; return the exit status."""
    for architecture in architectures:
        started = time.monotonic()
        try:
            folder = build(architecture)
        except subprocess.CalledProcessError as error:
            sys.stderr.write((error.stderr or b"").decode())
            return error.returncode
        parts = ", ".join(
            f"{part.name} {size(part) / 1e6:.1f} MB"
            for part in sorted(folder.iterdir())
            if part.is_dir()
        )
        print(f"{architecture}: {parts} ({time.monotonic() - started:.0f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(sys.argv[1:]) or ARCHITECTURES))

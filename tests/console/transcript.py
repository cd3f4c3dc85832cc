"""The README's transcript of the command, made at the stage of `make stage`.

``python -m tests.console.transcript`` writes it; a test compares it with a run of its own, times,
versions and identifiers apart.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType

from local.secretsmanager import SecretsManagerService
from local.servers import start
from local.stage import Stage, write_ca_file
from local.template import ROOT
from tests.pages.document import Part

README = ROOT / "README.md"
MARK = "transcript"

COMMANDS: Sequence[Sequence[str]] = (
    ("doctor", "new/postgres", "--here"),
    ("enable", "new/postgres", "--yes"),
    ("rotate", "new/postgres"),
    ("status", "new/postgres", "app/postgres", "broken/hangs"),
    ("recover", "broken/hangs", "--yes"),
)
"""A secret is looked at, attached, rotated; another one, whose rotation hangs, is mended."""

VARYING = MappingProxyType(
    {
        r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}": "<version>",
        r"\b\d+ ms\b": "<time>",
        r"\b\d+\.\d s\b": "<time>",
        r"\b\d+ (?:s|min) ago\b": "<time> ago",
        r"\bin \d+ (?:d|h|min)\b": "in <time>",
        r"PostgreSQL [\d.]+(?: \([^)]*\))?": "PostgreSQL <version>",
        r" {2,}": "  ",
    }
)
"""What is another in each run, and what is compared in its place."""


def compared(text: str) -> str:
    """Return a transcript with what varies taken out."""
    for pattern, instead in VARYING.items():
        text = re.sub(pattern, instead, text)
    return text


@contextmanager
def staged(kind: str = "postgres") -> Iterator[tuple[Stage, dict[str, str]]]:
    """Set the stage with one server, and no secret; yield it, and what leads the command there."""
    service = SecretsManagerService(retries=1)
    with ExitStack() as stack:
        endpoint = stack.enter_context(service.endpoint())
        servers = {kind: stack.enter_context(start(kind))}
        ca_file = write_ca_file(endpoint.port, servers)
        stack.callback(ca_file.unlink)
        variables = endpoint.environment() | {"DATABASE_CA_FILE": str(ca_file)}
        stage = Stage(service, servers)
        stage.start_functions(stack, variables)
        yield stage, variables | {"AWS_ENDPOINT_URL": endpoint.url}


def carry_out(variables: dict[str, str]) -> str:
    """Carry the commands out; return what a person would see."""
    told = []
    for command in COMMANDS:
        done = rotation(variables, *command)
        told += [f"$ rotation {' '.join(command)}", *(done.stdout + done.stderr).splitlines()]
    return "\n".join(["```console", *told, "```"])


def rotation(variables: dict[str, str], *command: str) -> "subprocess.CompletedProcess[str]":
    """Carry a command line out, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "console", *command],
        cwd=ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def part(page: Path = README) -> Part:
    """Return the place in the README, and what makes its text."""

    def make() -> str:
        with staged() as (stage, variables):
            stage.set_up()
            return carry_out(variables)

    return Part(page, MARK, make)


if __name__ == "__main__":
    part().write()

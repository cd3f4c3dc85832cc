"""`rotation escrow`: two people open a record, and a drill logs in to a real database."""

import json
import os
import pty
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from typer.testing import CliRunner, Result

from escrow.command import app
from local.secretsmanager import SecretsManagerService
from local.servers import Server, start
from local.template import ROOT
from tests.escrow_world import BUCKET, SECRET, TEXT, Escrow, _session, escrow_world

RUNNER = CliRunner()


@pytest.fixture
def service() -> Iterator[SecretsManagerService]:
    """Secrets Manager, which is only there to be left alone."""
    with SecretsManagerService() as service:
        yield service


@pytest.fixture
def escrow(service: SecretsManagerService) -> Iterator[Escrow]:
    """An escrow, empty."""
    with escrow_world() as world, patch.object(boto3, "DEFAULT_SESSION", _session()):
        yield world


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A real database."""
    with start("postgres") as running:
        yield running


def run(*words: object, status: int = 0) -> Result:
    """Type a command, and look at how it ends."""
    result = RUNNER.invoke(app, [str(word) for word in words])
    assert result.exit_code == status, (result.stdout, result.stderr, result.exception)
    return result


def opened(path: Path, *words: object, status: int = 0) -> str:
    """Open a record, as the other, and return what the descriptor was given."""
    reading, writing = os.pipe()
    told = run("open", path, "--fd", writing, *words, status=status)
    os.close(writing)
    assert told.stdout == ""
    with os.fdopen(reading) as given:
        return given.read()


def fetched(tmp_path: Path, *more: str) -> Path:
    """Fetch the newest record, as one of the two people."""
    path = tmp_path / f"record-{len([*tmp_path.iterdir()])}.json"
    run("fetch", SECRET, "--bucket", BUCKET, "--to", path, *more)
    return path


def test_one_fetches_and_another_opens(escrow: Escrow, tmp_path: Path) -> None:
    """What was fetched is sealed, and readable by nobody else; by either key it is opened."""
    escrow.seal()
    escrow.kms.uses.clear()
    path = fetched(tmp_path)
    assert escrow.kms.uses == [], "no key was needed"
    assert b"geheim" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for key in (escrow.first, escrow.second):
        assert opened(path, "--secret", SECRET, "--key", key) == TEXT


def test_a_file_is_not_written_over(escrow: Escrow, tmp_path: Path) -> None:
    """A record that is there already may be the last one."""
    escrow.seal()
    path = tmp_path / "kept.json"
    path.write_text("kept")
    told = run("fetch", SECRET, "--bucket", BUCKET, "--to", path, status=3)
    assert "File exists" in told.stderr
    assert path.read_text() == "kept"


def test_the_one_before(escrow: Escrow, tmp_path: Path) -> None:
    """Where the newest record cannot be used, the one before it is fetched by its time."""
    escrow.seal('{"number": 1}')
    last = escrow.seal()
    path = fetched(tmp_path)
    document = json.loads(path.read_bytes())
    assert document["version"] == last
    before = fetched(tmp_path, "--before", document["sealed"])
    assert opened(before, "--secret", SECRET, "--key", escrow.second) == '{"number": 1}'


def test_a_credential_never_goes_to_a_terminal(escrow: Escrow, tmp_path: Path) -> None:
    """A descriptor that is a terminal is refused before any key is asked."""
    escrow.seal()
    path = fetched(tmp_path)
    master, terminal = pty.openpty()
    escrow.kms.uses.clear()
    opening = ("open", path, "--secret", SECRET, "--key", escrow.second, "--fd", terminal)
    told = run(*opening, status=3)
    assert "is a terminal" in told.stderr
    assert escrow.kms.uses == []
    for descriptor in (master, terminal):
        os.close(descriptor)


def test_standard_output_gets_it_where_it_is_a_pipe(escrow: Escrow, tmp_path: Path) -> None:
    """`rotation escrow open … | program`: without --fd it is standard output, and only that."""
    escrow.seal()
    path, key = fetched(tmp_path), tmp_path / "data-key"
    wrapped = json.loads(path.read_bytes())["second"]["wrapped"]
    key.write_bytes(escrow.kms.unwrap(escrow.second, wrapped))
    with key.open("rb") as given:
        told = subprocess.run(
            [
                *(sys.executable, "-m", "escrow.command", "open", path),
                *("--secret", SECRET, "--data-key-fd", "0"),
            ],
            stdin=given,
            capture_output=True,
            check=True,
        )
    assert told.stdout.decode() == TEXT
    assert told.stderr == b""


def test_a_data_key_out_of_an_hsm(escrow: Escrow, tmp_path: Path) -> None:
    """Where no KMS has the second key, the data key that an HSM has unwrapped opens the record."""
    escrow.seal()
    path = fetched(tmp_path)
    wrapped = json.loads(path.read_bytes())["second"]["wrapped"]
    for data_key, status, shown in (
        (escrow.kms.unwrap(escrow.second, wrapped), 0, TEXT),
        (b"another".ljust(32), 1, ""),
    ):
        reading, writing = os.pipe()
        os.write(writing, data_key)
        os.close(writing)
        words = ("--secret", SECRET, "--data-key-fd", reading)
        assert opened(path, *words, status=status) == shown


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--secret", SECRET.replace("shop", "bank")), "version"),
        (("--version", "another"), "version"),
        (("--since", "20990101"), "before 20990101"),
        (("--key", "arn:aws:kms:eu-central-1:1:key/another"), "not arn:aws:kms"),
    ],
)
def test_what_is_not_expected_is_refused(
    escrow: Escrow, tmp_path: Path, more: tuple[str, str], told: str
) -> None:
    """Another secret's record, an older one, or one under another key ends with its own error."""
    escrow.seal()
    path = fetched(tmp_path)
    given = {"--secret": SECRET, "--key": escrow.second} | {more[0]: more[1]}
    words = [word for pair in given.items() for word in pair]
    result = run("open", path, *words, status=1)
    assert told in result.stderr
    assert result.stdout == ""


def test_keys_are_not_guessed(escrow: Escrow, tmp_path: Path) -> None:
    """Neither or both ways to the data key make no sense; a file that is not there neither."""
    escrow.seal()
    path = fetched(tmp_path)
    run("open", path, "--secret", SECRET, status=3)
    both = ("--key", escrow.second, "--data-key-fd", "0")
    run("open", path, "--secret", SECRET, *both, status=3)
    run("open", tmp_path / "none", "--secret", SECRET, "--key", escrow.second, status=3)


def credential(server: Server, username: str, password: str) -> str:
    """Return a secret's value for an account of the server."""
    return json.dumps(
        {
            "engine": server.engine,
            "host": server.host,
            "port": server.port,
            "username": username,
            "password": password,
            "dbname": server.database,
        }
    )


def drilled(escrow: Escrow, server: Server, results: Path, status: int = 0) -> dict[str, Any]:
    """Drill, and return the result that was written down."""
    words = ("--bucket", BUCKET, "--key", escrow.second, "--ca-file", server.ca_file)
    run("drill", SECRET, *words, "--results", results, status=status)
    (path,) = results.iterdir()
    assert path.name.startswith("escrow-drill-shop_app-AbCdEf-2")
    found: dict[str, Any] = json.loads(path.read_bytes())
    path.unlink()
    return found


def test_a_drill_logs_in_without_secrets_manager_and_first_key(
    escrow: Escrow, service: SecretsManagerService, server: Server, tmp_path: Path
) -> None:
    """The newest record opens by the second key alone, and the real database lets it in."""
    account = server.administrator
    version = escrow.seal(credential(server, account.username, account.password))
    escrow.kms[escrow.first].state = "PendingDeletion"
    escrow.kms.uses.clear()
    found = drilled(escrow, server, tmp_path)
    assert (found["passed"], found["version"]) == (True, version)
    assert (found["username"], found["host"]) == (account.username, server.host)
    assert account.password not in json.dumps(found)
    assert [use.key_id for use in escrow.kms.uses] == [escrow.second]
    assert service.requests == []


def test_a_drill_tries_what_was_in_force_before(
    escrow: Escrow, server: Server, tmp_path: Path
) -> None:
    """A record of an attempt that was given up is refused; the version before it logs in."""
    account = server.administrator
    good = escrow.seal(credential(server, account.username, account.password))
    bad = escrow.seal(credential(server, account.username, "never applied"))
    escrow.seal(credential(server, account.username, "never applied"), version=bad)
    found = drilled(escrow, server, tmp_path)
    assert (found["passed"], found["version"], found["refused"]) == (True, good, [bad])


def test_a_drill_that_is_not_passed(escrow: Escrow, server: Server, tmp_path: Path) -> None:
    """Refused logins, no record, and a key that is gone: each is written down with its reason."""
    assert "no record" in drilled(escrow, server, tmp_path, status=1)["reason"]
    version = escrow.seal(credential(server, server.administrator.username, "wrong"))
    found = drilled(escrow, server, tmp_path, status=1)
    assert (found["passed"], found["refused"]) == (False, [version])
    assert "wrong" not in found["reason"].replace(server.administrator.username, "")
    escrow.kms[escrow.second].state = "Disabled"
    found = drilled(escrow, server, tmp_path, status=1)
    assert "DisabledException" in found["reason"]
    assert found["passed"] is False


def test_a_drill_takes_no_other_key(escrow: Escrow, server: Server, tmp_path: Path) -> None:
    """By the first key it would show nothing."""
    escrow.seal()
    words = ("--bucket", BUCKET, "--key", escrow.first, "--ca-file", server.ca_file)
    told = run("drill", SECRET, *words, "--results", tmp_path, status=1)
    assert "second key" in told.stderr


def test_the_pages_program_opens_a_record(escrow: Escrow, tmp_path: Path) -> None:
    """What docs/data-protection.md gives for the day without this project works as it stands."""
    escrow.seal()
    record, program, key = fetched(tmp_path), tmp_path / "open.py", tmp_path / "data-key"
    page = (ROOT / "docs" / "data-protection.md").read_text()
    (code,) = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    program.write_text(code)
    wrapped = json.loads(record.read_bytes())["second"]["wrapped"]
    key.write_bytes(escrow.kms.unwrap(escrow.second, wrapped))
    with key.open("rb") as given:
        told = subprocess.run(
            [sys.executable, program, record],
            stdin=given,
            capture_output=True,
            check=True,
            cwd=tmp_path,
        )
    assert told.stdout.decode() == TEXT


def test_it_runs_alone() -> None:
    """Without the console, the module is a command of its own."""
    told = subprocess.run(
        [sys.executable, "-m", "escrow.command", "--help"], capture_output=True, check=True
    ).stdout.decode()
    for name in ("fetch", "open", "drill"):
        assert name in told


def test_a_function_does_not_carry_what_people_type() -> None:
    """What a function calls imports no command line, no drill and no rotator."""
    program = (
        "import sys, escrow.sealing\n"
        "print([name for name in sys.modules if name.partition('.')[0] in"
        " ('typer', 'boto3', 'rotators') or name in ('escrow.command', 'escrow.drill')])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert told.stdout.decode().strip() == "[]"

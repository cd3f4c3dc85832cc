"""`make invoke` runs an event, and answers mistakes in one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.lambda_runtime.__main__ import ENDPOINTS
from local.template import ROOT


def invoked(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run the command as the Makefile does, where no endpoint is named."""
    variables = {name: value for name, value in os.environ.items() if name not in ENDPOINTS}
    return subprocess.run(
        [sys.executable, "-m", "local.lambda_runtime", *arguments],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (None, "No such file"),
        ("{", "is not JSON"),
        ("[]", "has no Step"),
        ('{"Step": "setSecret"}', "has no SecretId"),
        ('{"Step": "x", "SecretId": "a", "ClientRequestToken": "b"}', "Step is one of"),
        ('{"Step": "setSecret", "SecretId": "a", "ClientRequestToken": "b"}', "begins with"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, written: str | None, told: str) -> None:
    """No traceback, and the line says what is wrong with which file."""
    path = tmp_path / "my-event.json"
    if written is not None:
        path.write_text(written)
    answer = invoked("PostgresRotator", "--event", path)
    assert (answer.returncode, answer.stdout) == (2, "")
    (line,) = answer.stderr.splitlines()
    assert line.startswith(str(path))
    assert told in line


def test_what_takes_no_event_is_not_offered() -> None:
    """The hourly check is no rotation function."""
    answer = invoked("Watch", "--event", "events/postgres-set-secret.json")
    assert answer.returncode == 2
    assert "invalid choice: 'Watch'" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.parametrize("event", ["postgres-set-secret", "postgres-attach"])
def test_an_event_runs_by_itself(event: str) -> None:
    """Server, Secrets Manager and secret are there for it; the last line says how long it took."""
    answer = invoked("PostgresRotator", "--event", f"events/{event}.json")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    step = json.loads((ROOT / "events" / f"{event}.json").read_text())["Step"]
    assert answer.stdout.splitlines()[-1].startswith(f"{step}: ")

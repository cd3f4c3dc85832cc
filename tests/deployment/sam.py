"""Asks the SAM CLI's own classes, in its environment, what it would do; no container, no AWS."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from local.template import ROOT

PYTHON = ROOT / ".venv-sam" / "bin" / "python"
QUESTIONS = Path(__file__).with_name("sam_questions.py")


def ask(question: str, given: object) -> Any:  # noqa: ANN401 (JSON)
    """Return the answer of a function of ``sam_questions.py``.

    Raises:
        AssertionError: SAM is not installed, or the question failed.
    """
    assert PYTHON.is_file(), "make sam-environment installs SAM"
    told = subprocess.run(
        [PYTHON, QUESTIONS, question],
        input=json.dumps(given),
        cwd=ROOT,
        env=os.environ | {"SAM_CLI_TELEMETRY": "0", "AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)

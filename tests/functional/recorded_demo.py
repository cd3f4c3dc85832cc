"""Runs the demonstration and writes down every password that it used: for the test, not for people.

`python -m tests.functional.recorded_demo <file>`; the exit status is the demonstration's.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.demo.__main__ import main
from local.secretsmanager import SecretsManagerService


def record(file: Path) -> None:
    """Append the password of every value that Secrets Manager stores or hands out."""
    handle = SecretsManagerService.handle

    def recording(
        self: SecretsManagerService,
        operation: str,
        parameters: Mapping[str, Any],
        **rest: str | None,
    ) -> dict[str, Any]:
        answer = handle(self, operation, parameters, **rest)
        for text in (parameters.get("SecretString"), answer.get("SecretString")):
            if text:
                with file.open("a") as passwords:
                    passwords.write(json.dumps(json.loads(text)["password"]) + "\n")
        return answer

    SecretsManagerService.handle = recording  # type: ignore[method-assign]


if __name__ == "__main__":
    record(Path(sys.argv[1]))
    sys.exit(main())

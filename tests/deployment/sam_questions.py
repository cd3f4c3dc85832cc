"""Runs in SAM's own environment (.venv-sam): questions to the classes that `sam` itself uses.

python tests/deployment/sam_questions.py QUESTION <given.json >answer.json
"""

import json
import sys
import tempfile
from typing import Any

from samcli.cli.types import CfnParameterOverridesType
from samcli.commands.deploy.guided_config import GuidedConfig
from samcli.lib.config.samconfig import SamConfig


def saved_and_read(parameters: dict[str, str]) -> dict[str, str]:
    """Return what a plain `sam deploy` reads after `--guided` has saved these answers."""
    saved = " ".join(
        f"{name}={GuidedConfig.quote_parameter_values(value)}" for name, value in parameters.items()
    )
    place = (["deploy"], "parameters")
    with tempfile.TemporaryDirectory() as folder:
        written = SamConfig(folder)
        written.put(*place, "parameter_overrides", saved)
        written.flush()
        read = SamConfig(folder).get_all(*place)["parameter_overrides"]
    result: dict[str, str] = CfnParameterOverridesType().convert((read,), None, None)
    return result


if __name__ == "__main__":
    given: Any = json.load(sys.stdin)
    json.dump(globals()[sys.argv[1]](given), sys.stdout)

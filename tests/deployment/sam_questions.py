"""Runs in SAM's own environment (.venv-sam): questions to the classes that `sam` itself uses.

python tests/deployment/sam_questions.py QUESTION <given.json >answer.json
"""

import json
import sys
import tempfile
from typing import Any

from samcli.cli.types import CfnParameterOverridesType
from samcli.commands.deploy.guided_config import GuidedConfig
from samcli.commands.local.cli_common.invoke_context import InvokeContext
from samcli.commands.local.lib.local_lambda import LocalLambdaRunner
from samcli.lib.config.samconfig import SamConfig
from samcli.lib.providers.sam_function_provider import SamFunctionProvider
from samcli.lib.providers.sam_stack_provider import SamLocalStackProvider


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


def invoked_locally(_: None) -> dict[str, Any]:
    """Return what `sam local invoke`, as samconfig.toml sets it up, starts each function with."""
    options = SamConfig(".").get_all(["local", "invoke"], "parameters")
    overrides = CfnParameterOverridesType().convert(
        (options.get("parameter_overrides", ""),), None, None
    )
    stacks, _ = SamLocalStackProvider.get_stacks(
        template_file="template.yaml", parameter_overrides=overrides
    )
    functions = SamFunctionProvider(stacks)
    runner = LocalLambdaRunner(
        local_runtime=None,
        function_provider=functions,
        cwd=".",
        real_path=".",
        env_vars_values=InvokeContext._get_env_vars_value(options["env_vars"]),
    )
    configurations = {each.name: runner.get_invoke_config(each) for each in functions.get_all()}
    return {
        name: {
            "architecture": configuration.architecture,
            "environment": configuration.env_vars.resolve(),
            "layers": [layer.name for layer in configuration.layers],
            "network": options.get("docker_network"),
        }
        for name, configuration in configurations.items()
    }


if __name__ == "__main__":
    given: Any = json.load(sys.stdin)
    json.dump(globals()[sys.argv[1]](given), sys.stdout)

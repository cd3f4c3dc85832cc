"""Starts the template's functions: the code of the repository, or what `make build` made of it."""

import sys
from collections.abc import Mapping
from pathlib import Path

from local.build import BUILD
from local.lambda_runtime.runtime import LambdaRuntime
from local.template import ROOT, Function

LAMBDA_PYTHON = ROOT / ".venv-lambda" / "bin" / "python"
"""Has what Lambda's own runtime has, and no driver: `make lambda-environment`."""


class NotBuilt(Exception):
    """There is no built function; `make build` makes it."""


def from_repository(function: Function, environment: Mapping[str, str]) -> LambdaRuntime:
    """Return an environment that runs the working tree, with this interpreter."""
    return LambdaRuntime(
        function.handler,
        path=[ROOT],
        environment={**function.environment, **environment},
        python=Path(sys.executable),
        memory_mb=function.memory_mb,
        timeout_seconds=function.timeout_seconds,
        name=function.name,
    )


def from_artefact(
    function: Function, architecture: str, environment: Mapping[str, str]
) -> LambdaRuntime:
    """Return an environment that runs a function as built, with Lambda's Python version.

    Raises:
        NotBuilt: It is not there, or what it is run with is not.
    """
    folder = BUILD / architecture
    path = [folder / function.name, *(folder / layer / "python" for layer in function.layers)]
    for needed in (*path, LAMBDA_PYTHON):
        if not needed.exists():
            msg = f"{needed} is not there; `make build lambda-environment` makes it."
            raise NotBuilt(msg)
    return LambdaRuntime(
        function.handler,
        path=path,
        environment={**function.environment, **environment},
        python=LAMBDA_PYTHON,
        memory_mb=function.memory_mb,
        timeout_seconds=function.timeout_seconds,
        name=function.name,
        # A function's folder is read-only in Lambda.
        writes_bytecode=False,
    )

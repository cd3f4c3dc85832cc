"""Invokes one function of the template with one event, as `sam local invoke` does with containers.

    make invoke FUNCTION=PostgresRotator EVENT=events/postgres-set-secret.json

With AWS_ENDPOINT_URL_SECRETS_MANAGER set, the event goes to the function as it is, and whatever
secret it names must be there. Without it, a database server and a Secrets Manager are started for
this one invocation; the secret that the event names is made, and the steps before it are run.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.lambda_runtime.functions import from_artefact, from_repository
from local.lambda_runtime.runtime import FunctionError, LambdaRuntime
from local.lambda_runtime.scratch import scratch
from local.secretsmanager.rotation import STEPS
from local.servers import ServerUnavailable
from local.template import Function, functions, load

ENDPOINT = "AWS_ENDPOINT_URL_SECRETS_MANAGER"


def main() -> int:
    """Do what the command line says; return 0 if the function returned."""
    known = functions(load())
    parser = argparse.ArgumentParser(prog="make invoke", description="Invoke one function.")
    parser.add_argument("function", choices=sorted(known))
    parser.add_argument("--event", type=Path, required=True, help="a file of events/")
    parser.add_argument("--built", metavar="ARCHITECTURE", help="run what `make build` made")
    arguments = parser.parse_args()
    function = known[arguments.function]
    event: dict[str, Any] = json.loads(arguments.event.read_text())

    def start(environment: Mapping[str, str]) -> LambdaRuntime:
        if arguments.built:
            return from_artefact(function, arguments.built, environment)
        return from_repository(function, environment)

    try:
        if ENDPOINT in os.environ:
            with start(_own_environment(function)) as runtime:
                return _report(runtime, event)
        # events/mariadb-....json is for a server that the MySQL function rotates, too.
        with scratch(arguments.event.name.partition("-")[0], start, _name_of(event)) as scene:
            token = event["ClientRequestToken"]
            scene.service.prepare_rotation(scene.secret, token)
            event["SecretId"] = scene.secret
            for step in STEPS[: STEPS.index(event["Step"])]:
                scene.runtime.invoke(event | {"Step": step})
            return _report(scene.runtime, event)
    except ServerUnavailable as error:
        print(error, file=sys.stderr)
        return 1


def _name_of(event: Mapping[str, Any]) -> str:
    """Return the name in the ARN of the event's secret, without the six characters at its end."""
    return str(event["SecretId"]).rpartition(":")[2].rpartition("-")[0]


def _own_environment(function: Function) -> dict[str, str]:
    """Return what the caller's environment says to the SDK, and about the function's settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("AWS_") or name in function.environment
    }


def _report(runtime: LambdaRuntime, event: Mapping[str, Any]) -> int:
    """Invoke the function and print what Lambda's console would show."""
    before = len(runtime.log)
    try:
        result, status = json.dumps(runtime.invoke(event)), 0
    except FunctionError as error:
        result, status = str(error), 1
    print(runtime.log[before:].rstrip())
    print(result)
    report = runtime.reports[-1]
    memory = f", {report.max_memory_mb:.0f} MB" if report.max_memory_mb else ""
    cold = (
        f" after a cold start of {report.init_milliseconds:.0f} ms"
        if report.init_milliseconds
        else ""
    )
    print(f"{event['Step']}: {report.milliseconds:.0f} ms{cold}{memory}")
    return status


if __name__ == "__main__":
    sys.exit(main())

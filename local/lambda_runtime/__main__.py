"""Invokes one function of the template with one event, as `sam local invoke` does with containers.

    make invoke FUNCTION=PostgresRotator EVENT=events/postgres-set-secret.json

With AWS_ENDPOINT_URL_SECRETS_MANAGER or SECRETS_MANAGER_ENDPOINT set, as `make stage` says, the
event goes to the function as it is, and whatever secret it names must be there. Without, a database
server and a Secrets Manager are started for this one invocation; the secret that the event names is
made, and the steps before it are run, but for the test at attaching, which has none before it.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.engines import FUNCTIONS
from local.lambda_runtime.functions import NotBuilt, from_artefact, from_repository
from local.lambda_runtime.runtime import FunctionError, LambdaRuntime
from local.lambda_runtime.scratch import scratch
from local.secretsmanager.rotation import STEPS
from local.servers import ServerUnavailable
from local.template import Function, functions, load

ENDPOINTS = ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "SECRETS_MANAGER_ENDPOINT")
ATTACH = "attach"
"""How the name of an event ends that tests at attaching."""


class Mistake(Exception):
    """What was asked for cannot be done; the text says why, in one line."""


def main() -> int:
    """Do what the command line says; return 0 if the function returned, 2 after a mistake."""
    rotators = sorted(set(FUNCTIONS.values()))
    parser = argparse.ArgumentParser(prog="make invoke", description="Invoke one function.")
    parser.add_argument("function", choices=rotators)
    parser.add_argument("--event", type=Path, required=True, help="a file of events/")
    parser.add_argument("--built", metavar="ARCHITECTURE", help="run what `make build` made")
    arguments = parser.parse_args()
    function = functions(load())[arguments.function]

    def start(environment: Mapping[str, str]) -> LambdaRuntime:
        if arguments.built:
            return from_artefact(function, arguments.built, environment)
        return from_repository(function, environment)

    try:
        event = read_event(arguments.event)
        if any(os.environ.get(name) for name in ENDPOINTS):
            with start(_own_environment(function)) as runtime:
                return _report(runtime, event)
        with scratch(_server_for(arguments.event), start, _name_of(event)) as scene:
            scene.service.prepare_rotation(scene.secret, event["ClientRequestToken"])
            event["SecretId"] = scene.secret
            attaches = arguments.event.stem.endswith(ATTACH)
            for step in () if attaches else STEPS[: STEPS.index(event["Step"])]:
                scene.runtime.invoke(event | {"Step": step})
            return _report(scene.runtime, event)
    except (Mistake, NotBuilt, ServerUnavailable) as error:
        print(error, file=sys.stderr)
        return 2


def read_event(path: Path) -> dict[str, Any]:
    """Read an event of a rotation.

    Raises:
        Mistake: There is no such file, or it holds no such event.
    """
    try:
        event = json.loads(path.read_text())
    except OSError as error:
        msg = f"{path}: {error.strerror}. The events are in events/."
        raise Mistake(msg) from None
    except ValueError as error:
        msg = f"{path} is not JSON: {error}."
        raise Mistake(msg) from None
    for field in ("Step", "SecretId", "ClientRequestToken"):
        if not isinstance(event, dict) or not isinstance(event.get(field), str):
            msg = (
                f"{path} has no {field}; a rotation's event has Step, SecretId, ClientRequestToken."
            )
            raise Mistake(msg)
    if event["Step"] not in STEPS:
        msg = f"{path}: Step is one of {', '.join(STEPS)}, not {event['Step']}."
        raise Mistake(msg)
    return dict(event)


def _server_for(path: Path) -> str:
    """Return the kind of server that an event is for: the MySQL function rotates MariaDB's, too.

    Raises:
        Mistake: The file's name does not tell.
    """
    kind = path.name.partition("-")[0]
    if kind not in FUNCTIONS:
        msg = f"{path}: a file's name begins with {', '.join(FUNCTIONS)}."
        raise Mistake(msg)
    return kind


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

"""Keeps ready what the events of ``events/`` are about, until Ctrl-C.

    make stage

Three database servers, a Secrets Manager endpoint, and in it the secret and the pending version
that each event names, so that `make invoke` and `sam local invoke` find them. `compose.yaml` starts
the same in a container.
"""

import argparse
import json
import shutil
import signal
from contextlib import ExitStack
from pathlib import Path

from local.lambda_runtime.functions import from_repository
from local.lambda_runtime.scratch import FUNCTIONS, make_secret
from local.secretsmanager import SecretsManagerService
from local.servers import start
from local.template import ROOT, functions, load

PORT = 4566
CA_FILE = ROOT / "build" / "local-ca.pem"


def give_to_built_functions(ca_file: Path) -> None:
    """Copy the authorities to where a function in a container sees them, /var/task."""
    for name in set(FUNCTIONS.values()):
        folder = ROOT / ".aws-sam" / "build" / name
        if folder.is_dir():
            shutil.copy(ca_file, folder)


def main() -> None:
    """Set the stage, say how to reach it, and wait."""
    parser = argparse.ArgumentParser(prog="python -m local.stage")
    parser.add_argument("--port", type=int, default=PORT, help="of the endpoint")
    port: int = parser.parse_args().port
    # Blocked before any thread exists, so that sigwait gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    service = SecretsManagerService()
    declared = functions(load())
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(start(kind)) for kind in FUNCTIONS}
        CA_FILE.parent.mkdir(exist_ok=True)
        CA_FILE.write_text("".join(server.ca_file.read_text() for server in servers.values()))
        give_to_built_functions(CA_FILE)
        endpoint = stack.enter_context(service.endpoint(port))
        variables = endpoint.environment() | {"DATABASE_CA_FILE": str(CA_FILE)}
        for kind, server in servers.items():
            event = json.loads((ROOT / "events" / f"{kind}-create-secret.json").read_text())
            name, _, ending = event["SecretId"].rpartition(":")[2].rpartition("-")
            secret = make_secret(service, server, name, ending)
            function = declared[FUNCTIONS[kind]]
            runtime = stack.enter_context(from_repository(function, variables))
            arn = f"arn:aws:lambda:{service.region}:{service.account}:function:{kind}"
            service.functions[arn] = lambda given, runtime=runtime: runtime.invoke(given)  # type: ignore[misc]
            service.enable_rotation(secret, arn)
            service.prepare_rotation(secret, event["ClientRequestToken"])
            print(f"# {secret}: {kind} {server.version} on port {server.port}")
        for variable, value in variables.items():
            print(f"export {variable}={value}")
        print("# Ready; stop with Ctrl-C.", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    main()

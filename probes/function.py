"""P3's function: says what it sees, and does what the last word of the secret's name tells it.

Its code is this file alone. It prints one line of JSON an invocation and no value of a secret.
"""

import json
import os
import time
from typing import Any

import boto3
import botocore
from botocore.exceptions import ClientError

AWSPENDING, CUSTOM = "AWSPENDING", "probe_plan"
PUTS = {"planned": [CUSTOM], "early": [CUSTOM]}
"""Labels that createSecret puts with the value; both, in the other modes."""
PROMOTES = {"early": "setSecret"}
ENDS = {"ending": "setSecret", "endfailing": "setSecret"}
"""Steps that take AWSPENDING off their own version."""


def handler(event: dict[str, str], _context: object) -> None:
    """Carry out one step."""
    client: Any = boto3.client("secretsmanager")
    secret, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    mode = secret.rsplit("-", 2)[-2].rstrip("0123456789")
    seen = client.describe_secret(SecretId=secret)
    labels = seen["VersionIdsToStages"]
    try:
        value = client.get_secret_value(SecretId=secret, VersionId=token)["VersionStages"]
    except ClientError as error:
        value = error.response["Error"]["Code"]
    told = {"mode": mode, "step": step, "token": token, "began": time.time(), "value": value}
    told |= {"keys": sorted(event), "enabled": seen.get("RotationEnabled"), "labels": labels}
    told |= {"memfd": _memory_file(), "boto3": boto3.__version__, "botocore": botocore.__version__}
    print(json.dumps(told | {"probe": "P3"}), flush=True)
    if mode == "failing":
        raise RuntimeError("The probe asked for a failure.")
    stages = {"SecretId": secret, "VersionStage": "AWSCURRENT", "MoveToVersionId": token}
    if step == "createSecret":
        time.sleep(float(os.environ["SLEEP_SECONDS"]) if mode == "sleeping" else 0)
        put = PUTS.get(mode, [AWSPENDING, CUSTOM])
        parameters = {"SecretString": "probe", "ClientRequestToken": token, "VersionStages": put}
        client.put_secret_value(SecretId=secret, **parameters)
    if step == ENDS.get(mode):
        client.update_secret_version_stage(
            SecretId=secret, VersionStage=AWSPENDING, RemoveFromVersionId=token
        )
        if mode == "endfailing":
            raise RuntimeError("The probe ended its own attempt.")
    elif step == PROMOTES.get(mode, "finishSecret"):
        current = next(v for v, on in labels.items() if "AWSCURRENT" in on)
        client.update_secret_version_stage(**stages, RemoveFromVersionId=current)


def _memory_file() -> str:
    try:
        os.close(os.memfd_create("probe"))
    except OSError as error:
        return f"errno {error.errno}"
    return "works"

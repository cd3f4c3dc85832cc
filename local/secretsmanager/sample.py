"""The smallest function that rotates: it changes a secret's text and no database.

For trying out the service (``--function sample=local.secretsmanager.sample.handler``), and to see
the protocol from the function's side. Not a model for real ones: it looks at nothing twice, and has
nothing to lose.
"""

from typing import Any
from uuid import uuid4

import boto3


def handler(event: dict[str, Any], _context: object) -> None:
    """Carry out one step.

    Raises:
        botocore.exceptions.ClientError: The service refuses what the step asks for.
    """
    client = boto3.client("secretsmanager")
    arn, token = event["SecretId"], event["ClientRequestToken"]
    cross_account = {name: event[name] for name in ("RotationToken",) if name in event}
    labels = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
    current = next((each for each, names in labels.items() if "AWSCURRENT" in names), None)
    if current == token:
        return
    if event["Step"] == "createSecret":
        try:
            client.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")
        except client.exceptions.ResourceNotFoundException:
            client.put_secret_value(
                SecretId=arn,
                ClientRequestToken=token,
                SecretString=f"made in a rotation: {uuid4()}",
                VersionStages=["AWSPENDING"],
                **cross_account,
            )
    elif event["Step"] == "testSecret":
        client.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")
    elif event["Step"] == "finishSecret":
        holder = {} if current is None else {"RemoveFromVersionId": current}
        client.update_secret_version_stage(
            SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, **holder
        )

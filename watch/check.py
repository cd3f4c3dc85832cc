"""Looks at every secret that the stack's functions rotate, and reports those left behind.

Secrets Manager has no metric for a rotation that failed or never began, so this makes two of them.
It reads what `ListSecrets` tells, never a secret's value.
"""

import json
import os
import shlex
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_secretsmanager.type_defs import SecretListEntryTypeDef

NAMESPACE = "SecretRotation"

STUCK_AFTER = timedelta(hours=6)
"""Assumed: Secrets Manager has given up its own retries by then. It documents neither how often nor
how long it repeats a rotation; where it goes on longer, this reports too early."""

OVERDUE_AFTER = timedelta(hours=24)
"""`NextRotationDate` is the latest date of the next rotation; it may lie in the past when that
failed (API reference of DescribeSecret). A day leaves time for other ways of being told."""

ROTATE = "aws secretsmanager rotate-secret --secret-id {secret}"
RESTART = (
    "aws secretsmanager update-secret-version-stage --secret-id {secret} "
    "--version-stage AWSPENDING --remove-from-version-id {version} && " + ROTATE
)
"""Takes AWSPENDING off, then rotates: while AWSPENDING is on a version other than AWSCURRENT's,
`RotateSecret` is an error (its API reference)."""


class Finding(StrEnum):
    """What is wrong with a secret; the value is the name of the metric."""

    STUCK = "SecretsStuck"
    OVERDUE = "SecretsOverdue"


SAYS = {
    Finding.STUCK: "A rotation was begun and not finished.",
    Finding.OVERDUE: "The date of its rotation has passed.",
}


def advice(finding: Finding, secret: "SecretListEntryTypeDef") -> str:
    """Say what to do about a finding, ending in a command that can be typed as it stands.

    Args:
        finding: What was found.
        secret: About which; as `ListSecrets` gives it.
    """
    command, pending = ROTATE, pending_version(secret)
    if pending is not None:
        command = RESTART
    blanks = {"secret": shlex.quote(secret["ARN"]), "version": pending}
    return (
        f"{SAYS[finding]} Read the function's log for this secret, mend the cause, then run "
        f"`{command.format_map(blanks)}`."
    )


def pending_version(secret: "SecretListEntryTypeDef") -> str | None:
    """Return the version of a rotation that is not complete: AWSPENDING apart from AWSCURRENT."""
    for version, stages in secret.get("SecretVersionsToStages", {}).items():
        if "AWSPENDING" in stages and "AWSCURRENT" not in stages:
            return version
    return None


def findings(secret: "SecretListEntryTypeDef", now: datetime) -> set[Finding]:
    """Return what is wrong with a secret that is rotated.

    Args:
        secret: As `ListSecrets` gives it.
        now: With its time zone.
    """
    found = set()
    next_rotation = secret.get("NextRotationDate")
    if next_rotation is not None and next_rotation + OVERDUE_AFTER < now:
        found.add(Finding.OVERDUE)
    changed = secret.get("LastChangedDate")
    pending = pending_version(secret)
    if pending is not None and changed is not None and changed + STUCK_AFTER < now:
        found.add(Finding.STUCK)
    return found


def rotated_by(
    client: "SecretsManagerClient", functions: Collection[str]
) -> Iterator["SecretListEntryTypeDef"]:
    """Yield the secrets whose rotation is on and done by one of these functions, by ARN.

    A secret that names a version or an alias of a function is not the function's to rotate (ADR 8),
    and is among them: its rotations fail, which somebody has to hear of.
    """
    for page in client.get_paginator("list_secrets").paginate():
        for secret in page["SecretList"]:
            # arn:aws:lambda:<Region>:<account>:function:<name>, then perhaps :<alias>
            named = ":".join(secret.get("RotationLambdaARN", "").split(":")[:7])
            if secret.get("RotationEnabled") and named in functions:
                yield secret


def handler(_event: object, _context: "LambdaContext") -> dict[str, int]:
    """Check all secrets of the functions in WATCHED_FUNCTIONS (ARNs, with spaces between).

    Writes one log line for each finding and one with the metrics, in CloudWatch's embedded metric
    format, for the dimension ``stack`` from STACK_NAME. SECRETS_MANAGER_ENDPOINT, where it is not
    empty, is another endpoint than the Region's.

    Returns:
        The metrics.

    Raises:
        botocore.exceptions.ClientError: Secrets Manager refuses; the missing metric then alarms.
    """
    now = datetime.now(UTC)
    metrics = {"SecretsWatched": 0} | {finding.value: 0 for finding in Finding}
    for secret in rotated_by(_client(), os.environ["WATCHED_FUNCTIONS"].split()):
        metrics["SecretsWatched"] += 1
        for finding in sorted(findings(secret, now)):
            metrics[finding.value] += 1
            _write(
                {"level": "WARNING", "secret": secret["ARN"], "finding": finding.value}
                | {"message": advice(finding, secret)}
            )
    _write(_embedded(metrics, os.environ["STACK_NAME"]))
    return metrics


def _embedded(metrics: dict[str, int], stack: str) -> dict[str, object]:
    """Return a log line that CloudWatch makes metrics of.

    Format: CloudWatch's embedded metric format, https://docs.aws.amazon.com/AmazonCloudWatch/latest/
    monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["stack"]],
        "Metrics": [{"Name": name, "Unit": "Count"} for name in metrics],
    }
    about = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    return {"_aws": about, "stack": stack, **metrics}


def _write(line: Mapping[str, object]) -> None:
    print(json.dumps(line))  # noqa: T201 (standard output is a function's log)


@cache
def _client() -> "SecretsManagerClient":
    """Return the one client of this execution environment."""
    config = Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard"})
    endpoint = os.environ.get("SECRETS_MANAGER_ENDPOINT") or None
    return boto3.client("secretsmanager", endpoint_url=endpoint, config=config)

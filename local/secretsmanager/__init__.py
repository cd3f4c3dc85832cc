"""Secrets Manager on one machine."""

from local.secretsmanager.errors import ConnectionLost, Killed, RotationFailed, ServiceError
from local.secretsmanager.keys import Key, KeyUse
from local.secretsmanager.rotation import Context, Outcome, Step
from local.secretsmanager.service import Request, SecretsManagerService

__all__ = [
    "ConnectionLost",
    "Context",
    "Key",
    "KeyUse",
    "Killed",
    "Outcome",
    "Request",
    "RotationFailed",
    "SecretsManagerService",
    "ServiceError",
    "Step",
]

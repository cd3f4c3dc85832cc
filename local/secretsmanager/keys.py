"""Customer-managed KMS keys, as far as Secrets Manager depends on them.

A secret with a ``KmsKeyId`` of the customer's is encrypted and decrypted on behalf of the caller.
Where the key's policy does not let the caller, or the key is disabled, the operation on the secret
fails with ``AccessDeniedException``. When such a key is first named, the service tries it, under an
encryption context whose ``SecretVersionId`` is ``RequestToValidateKeyAccess``. Its ``SecretARN`` is
the secret's own by the user guide, and the same placeholder by key policies that are in use: a
policy has to allow both, and :class:`.SecretsManagerService` can be told which one to use.

Nothing is really encrypted here. moto's KMS is not asked, for it enforces neither policies nor
disabled keys.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from local.secretsmanager.errors import ServiceError

GENERATE: Final = "kms:GenerateDataKey"
DECRYPT: Final = "kms:Decrypt"
PLACEHOLDER: Final = "RequestToValidateKeyAccess"
Trial = Literal["arn", "placeholder"]
"""What the trial of a key names as SecretARN."""
# The key of the account that AWS manages; every caller may use it.
AWS_MANAGED: Final = ("", "alias/aws/secretsmanager", "aws/secretsmanager")


@dataclass(frozen=True)
class KeyUse:
    """One request to KMS: what a key policy can look at."""

    key_id: str
    action: str
    context: Mapping[str, str]


@dataclass(frozen=True)
class Key:
    """A key's state and policy.

    Args:
        enabled: False for a disabled key, or one whose deletion is scheduled.
        allows: The key policy: whether a use is allowed.
    """

    enabled: bool = True
    allows: Callable[[KeyUse], bool] = lambda _use: True


class Keys(dict[str, Key]):
    """The keys that are not simply enabled and open to all, by the id that secrets name.

    Args:
        trial: What the trial of a key names as SecretARN.
    """

    def __init__(self, trial: Trial = "arn") -> None:
        super().__init__()
        self._trial = trial
        self.uses: list[KeyUse] = []

    def use(self, key_id: str | None, action: str, arn: str, version_id: str) -> None:
        """Encrypt or decrypt a version of a secret.

        Raises:
            ServiceError: ``AccessDeniedException`` where the key is disabled or its policy refuses.
        """
        if not key_id or key_id in AWS_MANAGED:
            return
        use = KeyUse(key_id, action, {"SecretARN": arn, "SecretVersionId": version_id})
        self.uses.append(use)
        key = self.get(key_id, Key())
        if not key.enabled or not key.allows(use):
            raise ServiceError("AccessDeniedException", "Access to KMS is not allowed")

    def try_out(self, key_id: str | None, arn: str) -> None:
        """Try a key that a secret is about to be encrypted with.

        Raises:
            ServiceError: As :meth:`use`.
        """
        for action in (GENERATE, DECRYPT):
            named = arn if self._trial == "arn" else PLACEHOLDER
            self.use(key_id, action, named, PLACEHOLDER)

"""Asks a simulator that knows conditions and key policies what a set of policies allows."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from tests.deployment.stack import ACCOUNT

HERE = Path(__file__).parent

ENCRYPTION_CONTEXT = ("kms:EncryptionContext:", "aws:RequestTag/EncryptionContext:")
"""The simulator's list of condition keys has no names that are open after a colon. In question and
policies alike, these keys take the name of one that is open after a slash, and of the same type."""


ANY_RESOURCE = (':*/*"', ':*"')
"""The simulator compares what stands before the first slash letter by letter; IAM lets a wildcard
stand for it, as the Lambda guide's own example for network interfaces has it."""


class Simulator:
    """One process of the simulator, for many questions; used as a context manager.

    Raises:
        AssertionError: The simulator is not installed.
    """

    def __init__(self) -> None:
        assert (HERE / "node_modules").is_dir(), "make node-environment installs the simulator"
        self._process = subprocess.Popen(
            ["node", "simulate.mjs"],
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    def allows(
        self,
        principal: str,
        action: str,
        resource: str,
        context: Mapping[str, str] | None = None,
        *,
        identity_policies: Sequence[Mapping[str, Any]] = (),
        resource_policy: Mapping[str, Any] | None = None,
    ) -> bool:
        """Tell whether a request is allowed.

        Args:
            principal: ARN of a role or user, or the name of a service.
            action: Such as ``kms:Decrypt``.
            resource: Its ARN.
            context: Condition keys and their values.
            identity_policies: The principal's.
            resource_policy: The resource's, for a key its key policy.

        Raises:
            AssertionError: The question makes no sense to the simulator, or it would leave a
                condition key out of account that is not one of the action's.
        """
        question = {
            "request": {
                "principal": principal,
                "action": action,
                "resource": {"resource": resource, "accountId": ACCOUNT},
                "contextVariables": dict(context or {}),
            },
            "identityPolicies": [
                {"name": f"policy{number}", "policy": policy}
                for number, policy in enumerate(identity_policies)
            ],
            "serviceControlPolicies": [],
            "resourceControlPolicies": [],
        }
        if resource_policy is not None:
            question["resourcePolicy"] = resource_policy
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = json.dumps(question).replace(*ENCRYPTION_CONTEXT).replace(*ANY_RESOURCE)
        self._process.stdin.write(asked + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, answer
        assert not answer["ignored"], f"not condition keys of {action}: {answer['ignored']}"
        return bool(answer["decision"] == "Allowed")

"""A world that takes a cure out of the core, by making the message that is the cure worthless.

What a rule protects a rotation with is a message: a compare-and-move, a lock, a reading under it.
Here such a message is answered as if the core did not care, whatever the core is like inside; the
search must then find what the rule is for. (The lock is a :class:`~.world.Setup`'s own.)
"""

from collections.abc import Mapping
from typing import Any

from local.secretsmanager.versions import CURRENT, PENDING, PREVIOUS, Versions
from tests.histories.scheduler import Turns
from tests.histories.world import Setup

OWN_LABELS_ONLY = "createSecret names no label but its own"
PROMOTION_BY_COMPARISON = "the promotion names the version that the attempt was made from"
FENCE_BY_COMPARISON = "the fence is moved from its holder, or not at all"
FRESH_READING = "what was read before the lock is read again under it"
ENDING = "an attempt that cannot succeed takes AWSPENDING off"


class Careless(Turns):
    """A world in which some cures are worthless.

    Args:
        setup: The secret.
        without: The cures, as the constants of this module name them.
    """

    def __init__(self, setup: Setup, *without: str) -> None:
        self._without = without
        super().__init__(setup)

    def begin_history(self, *, traced: bool = False) -> None:
        """Forget what was before."""
        super().begin_history(traced=traced)
        self._seen: dict[int, Versions] = {}

    def request(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make the request that a core without the cures would make."""
        request = dict(parameters)
        label = request.get("VersionStage")
        if operation == "PutSecretValue" and OWN_LABELS_ONLY in self._without:
            request["VersionStages"] = [*{*request["VersionStages"], PENDING}]
        if operation == "UpdateSecretVersionStage":
            if label == PENDING and "MoveToVersionId" not in request and ENDING in self._without:
                return {}
            if (
                PROMOTION_BY_COMPARISON in self._without
                if label == CURRENT
                else label not in {PENDING, PREVIOUS} and FENCE_BY_COMPARISON in self._without
            ):
                request.pop("RemoveFromVersionId", None)
                holder = self.secret.versions.labels.get(str(label))
                request |= {} if holder is None else {"RemoveFromVersionId": holder}
        return super().request(operation, request)

    def read(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Under the lock, show what the delivery has seen before it."""
        if FRESH_READING in self._without and parameters["SecretId"] == self.secret.arn:
            delivery = self.running
            if delivery.holds:
                self.see_stale(self._seen.get(id(delivery), self.secret.versions), reads=1)
            else:
                self._seen[id(delivery)] = self.secret.versions
        return super().read(operation, parameters)

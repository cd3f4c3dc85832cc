"""Where a secret's database is: by the secret's value, of which host, port and names are kept."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.account import asking
from console.fleet import Secret
from console.outcome import Stop
from console.posture.view import Unseen, View

PORTS: Mapping[str, int] = {"postgres": 5432, "mysql": 3306, "mariadb": 3306}
"""By the protocol's name; MariaDB speaks MySQL's."""
INSTANCE_TAG = "aws:rds:primaryDBInstanceArn"
CLUSTER_TAG = "aws:rds:primaryDBClusterArn"
"""What RDS tags a secret with that it manages."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a database is.

    Attributes:
        engine: As the secret names it, in lower case; empty where it does not.
        host: In lower case; empty where the value has none.
        port: 0 where the value has none.
        instance, cluster: Identifiers of RDS's, where value or tags have them.
    """

    engine: str = ""
    host: str = ""
    port: int = 0
    instance: str = ""
    cluster: str = ""

    @property
    def protocol(self) -> str:
        """What it speaks: a key of :data:`PORTS`; empty for another engine."""
        return next((name for name in PORTS if name in self.engine), "")


def place_of(view: View, secret: Secret) -> Place:
    """Return where a secret's database is; nowhere, for a value that is no database's.

    The value is read, and only what is returned is kept of it.

    Raises:
        Unseen: The value may not be read.
    """
    tagged = {
        "instance": secret.tags.get(INSTANCE_TAG, "").rpartition(":")[2],
        "cluster": secret.tags.get(CLUSTER_TAG, "").rpartition(":")[2],
    }
    if any(tagged.values()):
        return Place(instance=tagged["instance"], cluster=tagged["cluster"])
    try:
        with asking():
            told = view.request("secretsmanager", "get_secret_value", "", {"SecretId": secret.arn})
    except Stop as stop:
        raise Unseen(stop.message) from None
    try:
        value: Any = json.loads(told.get("SecretString") or "")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        return Place()
    port = str(value.get("port") or "")
    return Place(
        engine=str(value.get("engine") or "").lower(),
        host=str(value.get("host") or "").lower().rstrip("."),
        port=int(port) if port.isdigit() else 0,
        instance=str(value.get("dbInstanceIdentifier") or "").lower(),
        cluster=str(value.get("dbClusterIdentifier") or "").lower(),
    )

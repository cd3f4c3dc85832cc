"""Who the administrator of a secret is, and the proof that he belongs to the same database.

A rotated secret can be edited by an application's team; the administrator's secret cannot. So the
rotated one must not be able to send the administrator's password elsewhere: the session is opened
at the *administrator's* own address, and only after it was shown to be the database that the
rotated secret means; and the administrator's secret can say by a tag whom he may be used for.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.errors import (
    AccessDenied,
    AdministratorIsUser,
    AdministratorUnproven,
    NotRotatable,
    RotationError,
    ServiceFailed,
    StrategyNeedsAdministrator,
)
from shared.model import Login
from shared.options import Options, Tag
from shared.store import SecretStore

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

INSTANCE_TAG = "aws:rds:primaryDBInstanceArn"
CLUSTER_TAG = "aws:rds:primaryDBClusterArn"
"""System tags that RDS puts on an administrator's secret that it manages: such a secret holds only
user name and password."""

ALLOW_HINT = (
    "Add the user to that tag with `aws secretsmanager tag-resource`, or name another one in the "
    "rotated secret's `masterarn`."
)
READ_HINT = (
    "Tag the administrator's secret rotation:administrator with the name of the function that may "
    "read it, postgres or mysql; under a customer-managed key the role needs kms:Decrypt besides."
)
MASTERARN_HINT = (
    "Let `masterarn` be the ARN of the administrator's secret, in the Region of this one: `aws "
    "secretsmanager put-secret-value --secret-id <ARN> --secret-string file://value.json`."
)
HINTS: Mapping[type[RotationError], str] = {AccessDenied: READ_HINT, NotRotatable: MASTERARN_HINT}
"""What to do about an administrator's secret that cannot be read."""
RDS_REFUSALS: Mapping[str, type[RotationError]] = {
    "AccessDenied": AccessDenied,
    "NotFound": AdministratorUnproven,
    "InvalidParameter": AdministratorUnproven,
}
"""What a part of RDS's error code means; anything else may pass by itself."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a database listens, comparable: names in lower case, the engine's port filled in."""

    host: str
    port: int

    @classmethod
    def of(cls, host: str, port: int | None, default_port: int) -> "Address":
        """Return the address in its comparable form."""
        return cls(host.lower().rstrip("."), port or default_port)


class Administrators:
    """Finds the administrator's login for a rotated secret.

    Args:
        store: Reads the administrator's secret.
        rds: Makes the RDS client; called only where an address has to be looked up.
        default_port: The engine's.
    """

    def __init__(
        self,
        store: SecretStore,
        rds: "Callable[[], RDSClient]",
        default_port: int,
    ) -> None:
        self._store = store
        self._rds = rds
        self._default_port = default_port

    def login_for(
        self, login: Login, secret_arn: str, rotated: Iterable[str], *, adopting: bool = False
    ) -> Login:
        """Return the login of the administrator that ``login`` names in ``masterarn``.

        Args:
            login: The rotated secret's login.
            secret_arn: The rotated secret's own ARN.
            rotated: The users whose passwords the secret rotates.
            adopting: Whether one of them may be made this secret's own, which the tag
                ``rotation:rotates`` has to allow.

        Raises:
            StrategyNeedsAdministrator: The secret has no ``masterarn``.
            AdministratorIsUser: The secret names itself, or another secret of the same user.
            AdministratorUnproven: Nothing shows that both mean the same database, or his secret's
                tag ``rotation:rotates`` does not name all of ``rotated``.
            BadSecret: The administrator's secret is not usable.
            NotRotatable, ServiceFailed: It cannot be read.
        """
        users = tuple(rotated)
        arn = login.administrator_arn
        if arn is None:
            msg = f"Secret {secret_arn} has no `masterarn`."
            raise StrategyNeedsAdministrator(msg)
        if arn == secret_arn:
            msg = f"Secret {secret_arn} names itself in `masterarn`."
            raise AdministratorIsUser(msg)
        with _naming(arn, secret_arn):
            tags = self._store.describe(arn).tags
            patterns = Options.of_tags(arn, tags).values.get(Tag.ROTATES, "" if adopting else "*")
            _require_named(users, patterns, arn)
            where = f"AWSCURRENT of the administrator's secret {arn}"
            found = self._store.current(arn).login(where, host_required=False)
        if found.username in users:
            msg = f"The administrator's secret {arn} belongs to the rotated user {found.username}."
            raise AdministratorIsUser(msg)
        address = self._proven_address(found, arn, tags, self._address(login.host, login.port))
        return Login(
            engine=login.engine,
            host=address.host,
            port=address.port,
            username=found.username,
            password=found.password,
            # Where a lock holds in one database only, all sessions of a secret come to that one.
            # His own is in the document, for engines that need none.
            dbname=login.dbname,
            # Never weaker than the administrator's own secret asks for.
            tls=found.tls,
            document=found.document,
        )

    def _address(self, host: str, port: int | None) -> Address:
        return Address.of(host, port, self._default_port)

    def _proven_address(
        self, administrator: Login, arn: str, tags: Mapping[str, str], rotated: Address
    ) -> Address:
        """Return where the administrator logs in, once it is shown to be the same database."""
        own = self._address(administrator.host, administrator.port) if administrator.host else None
        if own == rotated:
            return rotated
        unproven = {rotated} if own is None else {rotated, own}
        writer: Address | None = None
        for endpoint in self._endpoints(administrator, tags):
            writer = writer or endpoint
            unproven.discard(endpoint)
            if not unproven:
                return own or writer
        where = f"at {own.host}:{own.port}" if own else "where RDS says"
        msg = (
            f"The rotated secret means {rotated.host}:{rotated.port}, its administrator {arn} logs "
            f"in {where}, and nothing shows that this is the same database."
        )
        raise AdministratorUnproven(msg)

    def _endpoints(self, administrator: Login, tags: Mapping[str, str]) -> Iterator[Address]:
        """Yield the addresses of the administrator's database as RDS tells, the writer's first."""
        cluster = administrator.document.get("dbClusterIdentifier")
        instance = administrator.document.get("dbInstanceIdentifier")
        if not administrator.host:
            # Only tags are trusted here: users cannot set tags that begin with `aws:`.
            cluster, instance = tags.get(CLUSTER_TAG), tags.get(INSTANCE_TAG)
        try:
            if cluster:
                yield from self._cluster_endpoints(str(cluster))
            elif instance:
                yield from self._instance_endpoints(str(instance))
        except ClientError as error:
            code = error.response.get("Error", {}).get("Code", "unknown")
            kinds = (kind for part, kind in RDS_REFUSALS.items() if part in code)
            msg = (
                f"RDS answered {code} when asked for the address of the administrator's database "
                f"{cluster or instance}."
            )
            raise next(kinds, ServiceFailed)(msg) from None
        except BotoCoreError as error:
            msg = f"RDS gave no answer ({type(error).__name__})."
            raise ServiceFailed(msg) from None

    def _cluster_endpoints(self, identifier: str) -> Iterator[Address]:
        rds = self._rds()
        for cluster in rds.describe_db_clusters(DBClusterIdentifier=identifier)["DBClusters"]:
            port = cluster.get("Port")
            hosts = [
                cluster.get("Endpoint"),
                cluster.get("ReaderEndpoint"),
                *cluster.get("CustomEndpoints", []),
            ]
            yield from (self._address(host, port) for host in hosts if host)
        members = rds.describe_db_instances(
            Filters=[{"Name": "db-cluster-id", "Values": [identifier]}]
        )
        yield from self._addresses(members["DBInstances"])

    def _instance_endpoints(self, identifier: str) -> Iterator[Address]:
        rds = self._rds()
        instances = rds.describe_db_instances(DBInstanceIdentifier=identifier)["DBInstances"]
        yield from self._addresses(instances)
        for instance in instances:
            for replica in instance.get("ReadReplicaDBInstanceIdentifiers", []):
                if ":" in replica:
                    # An ARN: the replica is in another Region, where alone it can be looked up.
                    continue
                found = rds.describe_db_instances(DBInstanceIdentifier=replica)
                yield from self._addresses(found["DBInstances"])

    def _addresses(self, instances: list[Any]) -> Iterator[Address]:
        for instance in instances:
            endpoint = instance.get("Endpoint", {})
            if "Address" in endpoint:
                yield self._address(endpoint["Address"], endpoint.get("Port"))


@contextmanager
def _naming(arn: str, secret_arn: str) -> Iterator[None]:
    """Let what goes wrong with the administrator's secret tell where its ARN was found."""
    try:
        yield
    except (NotRotatable, ServiceFailed) as error:
        msg = f"`masterarn` of {secret_arn} names {arn}, which cannot be used: {error.message}"
        # The rotated secret's ARN would be filled in otherwise.
        hint = HINTS.get(type(error), error.advice.replace("<ARN>", arn))
        raise type(error)(msg, hint=hint) from None


def _require_named(users: Iterable[str], patterns: str, arn: str) -> None:
    for user in users:
        if not any(_matches(pattern, user) for pattern in patterns.split()):
            msg = f"Tag {Tag.ROTATES} of the administrator's secret {arn} does not name {user}."
            raise AdministratorUnproven(msg, hint=ALLOW_HINT)


def _matches(pattern: str, user: str) -> bool:
    """Say whether ``pattern``, in which an asterisk stands for any characters, fits all of it."""
    return fnmatchcase(user, re.sub(r"([?[])", r"[\1]", pattern))

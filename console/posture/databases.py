"""A secret's database as RDS tells of it: storage, snapshots, TLS by parameter, logins, reach."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from console.posture.keys import key_named, unusable
from console.posture.place import Place
from console.posture.subject import Seen, Subject, command
from console.posture.view import View
from shared.examination.finding import Level

FORCES_TLS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "aurora-postgresql": ("rds.force_ssl", (17,)),
    "postgres": ("rds.force_ssl", (15,)),
    "aurora-mysql": ("require_secure_transport", ()),
    "mysql": ("require_secure_transport", (9,)),
    "mariadb": ("require_secure_transport", (11, 8)),
}
"""By RDS's name of the engine: the parameter, and from which version it is on where nobody set it
(never where there is none). Source: the user guide's pages on requiring TLS, for each engine."""
ON = frozenset({"1", "on", "true", "yes"})
"""What the parameter may say: RDS writes 1 for instances and ON for clusters, and takes others."""
IN_EFFECT = frozenset({"in-sync", ""})


@dataclass(frozen=True, slots=True)
class Database:
    """An RDS instance or an Aurora cluster.

    Attributes:
        told: As RDS describes it.
        is_cluster: Which of both.
        members: The instances of a cluster; of an instance, itself.
    """

    told: Mapping[str, Any]
    is_cluster: bool
    members: tuple[Mapping[str, Any], ...]

    @property
    def name(self) -> str:
        """Its identifier."""
        return str(self.told["DBClusterIdentifier" if self.is_cluster else "DBInstanceIdentifier"])

    @property
    def kind(self) -> str:
        """What names it in commands: ``db-instance`` or ``db-cluster``."""
        return "db-cluster" if self.is_cluster else "db-instance"

    @property
    def version(self) -> str:
        """Of its engine."""
        return str(self.told.get("EngineVersion", ""))

    @property
    def engine(self) -> str:
        """As RDS names it."""
        return str(self.told["Engine"])

    @property
    def group(self) -> tuple[str, str]:
        """The name of its parameter group, and whether that is in effect, as RDS says it."""
        if self.is_cluster:
            members: list[Mapping[str, Any]] = self.told.get("DBClusterMembers", [])
            status = "DBClusterParameterGroupStatus"
            told = [each.get(status, "") for each in members if each.get("IsClusterWriter")]
            return str(self.told["DBClusterParameterGroup"]), next(iter(told), "")
        group = self.told["DBParameterGroups"][0]
        return group["DBParameterGroupName"], str(group.get("ParameterApplyStatus", ""))

    def modify(self, **options: str | bool) -> str:
        """Return the command that changes it at once."""
        named = {f"{self.kind.replace('-', '_')}_identifier": self.name}
        return command("rds", f"modify-{self.kind}", **named, **options, apply_immediately=True)


def database_at(view: View, place: Place) -> Database | None:
    """Return the database at a place; None where the account has none there.

    Raises:
        Unseen: RDS does not tell.
    """
    instances = view.ask("rds", "describe_db_instances", pages="DBInstances")["DBInstances"]
    clusters = view.ask("rds", "describe_db_clusters", pages="DBClusters")["DBClusters"]
    for instance in instances:
        address = str(instance.get("Endpoint", {}).get("Address", "")).lower()
        is_named = instance["DBInstanceIdentifier"] == place.instance
        if (place.host and address == place.host) or is_named:
            name = instance.get("DBClusterIdentifier")
            if not name:
                return Database(instance, is_cluster=False, members=(instance,))
            place = Place(cluster=name)
            break
    for cluster in clusters:
        ends = (cluster.get("Endpoint"), cluster.get("ReaderEndpoint"))
        hosts = {str(each).lower() for each in (*ends, *cluster.get("CustomEndpoints", ())) if each}
        if place.host in hosts or cluster["DBClusterIdentifier"] == place.cluster:
            name = cluster["DBClusterIdentifier"]
            members = (each for each in instances if each.get("DBClusterIdentifier") == name)
            return Database(cluster, is_cluster=True, members=tuple(members))
    return None


def database_of(subject: Subject) -> Database | None:
    """Return a secret's database, and put into the row which one it is.

    Raises:
        Unseen: RDS does not tell.
    """
    place = subject.require_place()
    found = database_at(subject.view, place)
    subject.facts["database"] = found.name if found else None
    subject.facts["host"] = place.host or None
    return found


def check_storage(subject: Subject) -> Iterator[Seen]:
    """Look at how the database's storage is encrypted."""
    database = database_of(subject)
    if database is None:
        return
    is_encrypted = bool(database.told.get("StorageEncrypted"))
    subject.facts["storage_encrypted"] = is_encrypted
    if not is_encrypted:
        text = f"The storage of {database.kind} {database.name} is in clear."
        yield Seen("StorageUnencrypted", text, _encrypted_copy(database))
        return
    key = key_named(subject.view, database.told["KmsKeyId"])
    subject.facts |= {"storage_key": key.arn}
    if not key.is_ours:
        text = f"The storage of {database.name} is under aws/rds, whose policy AWS writes."
        yield Seen("StorageUnderAwsKey", text, _encrypted_copy(database))
    elif not key.is_usable:
        yield unusable(key, f"The key of the storage of {database.name}")


def _encrypted_copy(database: Database) -> str:
    """Return the commands that restore a database from a snapshot under a key of one's own."""
    name, kind = database.name, "db-cluster" if database.is_cluster else "db"
    plain, sealed = f"{name}-before-encryption", f"{name}-encrypted"
    identifier = f"{kind.replace('-', '_')}_snapshot_identifier"
    wait = f"{kind.replace('-', '_')}_snapshot_available"
    restored = "db_cluster_identifier" if database.is_cluster else "db_instance_identifier"
    create = {identifier: plain, restored: name}
    copy = {f"source_{identifier}": plain, f"target_{identifier}": sealed}
    snapshot = "snapshot_identifier" if database.is_cluster else identifier
    restore = {restored: sealed, snapshot: sealed}
    if database.is_cluster:
        restore["engine"] = database.engine
    steps = (
        command("rds", f"create-{kind}-snapshot", **create),
        f"aws rds wait {wait.replace('_', '-')} --{identifier.replace('_', '-')} {plain}",
        command("rds", f"copy-{kind}-snapshot", **copy, kms_key_id="<ARN of a key of yours>"),
        f"aws rds wait {wait.replace('_', '-')} --{identifier.replace('_', '-')} {sealed}",
        command(
            "rds",
            "restore-db-cluster-from-snapshot"
            if database.is_cluster
            else "restore-db-instance-from-db-snapshot",
            **restore,
        ),
    )
    return " && ".join(steps)


def check_snapshots(subject: Subject) -> Iterator[Seen]:
    """Look at whether the database's snapshots are encrypted, and who else may restore them."""
    database = database_of(subject)
    if database is None:
        return
    kind = "DBClusterSnapshot" if database.is_cluster else "DBSnapshot"
    operation = "db_cluster_snapshot" if database.is_cluster else "db_snapshot"
    named = {
        "DBClusterIdentifier" if database.is_cluster else "DBInstanceIdentifier": database.name
    }
    pages = f"{kind}s"
    found = subject.view.ask("rds", f"describe_{operation}s", pages=pages, **named)[pages]
    subject.facts["snapshots"] = len(found)
    for snapshot in found:
        name = snapshot[f"{kind}Identifier"]
        dashed = operation.replace("_", "-")
        option = f"{operation}_identifier"
        # RDS calls it so for instances and for clusters so; an automated one cannot be shared.
        if not snapshot.get("StorageEncrypted" if database.is_cluster else "Encrypted"):
            ends = {f"source_{option}": name, f"target_{option}": f"{name}-encrypted"}
            copy = command("rds", f"copy-{dashed}", **ends, kms_key_id="<ARN of a key of yours>")
            drop = command("rds", f"delete-{dashed}", **{option: name})
            yield Seen("SnapshotUnencrypted", f"Snapshot {name} is in clear.", f"{copy} && {drop}")
        if snapshot.get("SnapshotType") != "manual":
            continue
        shared = _shared_with(subject.view, kind, operation, name)
        if not shared:
            continue
        unshare = command(
            "rds",
            f"modify-{dashed}-attribute",
            **{option: name},
            attribute_name="restore",
            values_to_remove="<accounts>",
        ).replace("<accounts>", " ".join(shared))
        if "all" in shared:
            yield Seen("SnapshotPublic", f"Anybody may restore snapshot {name}.", unshare)
        else:
            text = f"Snapshot {name} may be restored by account {', '.join(shared)}."
            yield Seen("SnapshotShared", text, unshare)


def _shared_with(view: View, kind: str, operation: str, name: str) -> list[str]:
    identifier = {f"{kind}Identifier": name}
    told = view.ask("rds", f"describe_{operation}_attributes", **identifier)
    attributes = told[f"{kind}AttributesResult"][f"{kind}Attributes"]
    return sorted(
        value
        for attribute in attributes
        if attribute["AttributeName"] == "restore"
        for value in attribute.get("AttributeValues", [])
    )


def check_tls_parameter(subject: Subject) -> Iterator[Seen]:
    """Look at whether the database's parameters refuse logins without TLS."""
    database = database_of(subject)
    if database is None or database.engine not in FORCES_TLS:
        return
    parameter, since = FORCES_TLS[database.engine]
    group, status = database.group
    value = _parameter(subject.view, database, group, parameter)
    is_on = value.lower() in ON if value else _is_on_by_itself(database, since)
    subject.facts |= {"tls_parameter": f"{parameter}={value or ('1' if is_on else '0')}"}
    if is_on and status in IN_EFFECT:
        return
    if is_on:
        text = f"{parameter} of group {group} is on, but {database.name} says {status}."
        reboot = command("rds", "reboot-db-instance", db_instance_identifier=_first(database))
        yield Seen("TlsNotForced", text, reboot)
        return
    text = f"{parameter} of {database.name} is off in group {group}: logins in clear are let in."
    yield Seen("TlsNotForced", text, _switch_on(database, group, parameter))


def _first(database: Database) -> str:
    return str(database.members[0]["DBInstanceIdentifier"]) if database.members else "<instance>"


def _switch_on(database: Database, group: str, parameter: str) -> str:
    """Return the command that switches a parameter on; in a group of one's own."""
    kind = "db-cluster-parameter-group" if database.is_cluster else "db-parameter-group"
    value = f"ParameterName={parameter},ParameterValue=1,ApplyMethod=immediate"
    named = f"{kind.replace('-', '_')}_name"
    if not group.startswith("default."):
        return command("rds", f"modify-{kind}", **{named: group}, parameters=value)
    own = f"{database.name}-tls"
    family = {"db_parameter_group_family": group.removeprefix("default.")}
    steps = (
        command("rds", f"create-{kind}", **{named: own}, **family, description="TLS alone"),
        command("rds", f"modify-{kind}", **{named: own}, parameters=value),
        database.modify(**{named: own}),
    )
    return " && ".join(steps)


def _parameter(view: View, database: Database, group: str, parameter: str) -> str:
    if database.is_cluster:
        operation, named = "describe_db_cluster_parameters", "DBClusterParameterGroupName"
    else:
        operation, named = "describe_db_parameters", "DBParameterGroupName"
    told = view.ask("rds", operation, pages="Parameters", **{named: group})["Parameters"]
    found = (each for each in told if each["ParameterName"] == parameter)
    return next((str(each.get("ParameterValue", "")) for each in found), "")


def _is_on_by_itself(database: Database, since: tuple[int, ...]) -> bool:
    parts = database.version.split(".")
    version = tuple(int(part) for part in parts if part.isdigit())
    return bool(since) and version >= since


def check_iam_login(subject: Subject) -> Iterator[Seen]:
    """Look at whether the database offers logins by IAM besides those by password."""
    database = database_of(subject)
    if database is None:
        return
    offers = bool(database.told.get("IAMDatabaseAuthenticationEnabled"))
    subject.facts["iam_login"] = offers
    if not offers:
        text = f"{database.kind} {database.name} takes passwords alone."
        do = database.modify(enable_iam_database_authentication=True)
        yield Seen("IamLoginOff", text, do, Level.NOTE)


def check_reach(subject: Subject) -> Iterator[Seen]:
    """Look at whether the database has a public address."""
    database = database_of(subject)
    if database is None:
        return
    public = [each for each in database.members if each.get("PubliclyAccessible")]
    subject.facts["public"] = bool(public)
    for instance in public:
        name = instance["DBInstanceIdentifier"]
        do = command(
            "rds",
            "modify-db-instance",
            db_instance_identifier=name,
            publicly_accessible=False,
            apply_immediately=True,
        )
        yield Seen("DatabasePublic", f"Instance {name} has a public address.", do)

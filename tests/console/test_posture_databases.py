"""How posture finds a secret's database in RDS, and reads clusters and parameter groups."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from console.posture.place import CLUSTER_TAG, INSTANCE_TAG
from shared.examination.finding import Level
from tests.console.estate import INSTANCE, SECRET, Estate
from tests.console.test_posture import require_command
from tests.deployment.stack import ACCOUNT, REGION

CLUSTER = "shop-aurora"
DOMAIN = f"abcdefghijkl.{REGION}.rds.amazonaws.com"
WRITER = f"{CLUSTER}.cluster-{DOMAIN}"
READER = f"{CLUSTER}.cluster-ro-{DOMAIN}"
CUSTOM = f"reports.cluster-custom-{DOMAIN}"
MEMBER = f"{CLUSTER}-1"


def cluster(made: Estate, **changes: object) -> None:
    """Let the account have a cluster of Aurora PostgreSQL that is well, but for the changes."""
    member = {
        "DBInstanceIdentifier": MEMBER,
        "IsClusterWriter": True,
        "DBClusterParameterGroupStatus": "in-sync",
        "PromotionTier": 1,
    }
    told: dict[str, Any] = {
        "DBClusterIdentifier": CLUSTER,
        "Engine": "aurora-postgresql",
        "EngineVersion": "16.9",
        "Endpoint": WRITER,
        "ReaderEndpoint": READER,
        "CustomEndpoints": [CUSTOM],
        "Port": 5432,
        "DBClusterParameterGroup": "tls",
        "DBClusterMembers": [member],
        "StorageEncrypted": True,
        "KmsKeyId": made.key,
        "IAMDatabaseAuthenticationEnabled": True,
        **changes,
    }
    instance = {
        "DBInstanceIdentifier": MEMBER,
        "DBClusterIdentifier": CLUSTER,
        "Engine": "aurora-postgresql",
        "Endpoint": {"Address": f"{MEMBER}.{DOMAIN}", "Port": 5432},
        "PubliclyAccessible": False,
    }
    before = made.right["rds", "describe_db_instances"]

    def with_member(answer: Any) -> Any:  # noqa: ANN401 (JSON)
        known = before(answer)
        return {**known, "DBInstances": [*known["DBInstances"], instance]}

    made.right["rds", "describe_db_instances"] = with_member
    made.right["rds", "describe_db_clusters"] = lambda answer: {**answer, "DBClusters": [told]}
    made.right["rds", "describe_db_cluster_parameters"] = lambda _none: {
        "Parameters": [{"ParameterName": "rds.force_ssl", "ParameterValue": "ON"}]
    }
    made.right["rds", "describe_db_cluster_snapshots"] = lambda answer: answer


def at(made: Estate, **value: object) -> None:
    """Let the secret say that its database is elsewhere."""
    known = json.loads(made.service.value(SECRET))
    text = json.dumps({**known, **value})
    made.client("secretsmanager").put_secret_value(SecretId=SECRET, SecretString=text)
    made.rotated(ago=made.service.now() - made.service.now())
    made.host = str(value.get("host", made.host))


@pytest.mark.parametrize("host", [WRITER, READER, CUSTOM, f"{MEMBER}.{DOMAIN}", WRITER.upper()])
def test_a_cluster_is_found_by_each_of_its_names(well: Estate, host: str) -> None:
    """Writer, readers, custom endpoints and members lead to the cluster, in whatever case."""
    cluster(well)
    at(well, host=host)
    well.host = host.lower()
    found = well.look()
    assert found.secrets[0].facts["database"] == CLUSTER
    assert found.findings == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"StorageEncrypted": False}, "StorageUnencrypted"),
        ({"IAMDatabaseAuthenticationEnabled": False}, "IamLoginOff"),
    ],
)
def test_what_is_wrong_with_a_cluster_is_told(
    well: Estate, changes: dict[str, object], code: str
) -> None:
    """A cluster's own settings are looked at, and its commands name it as one."""
    cluster(well, **changes)
    at(well, host=WRITER)
    (finding,) = well.findings()
    assert finding.code == code
    assert "--db-cluster-identifier shop-aurora" in finding.do
    require_command(finding)


def test_a_clusters_parameters_are_its_groups(well: Estate) -> None:
    """Whether a cluster forces TLS stands in its cluster parameter group."""
    cluster(well)
    at(well, host=WRITER)
    told = {"Parameters": [{"ParameterName": "rds.force_ssl", "ParameterValue": "0"}]}
    well.right["rds", "describe_db_cluster_parameters"] = lambda _none: told
    (finding,) = well.findings()
    assert finding.code == "TlsNotForced"
    assert "modify-db-cluster-parameter-group --db-cluster-parameter-group-name tls" in finding.do
    require_command(finding)


def test_a_clusters_snapshots_are_looked_at(well: Estate) -> None:
    """A cluster's snapshot that is in clear, or that anybody may restore, is told."""
    cluster(well)
    at(well, host=WRITER)
    snapshot = {
        "DBClusterSnapshotIdentifier": "old",
        "SnapshotType": "manual",
        "StorageEncrypted": False,
    }
    told = {"DBClusterSnapshots": [snapshot]}
    attributes = [{"AttributeName": "restore", "AttributeValues": ["all"]}]
    shared = {
        "DBClusterSnapshotIdentifier": "old",
        "DBClusterSnapshotAttributes": attributes,
    }
    well.right["rds", "describe_db_cluster_snapshots"] = lambda _answer: told
    well.right["rds", "describe_db_cluster_snapshot_attributes"] = lambda _none: {
        "DBClusterSnapshotAttributesResult": shared
    }
    found = well.findings()
    assert {each.code for each in found} == {"SnapshotUnencrypted", "SnapshotPublic"}
    for each in found:
        require_command(each)


@pytest.mark.parametrize(
    ("engine", "version", "forces"),
    [
        ("postgres", "14.19", False),
        ("postgres", "15.4", True),
        ("mysql", "8.4.6", False),
        ("mysql", "9.7.0", True),
        ("mariadb", "11.4.8", False),
        ("mariadb", "11.8.3", True),
    ],
)
def test_what_nobody_set_is_as_the_engines_version_has_it(
    well: Estate, engine: str, version: str, *, forces: bool
) -> None:
    """In a group that says nothing, TLS is forced from the version on that forces it by itself."""
    family = engine + re.match(r"\d+(\.\d+(?=\.))?", version)[0]  # type: ignore[index]
    name = f"default.{family}"
    group = {"DBParameterGroupName": name, "ParameterApplyStatus": "in-sync"}
    well.instance(Engine=engine, EngineVersion=version, DBParameterGroups=[group])
    well.right["rds", "describe_db_parameters"] = lambda _answer: {"Parameters": []}
    found = well.findings()
    assert {each.code for each in found} == (set() if forces else {"TlsNotForced"})
    for each in found:
        assert f"--db-parameter-group-family {family}" in each.do
        assert f"modify-db-instance --db-instance-identifier {INSTANCE}" in each.do
        require_command(each)


@pytest.mark.parametrize("value", ["1", "ON", "on", "true"])
def test_a_switch_is_on_however_it_is_written(well: Estate, value: str) -> None:
    """Instances say 1 and clusters ON; both are on."""
    told = {"Parameters": [{"ParameterName": "rds.force_ssl", "ParameterValue": value}]}
    well.right["rds", "describe_db_parameters"] = lambda _answer: told
    assert well.findings() == []
    well.is_well = True


@pytest.mark.parametrize(
    ("tag", "arn", "alter"),
    [
        (INSTANCE_TAG, f"arn:aws:rds:{REGION}:{ACCOUNT}:db:{INSTANCE}", lambda _made: None),
        (CLUSTER_TAG, f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:{CLUSTER}", cluster),
    ],
)
def test_a_secret_that_rds_manages_is_found_by_its_tag(
    well: Estate, tag: str, arn: str, alter: Callable[[Estate], None]
) -> None:
    """Such a secret has no host in it: RDS's own tag names the database, and no value is read."""
    alter(well)
    made = well.service._operations.find(SECRET)
    made.tags, made.owning_service = {tag: arn}, "rds"
    well.denied = {("secretsmanager", "get_secret_value")}
    row = well.look().secrets[0]
    assert row.facts["database"] == arn.rpartition(":")[2]
    assert row.facts["storage_encrypted"] is True
    assert {each.level for each in row.findings} <= {Level.NOT_LOOKED_AT}


def test_a_database_elsewhere_is_no_finding(well: Estate) -> None:
    """What is not of RDS here is looked at from here alone, and said not to be of RDS."""
    at(well, host="db.example.com")
    row = well.look().secrets[0]
    assert row.facts["database"] is None
    assert row.facts["tls"] == "TLSv1.3"
    assert row.findings == ()


@pytest.mark.parametrize("value", ["just text", '["a list"]', '{"api": "token"}'])
def test_a_value_that_is_no_databases_has_none(well: Estate, value: str) -> None:
    """A secret of something else is looked at without a database."""
    well.client("secretsmanager").put_secret_value(SecretId=SECRET, SecretString=value)
    row = well.look().secrets[0]
    assert row.facts["database"] is None
    assert row.findings == ()

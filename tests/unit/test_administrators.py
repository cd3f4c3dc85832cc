"""Who the administrator of a secret is, and what proves that he belongs to its database."""

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from local.secretsmanager import SecretsManagerService
from shared.administrators import CLUSTER_TAG, INSTANCE_TAG, Administrators
from shared.errors import (
    AccessDenied,
    AdministratorIsUser,
    AdministratorUnproven,
    BadSecret,
    BadSetting,
    NotRotatable,
    RotationError,
    ServiceFailed,
    StrategyNeedsAdministrator,
    Throttled,
)
from shared.model import Login
from shared.options import Tag
from shared.session import Pair
from shared.store import SecretStore

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient

OWN = "arn:the-rotated-secret"
CREDENTIALS = {"username": "admin", "password": "the admin's passw0rd"}


@pytest.fixture
def rds(service: SecretsManagerService) -> "RDSClient":
    """RDS, empty."""
    # Of a session made since moto was imported: only those come to it.
    client: RDSClient = boto3.Session("local", "local", region_name="eu-central-1").client("rds")
    return client


def never() -> "RDSClient":
    """Stand in for RDS where it must not be asked."""
    raise AssertionError("RDS was asked")


def found(
    service: SecretsManagerService,
    arn: str | None,
    rds: "Callable[[], RDSClient]" = never,
    rotated: Iterable[str] = ("app",),
    *,
    adopting: bool = False,
    **fields: Any,  # noqa: ANN401 (any JSON value)
) -> Login:
    """Return the administrator of a secret with this masterarn and these fields."""
    document = {
        "host": "db.example.com",
        "port": 5432,
        "username": "app",
        "password": "the app's passw0rd",
        "dbname": "orders",
        **({} if arn is None else {"masterarn": arn}),
        **fields,
    }
    login = Login.parse(json.dumps(document), where="the secret")
    administrators = Administrators(SecretStore(service.client()), rds, default_port=5432)
    return administrators.login_for(login, OWN, rotated, adopting=adopting)


def administrator(
    service: SecretsManagerService,
    tags: dict[str, str] | None = None,
    **fields: Any,  # noqa: ANN401 (any JSON value)
) -> str:
    """Make an administrator's secret with these fields besides his credentials."""
    return service.create_secret("administrator", {**CREDENTIALS, **fields}, tags)


# Equal addresses


@pytest.mark.parametrize(
    ("his", "rotated"),
    [
        ({"host": "db.example.com", "port": 5432}, {}),
        ({"host": "DB.Example.COM", "port": "5432"}, {}),
        ({"host": "db.example.com."}, {}),
        ({"host": "db.example.com"}, {"port": None}),
        ({"host": "db.example.com", "port": 6543}, {"port": "6543"}),
    ],
)
def test_equal_addresses_are_proof(
    service: SecretsManagerService, his: dict[str, Any], rotated: dict[str, Any]
) -> None:
    """Host and port agree, whatever their spelling; the default port counts as written."""
    login = found(service, administrator(service, **his), **rotated)
    assert (login.username, login.password) == ("admin", "the admin's passw0rd")
    assert login.host == "db.example.com"
    assert login.dbname == "orders"


@pytest.mark.parametrize(
    "his",
    [
        {"host": "db.example.com.evil.example", "port": 5432},
        {"host": "db.example.com", "port": 5433},
        {"host": "10.0.0.1", "port": 5432},
    ],
)
def test_other_addresses_are_not(service: SecretsManagerService, his: dict[str, Any]) -> None:
    """Any other host or port is unproven; the message names both, and no password."""
    with pytest.raises(AdministratorUnproven) as caught:
        found(service, administrator(service, **his))
    assert his["host"] in caught.value.message
    assert "db.example.com:5432" in caught.value.message
    assert "passw0rd" not in str(caught.value)


def test_administrator_s_own_tls(service: SecretsManagerService) -> None:
    """Plaintext for the user is not plaintext for the administrator."""
    arn = administrator(service, host="db.example.com")
    assert found(service, arn, ssl=False).tls is True


@pytest.mark.parametrize("his", [{"dbname": "postgres"}, {}])
def test_administrator_s_database(service: SecretsManagerService, his: dict[str, Any]) -> None:
    """He comes to the user's database, where the lock is; his own is still in the document."""
    arn = administrator(service, host="db.example.com", **his)
    login = found(service, arn)
    assert login.dbname == "orders"
    assert login.document.get("dbname") == his.get("dbname")


# Who may not be the administrator


def test_secret_without_an_administrator(service: SecretsManagerService) -> None:
    """Without masterarn there is none."""
    with pytest.raises(StrategyNeedsAdministrator):
        found(service, None)


def test_secret_that_names_itself(service: SecretsManagerService) -> None:
    """A secret is not its own administrator."""
    with pytest.raises(AdministratorIsUser):
        found(service, OWN)


@pytest.mark.parametrize("rotated", [("admin",), Pair("app", "admin", OWN)])
def test_administrator_that_is_rotated(
    service: SecretsManagerService, rotated: Iterable[str]
) -> None:
    """Neither is one of the users that it rotates."""
    with pytest.raises(AdministratorIsUser):
        found(service, administrator(service, host="db.example.com"), rotated=rotated)


def test_administrator_s_secret_that_is_not_usable(service: SecretsManagerService) -> None:
    """A broken secret of the administrator's is named as his."""
    arn = service.create_secret("administrator", {"username": "admin"})
    with pytest.raises(BadSecret, match=r"`password` of AWSCURRENT of the administrator's secret"):
        found(service, arn)


@pytest.mark.parametrize(
    ("error", "kind", "says", "advice"),
    [
        (
            "ResourceNotFoundException",
            NotRotatable,
            "ResourceNotFound",
            "this one",
        ),
        ("AccessDeniedException", AccessDenied, "AccessDenied", "rotation:administrator"),
        ("ThrottlingException", Throttled, "Throttling", "repeats"),
    ],
)
@pytest.mark.parametrize("operation", ["describe_secret", "get_secret_value"])
def test_masterarn_that_cannot_be_read(
    service: SecretsManagerService,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    error: str,
    kind: type[RotationError],
    says: str,
    advice: str,
) -> None:
    """It is told which field of which secret names what cannot be read, and what helps."""

    def refuse(**request: str) -> None:
        raise ClientError({"Error": {"Code": error}}, operation)

    arn, client = administrator(service, host="db.example.com"), service.client()
    monkeypatch.setattr(client, operation, refuse)
    monkeypatch.setattr(service, "client", lambda: client)
    with pytest.raises(kind, match=f"^`masterarn` of {OWN} names {arn}, .*{says}") as caught:
        found(service, arn)
    assert advice in caught.value.advice
    assert "passw0rd" not in str(caught.value)


def test_masterarn_that_names_nothing(service: SecretsManagerService) -> None:
    """A misspelt ARN is looked for where it stands."""
    with pytest.raises(NotRotatable, match=f"^`masterarn` of {OWN} names arn:typo, which"):
        found(service, "arn:typo")


# Whom he may be used for


@pytest.mark.parametrize(
    ("patterns", "rotated"),
    [
        (None, ("app",)),
        ("app", ("app",)),
        (" reports  app ", ("app",)),
        ("*", ("app",)),
        ("app app_clone", Pair("app", "app_clone", OWN)),
        ("app*", Pair("app", "app_clone", OWN)),
        ("*_clone ap*", Pair("app", "app_clone", OWN)),
        ("a*p*", ("a new\nline p.",)),
        ("a.c [x]", ("[x]",)),
    ],
)
def test_users_whom_he_may_be_used_for(
    service: SecretsManagerService, patterns: str | None, rotated: Iterable[str]
) -> None:
    """Without the tag everybody; else who matches it, an asterisk standing for anything."""
    tags = {} if patterns is None else {Tag.ROTATES.value: patterns}
    arn = administrator(service, tags, host="db.example.com")
    assert found(service, arn, rotated=rotated).username == "admin"


@pytest.mark.parametrize(
    ("patterns", "rotated", "refused"),
    [
        ("reports", ("app",), "app"),
        ("", ("app",), "app"),
        ("app", ("app2",), "app2"),
        ("app", ("my app",), "my app"),
        ("app", Pair("app", "app_clone", OWN), "app_clone"),
        ("app_clone", Pair("app", "app_clone", OWN), "app"),
        ("a?p a.p [a]pp", ("app",), "app"),
        ("APP", ("app",), "app"),
    ],
)
def test_users_whom_he_may_not_be_used_for(
    service: SecretsManagerService,
    monkeypatch: pytest.MonkeyPatch,
    patterns: str,
    rotated: Iterable[str],
    refused: str,
) -> None:
    """Anybody else is refused, both users of a pair, and before his password is even read."""
    arn = administrator(service, {Tag.ROTATES: patterns}, host="db.example.com")
    client = service.client()
    monkeypatch.setattr(client, "get_secret_value", None)
    monkeypatch.setattr(service, "client", lambda: client)
    with pytest.raises(
        AdministratorUnproven, match=f"{Tag.ROTATES} .*{arn}.* name {refused}\\."
    ) as caught:
        found(service, arn, rotated=rotated)
    assert "Add the user" in caught.value.advice


def test_adoption_has_to_be_allowed(service: SecretsManagerService) -> None:
    """Who may only tag a rotated secret cannot take over a user: the other secret names it, too."""
    pair = Pair("app", "app2", OWN)
    arn = administrator(service, host="db.example.com")
    with pytest.raises(AdministratorUnproven, match=f"{Tag.ROTATES} .*{arn} does not name app\\."):
        found(service, arn, rotated=pair, adopting=True)
    service.client().tag_resource(SecretId=arn, Tags=[{"Key": Tag.ROTATES, "Value": "app app2"}])
    assert found(service, arn, rotated=pair, adopting=True).username == "admin"


def test_misspelt_tag_of_the_administrator_s_secret(service: SecretsManagerService) -> None:
    """A limit that is misspelt is not passed over as if there were none."""
    arn = administrator(service, {"rotation:rotate": "app"}, host="db.example.com")
    with pytest.raises(BadSetting, match=f"of {arn} .* did you mean {Tag.ROTATES}"):
        found(service, arn)


# What RDS says


def instance(rds: "RDSClient", name: str, **options: Any) -> tuple[str, str, int]:  # noqa: ANN401
    """Make an instance; return its ARN and its address."""
    made = rds.create_db_instance(
        DBInstanceIdentifier=name,
        DBInstanceClass="db.t4g.micro",
        **{"Engine": "postgres", **options},
    )["DBInstance"]
    return made["DBInstanceArn"], made["Endpoint"]["Address"], made["Endpoint"]["Port"]


def test_managed_administrator_of_an_instance(
    service: SecretsManagerService, rds: "RDSClient"
) -> None:
    """An RDS-managed secret has no host: RDS tells where, by the system tag."""
    arn, host, port = instance(rds, "orders")
    secret = service.create_secret("rds!db", CREDENTIALS, {INSTANCE_TAG: arn}, "rds")
    login = found(service, secret, lambda: rds, host=host, port=port)
    assert (login.host, login.port, login.username) == (host.lower(), port, "admin")


def test_replica_of_the_administrator_s_instance(
    service: SecretsManagerService, rds: "RDSClient"
) -> None:
    """A secret for a read replica is proven; the administrator logs in at the writer."""
    arn, host, port = instance(rds, "orders")
    replica = rds.create_db_instance_read_replica(
        DBInstanceIdentifier="orders-replica", SourceDBInstanceIdentifier="orders"
    )["DBInstance"]["Endpoint"]
    secret = service.create_secret("rds!db", CREDENTIALS, {INSTANCE_TAG: arn}, "rds")
    login = found(service, secret, lambda: rds, host=replica["Address"], port=replica["Port"])
    assert (login.host, login.port) == (host.lower(), port)


def test_managed_administrator_of_another_instance(
    service: SecretsManagerService, rds: "RDSClient"
) -> None:
    """Another instance is unproven."""
    arn, _, _ = instance(rds, "orders")
    _, host, port = instance(rds, "other")
    secret = service.create_secret("rds!db", CREDENTIALS, {INSTANCE_TAG: arn}, "rds")
    with pytest.raises(AdministratorUnproven, match="where RDS says"):
        found(service, secret, lambda: rds, host=host, port=port)


def test_managed_administrator_of_a_cluster(
    service: SecretsManagerService, rds: "RDSClient"
) -> None:
    """An RDS-managed secret of a cluster: its writer and its reader are proven, by the tag."""
    cluster = rds.create_db_cluster(
        DBClusterIdentifier="orders",
        Engine="aurora-postgresql",
        MasterUsername="admin",
        MasterUserPassword="the admin's passw0rd",
    )["DBCluster"]
    instance(rds, "orders-1", DBClusterIdentifier="orders", Engine="aurora-postgresql")
    secret = service.create_secret(
        "rds!cluster", CREDENTIALS, {CLUSTER_TAG: cluster["DBClusterArn"]}, "rds"
    )
    port = cluster["Port"]
    for host in (cluster["Endpoint"], cluster["ReaderEndpoint"]):
        login = found(service, secret, lambda: rds, host=host, port=port)
        assert login.host == cluster["Endpoint"].lower()


class _Rds:
    """RDS as its documentation has it, where moto leaves fields out."""

    def __init__(self, *, replicas: tuple[str, ...] = (), error: Exception | None = None) -> None:
        self.asked: list[str] = []
        self._replicas = replicas
        self._error = error

    def describe_db_clusters(self, **request: str) -> dict[str, Any]:
        """Tell one cluster."""
        self.asked.append(request["DBClusterIdentifier"])
        cluster = {
            "Endpoint": "writer.example.com",
            "ReaderEndpoint": "reader.example.com",
            "CustomEndpoints": ["custom.example.com"],
            "Port": 5432,
        }
        return {"DBClusters": [cluster]}

    def describe_db_instances(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401
        """Tell one instance, which is also the cluster's member."""
        name = request.get("DBInstanceIdentifier", "member")
        self.asked.append(name)
        if self._error is not None:
            raise self._error
        if name.startswith("arn:aws:rds:us-east-1:"):
            raise ClientError({"Error": {"Code": "DBInstanceNotFound"}}, "DescribeDBInstances")
        if name == "being-created":
            return {"DBInstances": [{"ReadReplicaDBInstanceIdentifiers": []}]}
        host = "instance" if name.startswith("arn:") else name
        endpoint = {"Address": f"{host}.example.com", "Port": 5432}
        replicas = [*self._replicas] if host == "instance" else []
        return {
            "DBInstances": [{"Endpoint": endpoint, "ReadReplicaDBInstanceIdentifiers": replicas}]
        }


@pytest.mark.parametrize("host", ["writer", "reader", "custom", "member"])
def test_every_endpoint_of_a_cluster(service: SecretsManagerService, host: str) -> None:
    """Whichever endpoint the rotated secret names, the administrator logs in at the writer."""
    secret = service.create_secret("rds!cluster", CREDENTIALS, {CLUSTER_TAG: "arn:c"}, "rds")
    rds: Any = _Rds()
    login = found(service, secret, lambda: rds, host=f"{host}.example.com")
    assert login.host == "writer.example.com"


def test_administrator_at_another_endpoint_of_the_cluster(service: SecretsManagerService) -> None:
    """A cluster named by the administrator's secret proves both of its endpoints."""
    arn = administrator(service, host="writer.example.com", dbClusterIdentifier="orders")
    rds: Any = _Rds()
    login = found(service, arn, lambda: rds, host="reader.example.com")
    assert login.host == "writer.example.com"
    assert rds.asked[0] == "orders"


def test_identifier_in_the_rotated_secret_proves_nothing(service: SecretsManagerService) -> None:
    """Only the administrator's own secret may name the cluster."""
    arn = administrator(service, host="writer.example.com")
    with pytest.raises(AdministratorUnproven):
        found(service, arn, host="reader.example.com", dbClusterIdentifier="orders")


def test_administrator_s_host_must_be_of_the_cluster(service: SecretsManagerService) -> None:
    """An administrator's host that is none of the cluster's is not where he is sent."""
    arn = administrator(service, host="elsewhere.example.com", dbClusterIdentifier="orders")
    rds: Any = _Rds()
    with pytest.raises(AdministratorUnproven):
        found(service, arn, lambda: rds, host="reader.example.com")


def test_tags_of_an_ordinary_secret_prove_nothing(service: SecretsManagerService) -> None:
    """A secret with a host is believed its host, not a tag."""
    arn = service.create_secret(
        "administrator", {**CREDENTIALS, "host": "db2.example.com"}, {CLUSTER_TAG: "arn:c"}
    )
    with pytest.raises(AdministratorUnproven):
        found(service, arn)


def test_replica_in_another_region_does_no_harm(service: SecretsManagerService) -> None:
    """A replica that this Region's RDS does not know is none of the addresses, and no error."""
    secret = service.create_secret("rds!db", CREDENTIALS, {INSTANCE_TAG: "arn:i"}, "rds")
    rds: Any = _Rds(replicas=("arn:aws:rds:us-east-1:123456789012:db:far", "near"))
    for host in ("instance", "near"):
        login = found(service, secret, lambda: rds, host=f"{host}.example.com")
        assert login.host == "instance.example.com"


def test_writer_is_proven_without_asking_for_replicas(service: SecretsManagerService) -> None:
    """Where the writer itself is meant, one request to RDS is enough."""
    secret = service.create_secret("rds!db", CREDENTIALS, {INSTANCE_TAG: "arn:i"}, "rds")
    rds: Any = _Rds(replicas=("near",))
    found(service, secret, lambda: rds, host="instance.example.com")
    assert rds.asked == ["arn:i"]


def test_instance_that_is_being_created(service: SecretsManagerService) -> None:
    """An instance without an endpoint yet proves nothing."""
    secret = service.create_secret("rds!db", CREDENTIALS, {INSTANCE_TAG: "being-created"}, "rds")
    rds: Any = _Rds()
    with pytest.raises(AdministratorUnproven):
        found(service, secret, lambda: rds)


def test_administrator_without_host_or_tags(service: SecretsManagerService) -> None:
    """Nothing to go by is unproven."""
    with pytest.raises(AdministratorUnproven):
        found(service, administrator(service))


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ClientError({"Error": {"Code": "AccessDenied"}}, "x"), AccessDenied, "AccessDenied"),
        *(
            (ClientError({"Error": {"Code": code}}, "x"), AdministratorUnproven, code)
            for code in ("DBInstanceNotFound", "DBClusterNotFoundFault", "InvalidParameterValue")
        ),
        (ClientError({}, "x"), ServiceFailed, "unknown"),
        (EndpointConnectionError(endpoint_url="https://x"), ServiceFailed, "no answer"),
    ],
)
def test_rds_that_refuses(
    service: SecretsManagerService, error: Exception, kind: type[Exception], text: str
) -> None:
    """What RDS answers is told by its code."""
    secret = service.create_secret("rds!db", CREDENTIALS, {INSTANCE_TAG: "arn:i"}, "rds")
    rds: Any = _Rds(error=error)
    with pytest.raises(kind, match=text) as caught:
        found(service, secret, lambda: rds)
    assert type(caught.value) is kind

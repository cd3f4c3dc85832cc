"""What the name of a database's host tells."""

import pytest

from shared.hosts import ends_with_port, is_host, is_rds_proxy, rds_region, related_hosts

ACCOUNT = "c9akciq32rgh.eu-central-1.rds.amazonaws.com"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "db.example.com",
        "10.0.0.1",
        "::1",
        "fe80::1%eth0",
        "Db_1.ünïcode.example",
    ],
)
def test_hosts(host: str) -> None:
    """Names and addresses are hosts, and have no port."""
    assert is_host(host)
    assert not ends_with_port(host)


@pytest.mark.parametrize(
    "host",
    [
        "/tmp",  # noqa: S108
        "a b",
        "a,b",
        "@x",
        "a\nb",
        "a\\b",
        "a'b",
        "a\u2003b",
        "localhost:5432",
        "[::1]",
        "a:b",
        "postgres://db.example.com",
    ],
)
def test_what_is_no_host(host: str) -> None:
    """Paths, lists, spaces, control characters, ports and URLs are not."""
    assert not is_host(host)


@pytest.mark.parametrize("text", ["localhost:5432", "[::1]:5432", "10.0.0.1:1"])
def test_hosts_with_a_port(text: str) -> None:
    """A port at the end of a host is recognised, so that it can be named."""
    assert ends_with_port(text)


@pytest.mark.parametrize("text", ["a:b", "::1:5", ":5432:", "[::1]", "a b:5432"])
def test_what_has_no_port(text: str) -> None:
    """Only digits after a host are a port; an address of many colons has none."""
    assert not ends_with_port(text)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        (f"orders.{ACCOUNT}", "eu-central-1"),
        (f"orders.cluster-ro-{ACCOUNT}", "eu-central-1"),
        (f"ORDERS.{ACCOUNT.upper()}.", "eu-central-1"),
        ("orders.abc123.us-gov-west-1.rds.amazonaws.com", "us-gov-west-1"),
        ("orders.abc123.rds.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("orders.abc123.eusc-de-east-1.rds.amazonaws.eu", "eusc-de-east-1"),
        ("db.example.com", None),
        (f"orders.{ACCOUNT}.example.com", None),
        ("rds.amazonaws.com", None),
        ("../../a.eu-central-1/.rds.amazonaws.com", None),
    ],
)
def test_region(host: str, region: str | None) -> None:
    """A name of RDS's tells its Region, in China too, where it stands elsewhere."""
    assert rds_region(host) == region


@pytest.mark.parametrize(
    ("host", "proxy"),
    [
        (f"orders.proxy-{ACCOUNT}", True),
        (f"reads.endpoint.proxy-{ACCOUNT}", True),
        (f"Orders.Proxy-{ACCOUNT}.", True),
        ("orders.proxy-abc123.rds.cn-north-1.amazonaws.com.cn", True),
        (f"orders.{ACCOUNT}", False),
        (f"proxy-orders.{ACCOUNT}", False),
        (f"orders.cluster-{ACCOUNT}", False),
        ("db.proxy-abc.example.com", False),
    ],
)
def test_proxies(host: str, proxy: bool) -> None:
    """Both kinds of a proxy's endpoints are recognised, and nothing else."""
    assert is_rds_proxy(host) is proxy


RELATED = [
    (f"orders.{ACCOUNT}", f"orders-replica.{ACCOUNT}"),
    (f"orders.cluster-{ACCOUNT}", f"orders.cluster-ro-{ACCOUNT}"),
    (f"orders.cluster-{ACCOUNT}", f"reports.cluster-custom-{ACCOUNT}"),
    (f"orders.cluster-{ACCOUNT}", f"orders-2.{ACCOUNT}"),
    (f"orders.cluster-custom-{ACCOUNT}", f"orders-2.{ACCOUNT}"),
    (f"Orders.{ACCOUNT}.", f"replica.{ACCOUNT.upper()}"),
    ("a.abc.rds.cn-north-1.amazonaws.com.cn", "b.cluster-ro-abc.rds.cn-north-1.amazonaws.com.cn"),
    ("db.example.com", "db-reader.example.com"),
    ("db.prod.example.com", "reader.prod.example.com"),
    ("db.internal", "reader.internal"),
    ("localhost", "localhost"),
    ("LOCALHOST.", "localhost"),
    ("10.0.0.1", "10.0.0.1"),
    ("::1", "0:0:0:0:0:0:0:1"),
    (f"orders.proxy-{ACCOUNT}", f"orders.proxy-{ACCOUNT}"),
    ("ec2-1.compute.amazonaws.com", "ec2-1.compute.amazonaws.com"),
]

UNRELATED = [
    # Another account, Region or partition.
    (f"orders.{ACCOUNT}", "orders.zzzzzzzzzzzz.eu-central-1.rds.amazonaws.com"),
    (f"orders.{ACCOUNT}", "orders.c9akciq32rgh.eu-west-1.rds.amazonaws.com"),
    ("a.abc.rds.cn-north-1.amazonaws.com.cn", "a.abc.cn-north-1.rds.amazonaws.com"),
    ("a.abc.cn-north-1.rds.amazonaws.com", "a.abc.cn-north-1.rds.amazonaws.eu"),
    (f"orders.cluster-{ACCOUNT}", "orders.cluster-ro-zzz.eu-central-1.rds.amazonaws.com"),
    # A name that only looks like one of RDS's, and a CNAME, whose owner the name does not tell.
    (f"orders.{ACCOUNT}", f"orders.{ACCOUNT}.example.com"),
    (f"orders.{ACCOUNT}", "reader.example.com"),
    ("reader.example.com", f"orders.{ACCOUNT}"),
    # What is behind a proxy or a global database, the name does not tell.
    (f"orders.{ACCOUNT}", f"orders.proxy-{ACCOUNT}"),
    (f"orders.proxy-{ACCOUNT}", f"reads.endpoint.proxy-{ACCOUNT}"),
    ("a.global-abc.global.rds.amazonaws.com", "b.global-abc.global.rds.amazonaws.com"),
    # Other domains.
    ("db.example.com", "db.example.org"),
    ("db.example.com", "reader.db.example.com"),
    ("db.example.com", "example.com"),
    ("db.example.com", "db.example.com.evil.example"),
    # Nobody owns a top-level domain.
    ("example.com", "evil.com"),
    ("localhost", "reader"),
    ("localhost", "127.0.0.1"),
    # Addresses have no domain.
    ("10.0.0.1", "10.0.0.2"),
    ("10.0.0.1", "9.0.0.1"),
    ("10.0.0.1", "x.0.0.1"),
    ("::1", "::2"),
    # Machines of any customer.
    ("ec2-1.eu-west-1.compute.amazonaws.com", "ec2-2.eu-west-1.compute.amazonaws.com"),
    ("ip-10-0-0-1.ec2.internal", "ip-10-0-0-2.ec2.internal"),
    ("ip-1.eu-west-1.compute.internal", "ip-2.eu-west-1.compute.internal"),
]


@pytest.mark.parametrize(("writer", "reader"), RELATED)
def test_related_hosts(writer: str, reader: str) -> None:
    """Endpoints of one account, and names of one domain, belong together, whichever comes first."""
    assert related_hosts(writer, reader)
    assert related_hosts(reader, writer)


@pytest.mark.parametrize(("writer", "reader"), UNRELATED)
def test_unrelated_hosts(writer: str, reader: str) -> None:
    """Any other two do not, whichever comes first."""
    assert not related_hosts(writer, reader)
    assert not related_hosts(reader, writer)

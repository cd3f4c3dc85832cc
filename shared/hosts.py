"""What the name of a database's host tells: whether it is one, whose it is, and of which Region."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

NOT_IN_HOSTS = frozenset(" /\\@,'\"")

REGION = r"[a-z]+(?:-[a-z]+)*(?:-[0-9]+)?"
RDS_NAME = re.compile(
    rf"""(?:[^.]+\.)+                                     # of an instance, cluster or endpoint
        (?P<kind>(?:cluster-(?:ro-|custom-)?|proxy-|global-)?)(?P<account>[a-z0-9]+)\.
        (?P<rest>(?:(?P<region>{REGION})\.rds|rds\.(?P<region_of_china>{REGION}))
                 \.amazonaws\.(?:com|com\.cn|eu))""",
    re.VERBOSE,
)
"""The name that RDS gives an instance, a cluster, its readers or a proxy. The account's part is a
hash that all databases of an account in a Region have in common.
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Aurora.Endpoints.Cluster.html"""

ANYBODYS = re.compile(r"\.(amazonaws\.(com|com\.cn|eu)|on\.aws|(compute|ec2)\.internal)$")
"""Names that AWS gives to machines of any customer: that two of them share a domain tells nothing
(RDS's own apart)."""

PRIVATE_ZONES = frozenset({"internal", "local", "test"})
"""Top-level domains that nobody can register (ICANN 2024, RFC 6762, RFC 6761)."""


def is_host(text: str) -> bool:
    """Say whether ``text`` can be one DNS name or address, without a port.

    libpq takes more: a path or ``@name`` is a socket, to which it speaks without TLS whatever it
    was told, and a comma makes a list.
    """
    if not text.isprintable() or NOT_IN_HOSTS & set(text):
        return False
    return ":" not in text or _address(text) is not None


def ends_with_port(text: str) -> bool:
    """Say whether ``text`` is a host and a port: ``db.example.com:5432``, ``[::1]:5432``."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    return bool(colon) and port.isdigit() and is_host(host) and not is_host(text)


def rds_region(host: str) -> str | None:
    """Return the Region that a name of RDS's tells, None for any other name."""
    match = RDS_NAME.fullmatch(_comparable(host))
    return match["region"] or match["region_of_china"] if match else None


def is_rds_proxy(host: str) -> bool:
    """Say whether ``host`` is an endpoint of an RDS Proxy.

    A proxy logs clients in by its own copy of the secret, so that a login through it proves nothing
    about the database.
    https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-proxy-connecting.html
    """
    match = RDS_NAME.fullmatch(_comparable(host))
    return match is not None and match["kind"] == "proxy-"


def related_hosts(writer: str, reader: str) -> bool:
    """Say whether two names alone show that both hosts have the same owner.

    Names of RDS's must share account, Region and suffix, and be no proxy's; other names the domain,
    which is everything after the first label. Addresses, names of one label, and names that AWS
    gives to anybody's machines must be equal.
    """
    one, other = _comparable(writer), _comparable(reader)
    if one == other:
        return True
    owners = [_rds_owner(name) for name in (one, other)]
    if owners[0] or owners[1]:
        return owners[0] == owners[1]
    if _address(one) or _address(other):
        return _address(one) == _address(other)
    domain = one.partition(".")[2]
    registered = "." in domain or domain in PRIVATE_ZONES
    return registered and not ANYBODYS.search(one) and other.partition(".")[2] == domain


def _rds_owner(name: str) -> tuple[str, str] | None:
    match = RDS_NAME.fullmatch(name)
    if match is None or match["kind"] in ("proxy-", "global-"):
        return None
    return match["account"], match["rest"]


def _comparable(host: str) -> str:
    return host.lower().removesuffix(".")


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None

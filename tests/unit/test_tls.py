"""One trust decision, for each kind of driver."""

import ssl
from pathlib import Path

import pytest

from local.servers import Authority
from shared.errors import BadSetting
from shared.tls import RDS_AND_AMAZON_ROOTS, Trust

HOST = "db.example.com"
ACCOUNT = "c9akciq32rgh.eu-central-1.rds.amazonaws.com"


def test_built_in_bundle() -> None:
    """Without a file, the authorities of RDS and of Amazon are trusted."""
    trust = Trust()
    assert trust.file_for(HOST) == RDS_AND_AMAZON_ROOTS
    assert len(trust.context_for(HOST).get_ca_certs()) > 50


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (HOST, "ca.pem"),
        ("localhost", "ca.pem"),
        ("10.0.0.1", "ca.pem"),
        (f"orders.{ACCOUNT}", "eu-central-1.pem"),
        (f"orders.proxy-{ACCOUNT}", "eu-central-1.pem"),
        (f"ORDERS.{ACCOUNT.upper()}.", "eu-central-1.pem"),
        (f"orders.{ACCOUNT}.example.com", "ca.pem"),
        ("orders.abc.us-gov-west-1.rds.amazonaws.com", "ca.pem"),
        ("orders.abc.rds.cn-north-1.amazonaws.com.cn", "ca.pem"),
        ("orders.abc.../../eu-central-1.rds.amazonaws.com", "ca.pem"),
    ],
)
def test_file_beside_the_built_in_authorities(tmp_path: Path, host: str, expected: str) -> None:
    """A function has databases of both kinds; the file is for those that are not RDS's."""
    (tmp_path / "ca.pem").write_bytes(Authority().certificate)
    trust = Trust(str(tmp_path / "ca.pem"))
    assert trust.file_for(host).name == expected
    loaded = trust.context_for(host).get_ca_certs()
    assert len(loaded) == (1 if expected == "ca.pem" else 8)


def test_context_is_made_once_for_each_file() -> None:
    """Reading authorities is slow, and an application may be shut out meanwhile."""
    trust = Trust()
    assert trust.context_for(HOST) is trust.context_for("localhost")
    assert trust.context_for(f"a.{ACCOUNT}") is trust.context_for(f"b.cluster-{ACCOUNT}")
    assert trust.context_for(f"a.{ACCOUNT}") is not trust.context_for(HOST)


@pytest.mark.parametrize("host", [HOST, f"orders.{ACCOUNT}"])
def test_verification_is_complete(host: str) -> None:
    """Chain and host name are checked, and nothing older than TLS 1.2 is spoken."""
    context = Trust().context_for(host)
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_libpq_s_rendering() -> None:
    """Libpq is told verify-full, or to speak plaintext; never anything in between."""
    assert Trust().libpq(HOST, tls=True) == {
        "sslmode": "verify-full",
        "sslrootcert": str(RDS_AND_AMAZON_ROOTS),
        "ssl_min_protocol_version": "TLSv1.2",
        "gssencmode": "disable",
    }
    assert Trust().libpq(HOST, tls=False) == {"sslmode": "disable", "gssencmode": "disable"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read"),
        ("", "no certificate"),
        ("-----BEGIN RSA PRIVATE KEY-----", "no certificate"),
    ],
)
def test_file_that_is_no_bundle(tmp_path: Path, content: str | None, why: str) -> None:
    """A file that is missing, or holds no certificate, is a bad setting at once."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(BadSetting, match="DATABASE_CA_FILE") as caught:
        Trust(path)
    assert why in caught.value.message


def test_folder_instead_of_a_file(tmp_path: Path) -> None:
    """A folder is no file."""
    with pytest.raises(BadSetting, match="cannot be read"):
        Trust(tmp_path)


def test_damaged_certificate(tmp_path: Path) -> None:
    """A certificate that cannot be parsed is a bad setting when it is needed."""
    path = tmp_path / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises(BadSetting, match="damaged"):
        Trust(path).context_for(HOST)

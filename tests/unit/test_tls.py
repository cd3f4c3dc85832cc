"""One trust decision, for each kind of driver."""

import ssl
from pathlib import Path

import pytest

from local.servers import Authority
from shared.errors import BadSetting
from shared.tls import RDS_AND_AMAZON_ROOTS, Trust

HOST = "db.example.com"


def test_built_in_bundle() -> None:
    """Without a file, the authorities of RDS and of Amazon are trusted."""
    trust = Trust()
    assert trust.ca_file == RDS_AND_AMAZON_ROOTS
    assert len(trust.context.get_ca_certs()) > 50


def test_file_takes_the_bundle_s_place(tmp_path: Path) -> None:
    """A file of one's own is trusted alone."""
    (tmp_path / "ca.pem").write_bytes(Authority().certificate)
    trust = Trust(str(tmp_path / "ca.pem"))
    assert len(trust.context.get_ca_certs()) == 1


def test_verification_is_complete() -> None:
    """Chain and host name are checked, and nothing older than TLS 1.2 is spoken."""
    context = Trust().context
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
        _ = Trust(path).context

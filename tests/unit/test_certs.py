"""The certificate authorities that are built in are whole, known by source, and good for long."""

import hashlib
import re
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from local.certs import CERTS, PUBLIC_ROOTS, certificates, common_name
from shared.tls import Trust

BUNDLE = CERTS / "bundle.pem"
PROVENANCE = (CERTS / "README.md").read_text()
REGIONS = re.findall(r"^Regions: (.*)$", PROVENANCE, re.MULTILINE)[0].split()


@pytest.fixture(scope="module")
def authorities() -> list[x509.Certificate]:
    """The certificates of the bundle."""
    return certificates(BUNDLE.read_text())


def test_the_bundle_is_the_one_whose_source_is_recorded() -> None:
    """The SHA-256 that the provenance names is the bundle's."""
    recorded = re.findall(r"SHA-256 of `bundle.pem` \| `([0-9a-f]{64})`", PROVENANCE)
    assert recorded == [hashlib.sha256(BUNDLE.read_bytes()).hexdigest()]


def test_no_authority_expires_within_a_year(authorities: list[x509.Certificate]) -> None:
    """There is a year's notice before any authority expires; `python -m local.certs` refreshes."""
    soon = datetime.now(UTC) + timedelta(days=365)
    assert [common_name(one) for one in authorities if one.not_valid_after_utc < soon] == []


def test_every_certificate_may_sign_others(authorities: list[x509.Certificate]) -> None:
    """Only certificate authorities are trusted, no single server."""
    for authority in authorities:
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints)
        assert constraints.value.ca, common_name(authority)


@pytest.mark.parametrize("region", REGIONS)
def test_a_region_has_every_authority_rds_offers(
    region: str, authorities: list[x509.Certificate]
) -> None:
    """RDS offers three authorities in each Region (rds-ca-rsa2048-g1, -rsa4096-g1, -ecc384-g1)."""
    names = {common_name(authority) for authority in authorities}
    for kind in ("RSA2048", "RSA4096", "ECC384"):
        assert f"Amazon RDS {region} Root CA {kind} G1" in names


@pytest.mark.parametrize("region", REGIONS)
def test_a_regions_own_file_has_what_vouches_there(region: str) -> None:
    """For a host name with the Region, its three authorities and the public roots are trusted."""
    host = f"shop.cluster-ro-abc.{region}.rds.amazonaws.com"
    file = Trust().file_for(host)
    assert file.name == f"{region}.pem"
    own = [f"Amazon RDS {region} Root CA {kind} G1" for kind in ("RSA2048", "RSA4096", "ECC384")]
    found = [common_name(authority) for authority in certificates(file.read_text())]
    assert sorted(found) == sorted([*own, *PUBLIC_ROOTS])
    assert set(certificates(file.read_text())) <= set(certificates(BUNDLE.read_text()))


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "db.example.com",
        "abc.mars-north-1.rds.amazonaws.com",
        "abc.us-east-2.rds-preview.amazonaws.com",
        "abc.eu-central-1.rds.amazonaws.com.example.com",
        "../../abc.eu-central-1/.rds.amazonaws.com",
    ],
)
def test_other_hosts_are_verified_against_the_bundle(host: str) -> None:
    """A name that does not tell a Region that is known is verified against all authorities."""
    assert Trust().file_for(host) == BUNDLE


def test_no_file_of_a_region_is_left_over() -> None:
    """The folder holds the Regions that the provenance names."""
    assert sorted(path.stem for path in (CERTS / "regions").iterdir()) == REGIONS


def test_amazons_public_roots_are_there(authorities: list[x509.Certificate]) -> None:
    """RDS Proxy's certificates chain to Amazon's public roots."""
    assert {common_name(authority) for authority in authorities} >= set(PUBLIC_ROOTS)


def test_python_loads_the_bundle(authorities: list[x509.Certificate]) -> None:
    """OpenSSL takes every certificate of the bundle, comment lines notwithstanding."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(BUNDLE)
    assert context.cert_store_stats()["x509_ca"] == len(authorities)

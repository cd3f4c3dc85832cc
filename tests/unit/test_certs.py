"""The certificate authorities that are built in are whole, known by source, and good for long."""

import hashlib
import re
import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from local.certs import CERTS, PUBLIC_ROOTS, certificates, common_name

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


def test_amazons_public_roots_are_there(authorities: list[x509.Certificate]) -> None:
    """RDS Proxy's certificates chain to Amazon's public roots."""
    assert {common_name(authority) for authority in authorities} >= set(PUBLIC_ROOTS)


def test_python_loads_the_bundle(authorities: list[x509.Certificate]) -> None:
    """OpenSSL takes every certificate of the bundle, comment lines notwithstanding."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(BUNDLE)
    assert context.cert_store_stats()["x509_ca"] == len(authorities)

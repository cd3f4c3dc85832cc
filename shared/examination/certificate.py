"""When a server's certificate ends."""

import ssl
import time
from collections.abc import Iterator, Mapping

from shared.examination.check import Seen

ENDS_SOON_DAYS = 30
"""Enough for somebody to renew it, and for one more rotation of a monthly schedule."""
DAY_SECONDS = 86_400


def ends(certificate: Mapping[str, object], host: str) -> Iterator[Seen]:
    """Tell when a certificate ends soon.

    Args:
        certificate: As :meth:`ssl.SSLSocket.getpeercert` returns it, of a verified connection.
        host: Whose it is.
    """
    seconds = ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()
    days = int(seconds / DAY_SECONDS)
    if days < ENDS_SOON_DAYS:
        yield Seen("CertificateEndsSoon", f"The certificate of {host} ends in {days} days.")

"""Passwords kept out of everything that leaves the function.

The first defence is that no code puts a password into a message: ``repr`` hides it, errors are made
from codes, driver texts are not chained. This is the second one, at the boundary: every password
that an invocation has read or made is known here, and is struck from whatever is logged or raised.
"""

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote

REPLACEMENT = "[redacted]"
SHORTEST = 4
"""Shorter passwords are not struck from texts: they would match everywhere and hide everything."""


class Redactor:
    """Strikes known secrets from texts, in the forms in which a driver or a log may show them."""

    def __init__(self) -> None:
        self._forms: set[str] = set()

    def learn(self, *secrets: str | None) -> None:
        """Remember values that must never be shown."""
        for secret in secrets:
            if secret and len(secret) >= SHORTEST:
                self._forms.update(_forms(secret))

    def scrub(self, text: str) -> str:
        """Return ``text`` without any known secret."""
        # Longest first: one password may be a part of another.
        for form in sorted(self._forms, key=len, reverse=True):
            text = text.replace(form, REPLACEMENT)
        return text


def _forms(secret: str) -> Iterable[str]:
    yield secret
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield secret.replace("'", "''")
    yield secret.replace("\\", "\\\\").replace("'", "\\'")
    yield quote(secret, safe="", errors="surrogatepass")
    yield base64.b64encode(secret.encode("utf-8", "surrogatepass")).decode()

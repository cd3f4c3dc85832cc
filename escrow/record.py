"""What is sealed, and the bytes that it becomes. Nothing here does any I/O.

A record is one JSON object, so that it can be read in ten years without this project; base64 where
it holds bytes (docs/data-protection.md opens one in twenty lines)::

    format      "rotation-escrow-1"
    secret      ARN ┐
    version     id  ├ what it is about: the encryption context of the first key's wrapping
    sealed      UTC ┘
    first       {"key": ARN, "wrapped": the data key, by KMS, under that encryption context}
    second      {"key": ARN, "wrapped": the data key, by RSA-OAEP with SHA-256}
    nonce       12 bytes
    binding     HMAC-SHA256 over the header: format, secret, version, sealed, and both keys' names
    ciphertext  AES-256-GCM of the secret's text, with the header as additional data; tag at its end

Both keys of the cryptography come from the data key by HKDF-SHA256. The binding commits to the data
key, which AES-GCM alone does not: a ciphertext that opens to two texts under two keys cannot be
made. And it tells a header that was changed from a ciphertext that was.
"""

import base64
import binascii
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from escrow.errors import CiphertextTampered, ContextSwapped, FormatUnknown, RecordTruncated

FORMAT = "rotation-escrow-1"
TIME = "%Y%m%dT%H%M%S.%fZ"
"""Sorts as text as it does in time."""
DATA_KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
BINDING_BYTES = 32


@dataclass(frozen=True, slots=True)
class Context:
    """What a record is about; KMS logs it each time that the first key is used.

    Attributes:
        secret: ARN of the secret.
        version: Id of the version whose value is sealed.
        sealed: When, in UTC, as :data:`TIME` has it.
    """

    secret: str
    version: str
    sealed: str

    @classmethod
    def now(cls, secret: str, version: str) -> Self:
        """Return the context for sealing at this moment."""
        return cls(secret, version, datetime.now(UTC).strftime(TIME))

    def encryption_context(self) -> dict[str, str]:
        """Return it as KMS takes it."""
        return {"secret": self.secret, "version": self.version, "sealed": self.sealed}

    @property
    def folder(self) -> str:
        """Where in a bucket all records of the secret are."""
        return f"records/{self.secret.replace(':', '/')}/"

    @property
    def place(self) -> str:
        """Where in a bucket the record is: the newest of a secret comes last."""
        return f"{self.folder}{self.sealed}_{self.version}.json"


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The data key as one of the two keys has wrapped it.

    Attributes:
        key: ARN of that key.
        wrapped: What only that key opens.
    """

    key: str
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """One sealed credential."""

    context: Context
    first: Wrapped
    second: Wrapped
    nonce: bytes
    binding: bytes
    ciphertext: bytes

    @classmethod
    def seal(
        cls, text: str, context: Context, data_key: bytes, first: Wrapped, second: Wrapped
    ) -> Self:
        """Seal a secret's text.

        Args:
            text: What the version holds.
            context: What it is about.
            data_key: 32 random bytes, used for this record and never again.
            first: The data key, wrapped by KMS under the encryption context.
            second: The data key, wrapped by :func:`wrap`.
        """
        header = _header(context, first.key, second.key)
        sealing, binding = _keys(data_key)
        nonce = os.urandom(NONCE_BYTES)
        ciphertext = AESGCM(sealing).encrypt(nonce, text.encode(), header)
        tag = hmac.digest(binding, header, "sha256")
        return cls(context, first, second, nonce, tag, ciphertext)

    def open(self, data_key: bytes) -> str:
        """Return the text that was sealed.

        Args:
            data_key: As one of the two keys has unwrapped it.

        Raises:
            ContextSwapped: The header is not the one that was sealed, or the data key another one.
            CiphertextTampered: The rest is not.
        """
        header = _header(self.context, self.first.key, self.second.key)
        sealing, binding = _keys(data_key)
        if not hmac.compare_digest(hmac.digest(binding, header, "sha256"), self.binding):
            msg = f"The record of {self.context.secret} does not belong to what it says of itself."
            raise ContextSwapped(msg)
        try:
            return AESGCM(sealing).decrypt(self.nonce, self.ciphertext, header).decode()
        except InvalidTag:
            msg = f"The ciphertext in the record of {self.context.secret} was changed."
            raise CiphertextTampered(msg) from None

    def to_bytes(self) -> bytes:
        """Return what is stored."""
        document = {
            "format": FORMAT,
            **self.context.encryption_context(),
            "first": {"key": self.first.key, "wrapped": _text(self.first.wrapped)},
            "second": {"key": self.second.key, "wrapped": _text(self.second.wrapped)},
            "nonce": _text(self.nonce),
            "binding": _text(self.binding),
            "ciphertext": _text(self.ciphertext),
        }
        return json.dumps(document, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Read what :meth:`to_bytes` has given.

        Raises:
            RecordTruncated: It is not whole.
            FormatUnknown: It is of another format.
        """
        try:
            document = json.loads(stored)
            found = document["format"]
            if found == FORMAT:
                return cls._read(document)
        except (ValueError, TypeError, KeyError):
            msg = f"The record has {len(stored)} bytes, and is not whole."
            raise RecordTruncated(msg) from None
        msg = f"The record is of the format {str(found)[:40]!r}, not {FORMAT}."
        raise FormatUnknown(msg)

    @classmethod
    def _read(cls, document: Mapping[str, Any]) -> Self:
        context = Context(*(_word(document[name]) for name in ("secret", "version", "sealed")))
        first, second = (
            Wrapped(_word(document[name]["key"]), _bytes(document[name]["wrapped"]))
            for name in ("first", "second")
        )
        nonce, binding, ciphertext = (
            _bytes(document[name]) for name in ("nonce", "binding", "ciphertext")
        )
        lengths = len(nonce), len(binding), min(len(ciphertext), TAG_BYTES)
        if lengths != (NONCE_BYTES, BINDING_BYTES, TAG_BYTES):
            raise ValueError(lengths)
        return cls(context, first, second, nonce, binding, ciphertext)


def wrap(data_key: bytes, public_key: RSAPublicKey) -> bytes:
    """Wrap a data key so that only the private half opens it, as KMS's RSAES_OAEP_SHA_256 does."""
    padding = OAEP(mgf=MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
    return public_key.encrypt(data_key, padding)


def _header(context: Context, first: str, second: str) -> bytes:
    """Return what is bound to the ciphertext, the same bytes for the same meaning."""
    fields = [FORMAT, context.secret, context.version, context.sealed, first, second]
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _keys(data_key: bytes) -> tuple[bytes, bytes]:
    """Return the key that seals and the key that binds."""
    length = 2 * DATA_KEY_BYTES
    derived = HKDF(hashes.SHA256(), length, salt=None, info=FORMAT.encode()).derive(data_key)
    return derived[:DATA_KEY_BYTES], derived[DATA_KEY_BYTES:]


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError(len(text)) from None


def _word(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(type(value))
    return value

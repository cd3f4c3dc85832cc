"""What the servers keep of a password.

``mysql_native_password`` keeps ``*`` and SHA1(SHA1(password)) in hexadecimal.

``caching_sha2_password`` keeps ``$A$005$``, 20 bytes of salt, and 43 characters; the number is
hexadecimal and counts thousands of rounds. It is Ulrich Drepper's SHA-crypt ("Unix crypt using
SHA-256 and SHA-512", steps named after it) with a longer salt. Source: MySQL,
sql/auth/sha2_password.cc. It is needed in one place: where PASSWORD HISTORY forbids to set the
current password once more, and an administrator must know whether it is the account's first or
second password.
"""

import hashlib
import hmac

NATIVE = "mysql_native_password"

PREFIX = b"$A$"
ROUNDS_DIGITS = 3
SALT_LENGTH = 20
ROUNDS_UNIT = 1000
DIGEST_LENGTH = 32

_ALPHABET = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Step 22: which bytes of the digest make four characters each; the last pair makes three.
_GROUPS = (
    (0, 10, 20), (21, 1, 11), (12, 22, 2), (3, 13, 23), (24, 4, 14),
    (15, 25, 5), (6, 16, 26), (27, 7, 17), (18, 28, 8), (9, 19, 29),
)  # fmt: skip


def native_hash(password: str) -> str:
    """Return what ``mysql_native_password`` keeps. The scheme is the servers', not a choice."""
    once = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(once, usedforsecurity=False).hexdigest().upper()


def fits(password: str, plugin: str, kept: bytes) -> bool:
    """Say whether ``kept`` is the plugin's hash of ``password``; False for another format."""
    if plugin == NATIVE:
        return hmac.compare_digest(native_hash(password).encode(), kept)
    return _fits_caching_sha2(password, kept)


def _fits_caching_sha2(password: str, kept: bytes) -> bool:
    start = len(PREFIX) + ROUNDS_DIGITS + 1
    try:
        rounds = int(kept[len(PREFIX) : start - 1], 16) * ROUNDS_UNIT
    except ValueError:
        return False
    salt, digest = kept[start : start + SALT_LENGTH], kept[start + SALT_LENGTH :]
    if not kept.startswith(PREFIX) or len(salt) != SALT_LENGTH:
        return False
    return hmac.compare_digest(sha256_crypt(password.encode(), salt, rounds), digest)


def sha256_crypt(password: bytes, salt: bytes, rounds: int) -> bytes:
    """Return the 43 characters of SHA-crypt with SHA-256."""
    b = _sha256(password + salt + password)
    a_input = password + salt + _repeated(b, len(password))
    length = len(password)
    while length:  # step 11
        a_input += b if length & 1 else password
        length >>= 1
    digest = a = _sha256(a_input)
    p = _repeated(_sha256(password * len(password)), len(password))
    s = _repeated(_sha256(salt * (16 + a[0])), len(salt))
    for number in range(rounds):  # step 21
        odd = number % 2
        digest = _sha256(
            (p if odd else digest)
            + (s if number % 3 else b"")
            + (p if number % 7 else b"")
            + (digest if odd else p)
        )
    return _encoded(digest)


def _sha256(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()


def _repeated(digest: bytes, length: int) -> bytes:
    return (digest * (length // DIGEST_LENGTH + 1))[:length]


def _encoded(digest: bytes) -> bytes:
    """Write a digest in SHA-crypt's own base 64, least significant digit first."""
    numbers = [(digest[x] << 16 | digest[y] << 8 | digest[z], 4) for x, y, z in _GROUPS]
    numbers.append((digest[31] << 8 | digest[30], 3))
    return bytes(
        _ALPHABET[number >> 6 * place & 0x3F]
        for number, places in numbers
        for place in range(places)
    )

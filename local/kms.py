"""AWS KMS on one machine, where moto's (5.2.5) is wrong: for tests of what is really encrypted.

Its cryptography is real: AES-256-GCM under the encryption context, RSA-OAEP with private halves
that nobody gets. moto does not unwrap what was wrapped with a key's public half, enforces no key
policy, and does not find the key that an ARN names to disable it. Only what an escrow asks is here:
GenerateDataKey, Decrypt, GetPublicKey, DescribeKey.

    kms = KeyManagement()
    first, second = kms.make_key(), kms.make_key("RSA_4096", region="eu-west-1")
    with kms:  # boto3 clients in this process now talk to it
        ...
    kms[first].state = "Disabled"

Policies are callables, as :mod:`local.secretsmanager.keys` has them: what a policy's document
means, the policy simulator of the deployment tests decides.
"""

import base64
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from types import TracebackType
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit
from uuid import uuid4

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.handlers import BUILTIN_HANDLERS, REGISTER_FIRST
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from local.secretsmanager.errors import ServiceError
from local.secretsmanager.interception import TARGET
from local.secretsmanager.keys import KeyUse

PREFIX: Final = "TrentService."
State = Literal["Enabled", "Disabled", "PendingDeletion"]
Spec = Literal["SYMMETRIC_DEFAULT", "RSA_2048", "RSA_3072", "RSA_4096"]
STATE_ERRORS: Final[Mapping[State, str]] = {
    "Disabled": "DisabledException",
    "PendingDeletion": "KMSInvalidStateException",
}
_OAEP: Final = OAEP(mgf=MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
_ID_BYTES: Final = 16
_NONCE_BYTES: Final = 12


@dataclass
class Key:
    """One key.

    Attributes:
        arn: Its name.
        spec: What it is.
        state: Only an enabled key does anything.
        allows: The key policy.
    """

    arn: str
    spec: Spec
    state: State = "Enabled"
    allows: Callable[[KeyUse], bool] = lambda _use: True
    secret: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    private: RSAPrivateKey | None = field(default=None, repr=False)

    @property
    def id(self) -> bytes:
        """What a symmetric ciphertext begins with."""
        return bytes.fromhex(self.arn.rpartition("/")[2].replace("-", ""))


class KeyManagement(dict[str, Key]):
    """KMS of all accounts and Regions; ``with`` lets boto3 in this process talk to it.

    Attributes:
        uses: Every request that got as far as a key's policy.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uses: list[KeyUse] = []

    def make_key(
        self,
        spec: Spec = "SYMMETRIC_DEFAULT",
        *,
        account: str = "123456789012",
        region: str = "eu-central-1",
    ) -> str:
        """Make a key, and return its ARN."""
        arn = f"arn:aws:kms:{region}:{account}:key/{uuid4()}"
        private = None
        if spec != "SYMMETRIC_DEFAULT":
            private = generate_private_key(65_537, int(spec.removeprefix("RSA_")))
        self[arn] = Key(arn, spec, private=private)
        return arn

    def __enter__(self) -> Self:
        _ACTIVE.append(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _ACTIVE.remove(self)

    def public_half(self, arn: str) -> str:
        """Return what ``aws kms get-public-key --query PublicKey`` prints."""
        return str(self._getpublickey({"KeyId": arn})["PublicKey"])

    def unwrap(self, arn: str, wrapped: str) -> bytes:
        """Open what an RSA key's public half has wrapped, past every policy and state."""
        asked = {"KeyId": arn, "CiphertextBlob": wrapped}
        opened = self._decrypt(asked | {"EncryptionAlgorithm": "RSAES_OAEP_SHA_256"})
        return base64.b64decode(opened["Plaintext"])

    def answer(self, target: str, region: str, body: bytes) -> tuple[int, bytes]:
        """Carry out a request as it is on the wire; return status and body."""
        operation = getattr(self, f"_{target.removeprefix(PREFIX).lower()}")
        request = json.loads(body)
        try:
            self._require(request, region, target.removeprefix(PREFIX))
            return 200, json.dumps(operation(request)).encode()
        except ServiceError as error:
            return 400, json.dumps({"__type": error.code, "message": error.message}).encode()

    def _require(self, request: Mapping[str, Any], region: str, operation: str) -> None:
        """Find the key, and hold the request to its policy and its state, in KMS's order."""
        arn = request.get("KeyId", "")
        key = self.get(arn)
        if key is None or arn.split(":")[3] != region:
            raise ServiceError("NotFoundException", f"Key '{arn}' does not exist")
        use = KeyUse(arn, f"kms:{operation}", request.get("EncryptionContext", {}))
        self.uses.append(use)
        if not key.allows(use):
            raise ServiceError("AccessDeniedException", f"no policy allows {use.action}")
        if key.state != "Enabled" and operation != "DescribeKey":
            raise ServiceError(STATE_ERRORS[key.state], f"{arn} is {key.state}.")

    def _generatedatakey(self, request: Mapping[str, Any]) -> dict[str, Any]:
        key = self._of_usage(request, symmetric=True)
        plain = os.urandom(32)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(key.secret).encrypt(nonce, plain, _context(request))
        blob = key.id + nonce + sealed
        return {"KeyId": key.arn, "Plaintext": _text(plain), "CiphertextBlob": _text(blob)}

    def _decrypt(self, request: Mapping[str, Any]) -> dict[str, Any]:
        blob = base64.b64decode(request["CiphertextBlob"])
        algorithm = request.get("EncryptionAlgorithm", "SYMMETRIC_DEFAULT")
        key = self._of_usage(request, symmetric=algorithm == "SYMMETRIC_DEFAULT")
        if key.private is not None:
            return {"KeyId": key.arn, "Plaintext": _text(_unwrapped(key.private, blob))}
        if blob[:_ID_BYTES] != key.id:
            raise ServiceError("IncorrectKeyException", "The key ID is not the ciphertext's")
        nonce, sealed = blob[_ID_BYTES:][:_NONCE_BYTES], blob[_ID_BYTES + _NONCE_BYTES :]
        try:
            plain = AESGCM(key.secret).decrypt(nonce, sealed, _context(request))
        except (InvalidTag, ValueError):
            raise ServiceError("InvalidCiphertextException", "") from None
        return {"KeyId": key.arn, "Plaintext": _text(plain)}

    def _getpublickey(self, request: Mapping[str, Any]) -> dict[str, Any]:
        key = self._of_usage(request, symmetric=False)
        assert key.private is not None  # noqa: S101 (what the usage says)
        public = key.private.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return {"KeyId": key.arn, "PublicKey": _text(der), "KeySpec": key.spec}

    def _describekey(self, request: Mapping[str, Any]) -> dict[str, Any]:
        key = self[request["KeyId"]]
        told = {"KeyId": key.arn.rpartition("/")[2], "Arn": key.arn, "KeySpec": key.spec}
        return {"KeyMetadata": told | {"KeyState": key.state, "Enabled": key.state == "Enabled"}}

    def _of_usage(self, request: Mapping[str, Any], *, symmetric: bool) -> Key:
        key = self[request["KeyId"]]
        if symmetric is not (key.private is None):
            raise ServiceError("InvalidKeyUsageException", f"{key.arn} is of {key.spec}")
        return key


def _unwrapped(private: RSAPrivateKey, blob: bytes) -> bytes:
    try:
        return private.decrypt(blob, _OAEP)
    except ValueError:
        raise ServiceError("InvalidCiphertextException", "") from None


def _context(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request.get("EncryptionContext", {}), sort_keys=True).encode()


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


class _Body(BytesIO):
    """A response's body as botocore reads it."""

    def stream(self, *_: object, **__: object) -> list[bytes]:
        return [self.read()]


_ACTIVE: Final[list[KeyManagement]] = []


def _intercept(event_name: str, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
    """Answer a request to KMS while a service is active; those to loopback are for an endpoint."""
    del event_name
    header: str | bytes = request.headers.get(TARGET, "")
    target = header.decode("latin-1") if isinstance(header, bytes) else header
    host = urlsplit(request.url).hostname or ""
    if not _ACTIVE or not target.startswith(PREFIX) or not host.startswith("kms."):
        return None
    body = request.body if isinstance(request.body, bytes) else str(request.body).encode()
    status, answer = _ACTIVE[-1].answer(target, host.split(".")[1], body)
    headers = HTTPHeaders()
    headers["Content-Type"] = "application/x-amz-json-1.1"
    return AWSResponse(request.url, status, headers, _Body(answer))


BUILTIN_HANDLERS.append(("before-send", _intercept, REGISTER_FIRST))

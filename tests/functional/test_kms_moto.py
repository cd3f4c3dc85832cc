"""The local KMS beside moto's: the same where moto is right, and where it is not."""

from contextlib import nullcontext
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key
from moto import mock_aws

from escrow.record import wrap
from local.kms import KeyManagement

if TYPE_CHECKING:
    from mypy_boto3_kms import KMSClient

CONTEXT = {"secret": "arn", "version": "1"}
DATA_KEY = b"k" * 32


@pytest.mark.parametrize("ours", [True, False])
def test_a_data_key_opens_under_its_context_only(ours: bool) -> None:
    """In both, what GenerateDataKey wrapped is unwrapped under the same context and no other."""
    kms = KeyManagement()
    with mock_aws(), kms if ours else nullcontext():
        client = boto3.client("kms")
        key = kms.make_key() if ours else client.create_key()["KeyMetadata"]["Arn"]
        made = client.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=CONTEXT)
        assert len(made["Plaintext"]) == 32
        blob = made["CiphertextBlob"]
        opened = client.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext=CONTEXT)
        assert opened["Plaintext"] == made["Plaintext"]
        for context in ({}, CONTEXT | {"version": "2"}):
            with pytest.raises(client.exceptions.InvalidCiphertextException):
                client.decrypt(KeyId=key, CiphertextBlob=blob, EncryptionContext=context)


def unwrapped(client: "KMSClient", key: str) -> bytes:
    """Wrap with a key's public half, and let KMS unwrap it."""
    public = load_der_public_key(client.get_public_key(KeyId=key)["PublicKey"])
    assert isinstance(public, RSAPublicKey)
    return client.decrypt(
        KeyId=key,
        CiphertextBlob=wrap(DATA_KEY, public),
        EncryptionAlgorithm="RSAES_OAEP_SHA_256",
    )["Plaintext"]


def test_only_the_local_one_unwraps_with_a_private_half() -> None:
    """Moto gives a public half out and does not open what was wrapped with it."""
    with mock_aws():
        moto = boto3.client("kms")
        key = moto.create_key(KeySpec="RSA_3072", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]
        with pytest.raises(moto.exceptions.InvalidCiphertextException):
            unwrapped(moto, key["Arn"])
    kms = KeyManagement()
    with kms:
        assert unwrapped(boto3.client("kms"), kms.make_key("RSA_3072")) == DATA_KEY


def test_only_the_local_one_keeps_a_policy() -> None:
    """Moto takes a key policy that lets nobody in, and lets everybody in."""
    nobody = (
        '{"Version": "2012-10-17", "Statement": '
        '[{"Effect": "Deny", "Principal": "*", "Action": "kms:*", "Resource": "*"}]}'
    )
    with mock_aws():
        moto = boto3.client("kms")
        key = moto.create_key(Policy=nobody)["KeyMetadata"]["Arn"]
        assert moto.generate_data_key(KeyId=key, KeySpec="AES_256")["Plaintext"]
    kms = KeyManagement()
    key = kms.make_key()
    kms[key].allows = lambda _use: False
    with kms, pytest.raises(ClientError, match="AccessDenied"):
        boto3.client("kms").generate_data_key(KeyId=key, KeySpec="AES_256")


def test_only_the_local_one_finds_the_key_to_disable() -> None:
    """Moto does not find a key by its ARN to disable it; ours is disabled, and says so."""
    with mock_aws():
        moto = boto3.client("kms")
        key = moto.create_key()["KeyMetadata"]["Arn"]
        with pytest.raises(KeyError):
            moto.disable_key(KeyId=key)
    kms = KeyManagement()
    key = kms.make_key()
    kms[key].state = "Disabled"
    with kms:
        client = boto3.client("kms")
        with pytest.raises(client.exceptions.DisabledException):
            client.generate_data_key(KeyId=key, KeySpec="AES_256")
        assert client.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"

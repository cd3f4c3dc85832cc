"""Each statement around the escrow allows what it must, and nothing beyond; and its layer is built.

Whoever seals cannot open, whoever fetches cannot open, whoever opens cannot fetch, and nobody takes
anything away. `ANYBODY` is somebody in the account whom IAM allows everything.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from escrow.sealing import Settings
from local.build import ARCHITECTURES, BUILD, build, size
from local.engines import FUNCTIONS
from local.kms import KeyManagement
from local.lambda_runtime import LambdaRuntime
from local.lambda_runtime.functions import LAMBDA_PYTHON
from local.lambda_runtime.scratch import Scratch, scratch
from local.template import ROOT, functions, load
from tests.conformance.escrow_lane import Vault
from tests.deployment.conftest import Reports
from tests.deployment.sam import ask
from tests.deployment.simulator import Simulator
from tests.deployment.stack import ACCOUNT, REGION, Stack
from tests.deployment.test_artefacts import MACHINES, binaries, processors
from tests.deployment.test_policies import (
    ANYBODY,
    CONTEXT,
    EVERYTHING,
    FOREIGN_SECRET,
    OTHER_KEY,
    SECRET,
    STRANGER,
)
from tests.kit.boundaries import Tripwire

pytestmark = pytest.mark.deploy

TEMPLATE = ROOT / "examples" / "escrow" / "template.yaml"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/KeyAdministrator"
OPENER = f"arn:aws:iam::{ACCOUNT}:role/Opener"
FETCHER = f"arn:aws:iam::{ACCOUNT}:role/Fetcher"
FUNCTION = f"arn:aws:iam::{ACCOUNT}:role/rotation-PostgresRole"
PUBLIC = "MIIC" + "A" * 732
SECOND_KEY = "arn:aws:kms:eu-west-1:210987654321:key/11111111-1111-4111-8111-111111111111"
RECORD = {f"{CONTEXT}secret": SECRET, f"{CONTEXT}version": "v", f"{CONTEXT}sealed": "t"}
BUCKET_ARN = f"arn:aws:s3:::escrow-{ACCOUNT}-{REGION}"
OF_BUCKET = {
    "kms:ViaService": f"s3.{REGION}.amazonaws.com",
    f"{CONTEXT}aws:s3:arn": BUCKET_ARN,
}
SECURE = {"aws:SecureTransport": "true"}
ENCRYPTED = "s3:x-amz-server-side-encryption"
UNDER = "s3:x-amz-server-side-encryption-aws-kms-key-id"

Context = Mapping[str, str]


@pytest.fixture(scope="module")
def stack() -> Stack:
    """The escrow, with somebody for every part."""
    return Stack(
        load(TEMPLATE),
        "escrow",
        SecondKey=SECOND_KEY,
        SecondPublicKey=PUBLIC,
        RotationRoles="rotation-PostgresRole",
        KeyAdministratorArns=ADMINISTRATOR,
        OpenerArns=OPENER,
    )


def uses(
    simulator: Simulator,
    stack: Stack,
    key: str,
    action: str,
    context: Context | None = None,
    principal: str = ANYBODY,
    policy: str | None = None,
) -> bool:
    """Ask whether somebody may use a key: whom IAM allows everything, or what one policy allows."""
    own = [EVERYTHING] if policy is None else [stack.policy(policy)]
    return simulator.allows(
        principal,
        action,
        stack.arn(key),
        context,
        identity_policies=own,
        resource_policy=stack.policy(key),
    )


@pytest.mark.parametrize("key", ["FirstKey", "BucketKey"])
def test_keys_are_administered_and_not_used(simulator: Simulator, stack: Stack, key: str) -> None:
    """Those named administer, nobody else does, and they open nothing by it."""
    for action in ("kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DisableKey"):
        assert uses(simulator, stack, key, action, principal=ADMINISTRATOR)
        assert not uses(simulator, stack, key, action)
    for action in ("kms:Encrypt", "kms:CreateGrant", "kms:ReEncryptFrom"):
        for context in (RECORD, OF_BUCKET):
            assert not uses(simulator, stack, key, action, context, ADMINISTRATOR)
            assert not uses(simulator, stack, key, action, context)


def test_data_keys_are_made_for_secrets_of_this_account(simulator: Simulator, stack: Stack) -> None:
    """A data key is bound to a secret of the account, a version and a time, or there is none."""
    for context, allowed in (
        (RECORD, True),
        (RECORD | {f"{CONTEXT}secret": FOREIGN_SECRET}, False),
        *(({key: RECORD[key] for key in RECORD if key != left_out}, False) for left_out in RECORD),
        ({}, False),
    ):
        for principal, policy in ((ANYBODY, None), (FUNCTION, "SealPolicy")):
            assert allowed is uses(
                simulator, stack, "FirstKey", "kms:GenerateDataKey", context, principal, policy
            )
    assert not uses(simulator, stack, "FirstKey", "kms:GenerateDataKey", RECORD, STRANGER)


def test_records_are_opened_by_those_who_are_named(simulator: Simulator, stack: Stack) -> None:
    """Neither functions nor who fetches, nor who may do everything; and only what was sealed."""
    nothing: dict[str, Any] = {"Version": "2012-10-17", "Statement": []}
    key, policy = stack.arn("FirstKey"), stack.policy("FirstKey")

    def opens(principal: str, context: Context, own: dict[str, Any]) -> bool:
        return simulator.allows(
            principal,
            "kms:Decrypt",
            key,
            context,
            identity_policies=[own],
            resource_policy=policy,
        )

    assert opens(OPENER, RECORD, nothing)
    assert not opens(OPENER, RECORD | {f"{CONTEXT}secret": FOREIGN_SECRET}, nothing)
    assert not opens(OPENER, {}, nothing)
    for principal, own in (
        (ANYBODY, EVERYTHING),
        (ADMINISTRATOR, EVERYTHING),
        (FUNCTION, stack.policy("SealPolicy")),
        (FETCHER, stack.policy("FetchPolicy")),
    ):
        assert not opens(principal, RECORD, own)


def test_without_openers_nobody_opens(simulator: Simulator) -> None:
    """Until somebody is named, records open by the second key alone."""
    alone = Stack(load(TEMPLATE), "escrow", SecondKey=SECOND_KEY, SecondPublicKey=PUBLIC)
    assert not uses(simulator, alone, "FirstKey", "kms:Decrypt", RECORD)
    assert not uses(simulator, alone, "FirstKey", "kms:Decrypt", RECORD, OPENER)
    assert "Roles" not in alone.resources["SealPolicy"]["Properties"]


@pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
def test_the_buckets_key_is_for_the_bucket(simulator: Simulator, stack: Stack, action: str) -> None:
    """Through S3, and for this bucket."""
    for context, allowed in (
        (OF_BUCKET, True),
        (OF_BUCKET | {f"{CONTEXT}aws:s3:arn": "arn:aws:s3:::another"}, False),
        (OF_BUCKET | {"kms:ViaService": f"rds.{REGION}.amazonaws.com"}, False),
        ({f"{CONTEXT}aws:s3:arn": BUCKET_ARN}, False),
        ({}, False),
    ):
        assert allowed is uses(simulator, stack, "BucketKey", action, context)
    assert not uses(simulator, stack, "BucketKey", action, OF_BUCKET, STRANGER)
    sealing = uses(simulator, stack, "BucketKey", action, OF_BUCKET, FUNCTION, "SealPolicy")
    assert sealing is (action == "kms:GenerateDataKey")
    fetching = uses(simulator, stack, "BucketKey", action, OF_BUCKET, FETCHER, "FetchPolicy")
    assert fetching is (action == "kms:Decrypt")


def test_the_buckets_key_names_the_bucket(stack: Stack) -> None:
    """The bucket is called what its key's policy expects; a bucket key's context is the bucket."""
    made = stack.resources["Bucket"]["Properties"]
    assert f"arn:aws:s3:::{made['BucketName']}" == BUCKET_ARN
    (rule,) = made["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {
        "ServerSideEncryptionByDefault": {
            "SSEAlgorithm": "aws:kms",
            "KMSMasterKeyID": stack.arn("BucketKey"),
        },
        "BucketKeyEnabled": True,
    }


def in_bucket(
    simulator: Simulator,
    stack: Stack,
    action: str,
    context: Context,
    *,
    place: str = "records/arn/x.json",
    policy: str | None = None,
    principal: str = ANYBODY,
) -> bool:
    """Ask whether somebody may do something in the bucket."""
    bucket = stack.arn("Bucket")
    return simulator.allows(
        principal,
        action,
        f"{bucket}/{place}" if place else bucket,
        context,
        identity_policies=[EVERYTHING if policy is None else stack.policy(policy)],
        resource_policy=stack.policy("BucketPolicy"),
    )


def test_nothing_is_stored_that_is_not_encrypted_under_the_key(
    simulator: Simulator, stack: Stack
) -> None:
    """What names no encryption, another one, another key or comes in clear is refused."""
    right = SECURE | {ENCRYPTED: "aws:kms", UNDER: stack.arn("BucketKey")}
    for context, allowed in (
        (right, True),
        (right | {ENCRYPTED: "AES256"}, False),
        (right | {UNDER: OTHER_KEY}, False),
        (right | {UNDER: stack.arn("FirstKey")}, False),
        (right | {"aws:SecureTransport": "false"}, False),
        (SECURE | {ENCRYPTED: "aws:kms"}, False),
        (SECURE | {UNDER: stack.arn("BucketKey")}, False),
        (SECURE, False),
    ):
        for principal, policy in ((ANYBODY, None), (FUNCTION, "SealPolicy")):
            assert allowed is in_bucket(
                simulator, stack, "s3:PutObject", context, policy=policy, principal=principal
            )


def test_nothing_is_read_in_clear(simulator: Simulator, stack: Stack) -> None:
    """A connection without TLS is refused to everybody."""
    for secure, allowed in (("true", True), ("false", False)):
        context = {"aws:SecureTransport": secure}
        assert allowed is in_bucket(simulator, stack, "s3:GetObjectVersion", context)


@pytest.mark.parametrize(
    "action",
    [
        "s3:BypassGovernanceRetention",
        "s3:DeleteObjectVersion",
        "s3:PutObjectLegalHold",
        "s3:PutObjectRetention",
    ],
)
def test_nothing_is_taken_away(simulator: Simulator, stack: Stack, action: str) -> None:
    """Not even who may do everything shortens a record's life."""
    assert not in_bucket(simulator, stack, action, SECURE)


def test_functions_only_write_records(simulator: Simulator, stack: Stack) -> None:
    """They neither read, list nor delete, and write nothing but records."""
    written = SECURE | {ENCRYPTED: "aws:kms", UNDER: stack.arn("BucketKey")}
    asked: list[tuple[str, Context, str]] = [
        ("s3:PutObject", written, "other/x.json"),
        ("s3:GetObject", SECURE, "records/x.json"),
        ("s3:GetObjectVersion", SECURE, "records/x.json"),
        ("s3:DeleteObject", SECURE, "records/x.json"),
        ("s3:ListBucketVersions", SECURE | {"s3:prefix": "records/"}, ""),
    ]
    for action, context, place in asked:
        assert not in_bucket(
            simulator,
            stack,
            action,
            context,
            place=place,
            policy="SealPolicy",
            principal=FUNCTION,
        )


def test_who_fetches_only_reads_records(simulator: Simulator, stack: Stack) -> None:
    """Records are found and fetched; nothing is written, and nothing else is seen."""
    written = SECURE | {ENCRYPTED: "aws:kms", UNDER: stack.arn("BucketKey")}
    asked: list[tuple[str, Context, str, bool]] = [
        ("s3:ListBucketVersions", SECURE | {"s3:prefix": "records/arn/"}, "", True),
        ("s3:ListBucketVersions", SECURE | {"s3:prefix": ""}, "", False),
        ("s3:GetObjectVersion", SECURE, "records/x.json", True),
        ("s3:GetObjectVersion", SECURE, "other/x.json", False),
        ("s3:PutObject", written, "records/x.json", False),
        ("s3:DeleteObject", SECURE, "records/x.json", False),
    ]
    for action, context, place, allowed in asked:
        assert allowed is in_bucket(
            simulator,
            stack,
            action,
            context,
            place=place,
            policy="FetchPolicy",
            principal=FETCHER,
        )


class TestSecondKey:
    """The key elsewhere."""

    STACK = Stack(
        load(ROOT / "examples" / "escrow" / "second-key.yaml"),
        "second",
        KeyAdministratorArns=ADMINISTRATOR,
        OpenerArns=OPENER,
    )

    def _allows(
        self, simulator: Simulator, principal: str, action: str, context: Context | None = None
    ) -> bool:
        return uses(simulator, self.STACK, "Key", action, context, principal)

    def test_opens_for_those_named(self, simulator: Simulator) -> None:
        """By the algorithm with which records are sealed, and for nobody else."""
        right = {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
        assert self._allows(simulator, OPENER, "kms:Decrypt", right)
        weaker = {"kms:EncryptionAlgorithm": "RSAES_OAEP_SHA_1"}
        assert not self._allows(simulator, OPENER, "kms:Decrypt", weaker)
        for principal in (ANYBODY, ADMINISTRATOR, STRANGER):
            assert not self._allows(simulator, principal, "kms:Decrypt", right)

    def test_gives_its_public_half(self, simulator: Simulator) -> None:
        """Whom IAM allows to in its own account gets it; administering stays with those named."""
        assert self._allows(simulator, ANYBODY, "kms:GetPublicKey")
        assert not self._allows(simulator, STRANGER, "kms:GetPublicKey")
        assert self._allows(simulator, ADMINISTRATOR, "kms:ScheduleKeyDeletion")
        assert not self._allows(simulator, ANYBODY, "kms:ScheduleKeyDeletion")

    def test_is_asymmetric(self) -> None:
        """Its public half wraps, its private half stays in KMS."""
        made = self.STACK.resources["Key"]["Properties"]
        assert (made["KeySpec"], made["KeyUsage"]) == ("RSA_4096", "ENCRYPT_DECRYPT")


def test_the_bucket_keeps_what_it_has(stack: Stack) -> None:
    """Versions, a lock with a time, and no way to the public."""
    made = stack.resources["Bucket"]["Properties"]
    assert made["VersioningConfiguration"] == {"Status": "Enabled"}
    assert made["ObjectLockEnabled"] is True
    assert made["ObjectLockConfiguration"]["Rule"]["DefaultRetention"] == {
        "Mode": "GOVERNANCE",
        "Days": "400",
    }
    assert set(made["PublicAccessBlockConfiguration"].values()) == {True}


def test_functions_get_what_they_are_told() -> None:
    """The output is what a function takes, is what the rotation stack lets in, and survives SAM."""
    kms = KeyManagement()
    second = kms.make_key("RSA_4096", region="eu-west-1")
    real = Stack(
        load(TEMPLATE), "escrow", SecondKey=second, SecondPublicKey=kms.public_half(second)
    )
    assert real.violations() == []
    told = real.resolve(real.template["Outputs"]["BeforeChange"]["Value"])
    name, _, text = told.partition(":")
    assert name == "escrow.sealing.seal"
    settings = Settings.from_text(text)
    assert settings.bucket_key == real.arn("BucketKey") != settings.first == real.arn("FirstKey")
    assert settings.second == second
    assert settings.account == ACCOUNT
    layer = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:escrow-sealing:1"
    assert Stack(None, BeforeChange=told, BeforeChangeLayer=layer).violations() == []
    assert ask("saved_and_read", {"BeforeChange": told}) == {"BeforeChange": told}
    # Lambda's limit for all variables of a function together.
    assert len(told) < 2048


def test_a_public_half_that_was_cut_off_is_refused() -> None:
    """The parameter takes what KMS gives, and no half of it."""
    kms = KeyManagement()
    whole = kms.public_half(kms.make_key("RSA_3072"))
    for text, refused in ((whole, False), (whole[:400], True), (whole + "\n", True)):
        made = Stack(load(TEMPLATE), "escrow", SecondKey=SECOND_KEY, SecondPublicKey=text)
        assert bool(made.violations()) is refused


def test_a_function_without_escrow_may_and_has_nothing_of_it() -> None:
    """Without the two parameters no layer is added, nothing is named, and no right is given."""
    layer = f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:escrow-sealing:1"
    without = Stack()
    having = Stack(None, BeforeChange="escrow.sealing.seal:x", BeforeChangeLayer=layer)
    for name in sorted(set(FUNCTIONS.values())):
        function = without.resources[name]["Properties"]
        assert function["Environment"]["Variables"]["ROTATION_BEFORE_CHANGE"] == ""
        assert layer not in function["Layers"]
        assert layer in having.resources[name]["Properties"]["Layers"]
        role = name.replace("Rotator", "Role")
        assert without.resources[role] == having.resources[role]
        assert without.policy(name.replace("Rotator", "Policy")) == having.policy(
            name.replace("Rotator", "Policy")
        )


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_layer_is_built(architecture: str, reports: Reports) -> None:
    """It has the escrow and its cryptography, for the processor, and neither core nor SDK."""
    folder = build(architecture, TEMPLATE) / "Layer" / "python"
    packages = {path.name for path in folder.iterdir() if not re.search(r"-[0-9]", path.name)}
    assert {name for name in packages if not name.startswith("_cffi_backend")} == {
        "cffi",
        "cryptography",
        "escrow",
        "pycparser",
    }
    assert processors(folder) == {MACHINES[architecture]}
    for path in binaries(folder):
        wanted = re.findall(rb"GLIBC_2\.([0-9]+)", path.read_bytes())
        assert max(map(int, wanted or [0])) <= 34, path
    unzipped = size(folder)
    reports.add(f"{architecture} layer of the escrow: {unzipped / 1e6:.2f} MB unzipped")
    assert unzipped <= 20e6


def started(more: Mapping[str, str], layers: list[Path]) -> LambdaRuntime:
    """Return PostgreSQL's function as built, with these layers besides its own."""
    function = functions(load())["PostgresRotator"]
    folder = BUILD / "x86_64"
    return LambdaRuntime(
        function.handler,
        path=[folder / function.name, folder / "Shared" / "python", *layers],
        environment={**function.environment, **more},
        python=LAMBDA_PYTHON,
        memory_mb=function.memory_mb,
        timeout_seconds=function.timeout_seconds,
        name=function.name,
        writes_bytecode=False,
    )


def rotated(more: Mapping[str, str], layers: list[Path]) -> tuple[Scratch, list[str], list[float]]:
    """Rotate twice; return the scene, what Secrets Manager was asked, and how long steps took."""
    with scratch("postgres", lambda here: started({**here, **more}, layers)) as scene:
        for _ in range(2):
            scene.service.rotate(scene.secret).check()
        current = json.loads(scene.service.value(scene.secret))
        assert scene.server.logs_in("app", current["password"])
        asked = [each.operation for each in scene.service.requests]
        return scene, asked, [report.milliseconds for report in scene.runtime.reports]


def test_a_built_function_seals_with_the_built_layer(reports: Reports) -> None:
    """In Lambda's Python both rotations are sealed; Secrets Manager is asked what it is without."""
    layer = build("x86_64", TEMPLATE) / "Layer" / "python"
    vault = Vault(Tripwire(lambda: None))
    with vault.serving() as url:
        told = {
            "ROTATION_BEFORE_CHANGE": f"escrow.sealing.seal:{vault.settings}",
            "AWS_ENDPOINT_URL_KMS": url,
            "AWS_ENDPOINT_URL_S3": url,
        }
        scene, asked, took = rotated(told, [layer])
        sealed = vault.opened(scene.secret)
        assert ("app", json.loads(scene.service.value(scene.secret))["password"]) in sealed
        assert len(sealed) == len(vault.objects) == 2
        _, asked_without, took_without = rotated({}, [])
        assert len(vault.objects) == 2
    assert asked == asked_without
    for name, times in (("with", took), ("without", took_without)):
        first, warm = times[:2], times[4:6]
        reports.add(
            f"createSecret and setSecret {name} escrow: cold {sum(first):.0f} ms, "
            f"warm {sum(warm):.0f} ms"
        )

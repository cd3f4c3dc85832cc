"""What `rotation posture` reads in a policy is what IAM's simulator decides by it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from console.condition import Condition, Standing
from console.fleet import Secret
from console.functions import NONE
from console.policies import statements
from console.posture.keys import KeyPolicy
from console.posture.storage import _denies_clear
from console.posture.subject import Subject
from console.posture.view import View
from tests.console.estate import bucket_statements
from tests.deployment.simulator import Simulator
from tests.deployment.stack import ACCOUNT, REGION

KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-1111-4111-8111-111111111111"
READER = f"arn:aws:iam::{ACCOUNT}:role/Reader"
STRANGER = "arn:aws:iam::999999999999:role/Stranger"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
SERVICE = f"secretsmanager.{REGION}.amazonaws.com"
USES = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncrypt*"]


def allow(principal: object, action: object, **condition: Mapping[str, object]) -> dict[str, Any]:
    """Return a statement that allows."""
    who = principal if principal == "*" else {"AWS": principal}
    statement = {"Effect": "Allow", "Principal": who, "Action": action, "Resource": "*"}
    return statement | ({"Condition": condition} if condition else {})


def deny(action: object, **condition: Mapping[str, object]) -> dict[str, Any]:
    """Return a statement that denies everybody."""
    return {**allow("*", action, **condition), "Effect": "Deny"}


ORGANIZATION = {"aws:PrincipalOrgID": "o-1234567890"}
VIA = {"kms:ViaService": SERVICE}
GRANT = "kms:GrantIsForAWSResource"

PUBLIC = [
    ([allow("*", "kms:Decrypt")], True),
    ([allow(["*"], "kms:*")], True),
    ([allow("*", "kms:Decrypt", StringEquals=ORGANIZATION)], False),
    ([allow("*", "kms:Decrypt", StringEqualsIfExists=ORGANIZATION)], True),
    ([allow("*", "kms:Decrypt", StringEquals={"kms:CallerAccount": ACCOUNT})], False),
    ([allow("*", "kms:Decrypt", ArnLike={"aws:PrincipalArn": "arn:aws:iam::*:role/S*"})], True),
    ([allow("*", "kms:Decrypt", ArnLike={"aws:PrincipalArn": READER})], False),
    ([allow("*", "kms:Decrypt", StringNotEquals={"aws:PrincipalAccount": ACCOUNT})], True),
    ([allow(READER, "kms:Decrypt")], False),
]
DIRECT = [
    ([allow(READER, USES)], True),
    ([allow(f"arn:aws:iam::{ACCOUNT}:root", USES)], True),
    ([allow(READER, USES, StringEquals=VIA)], False),
    ([allow(READER, USES, StringLike={"kms:ViaService": "secretsmanager.*"})], False),
    ([allow(READER, USES, StringEqualsIfExists=VIA)], True),
    ([allow(READER, USES, StringNotEquals={"kms:ViaService": "s3.amazonaws.com"})], True),
    ([allow(READER, USES), deny(USES, StringNotEquals=VIA)], False),
    ([allow(READER, USES), deny(USES, StringNotEqualsIfExists=VIA)], False),
    ([allow(READER, USES), deny(["kms:Encrypt"], StringNotEquals=VIA)], True),
]
GRANTS = [
    ([allow(READER, "kms:CreateGrant")], True),
    ([allow(READER, "kms:Create*")], True),
    ([allow(READER, "kms:CreateGrant", Bool={GRANT: "true"})], False),
    ([allow(READER, "kms:CreateGrant", Bool={GRANT: "false"})], True),
    ([allow(READER, "kms:CreateGrant"), deny("kms:CreateGrant", Bool={GRANT: "false"})], False),
    ([allow(READER, "kms:ListGrants")], False),
]
TLS, OTHER, *_ = bucket_statements(KEY)
CLEAR = [
    ([], True),
    ([TLS], False),
    ([OTHER], True),
    ([{**TLS, "Condition": {"Bool": {"aws:SecureTransport": "true"}}}], True),
    ([{**TLS, "Action": "s3:PutObject"}], True),
    ([{**TLS, "Action": ["s3:GetObject", "s3:PutObject"]}], False),
    ([{**TLS, "Principal": {"AWS": STRANGER}}], True),
]

Case = tuple[list[dict[str, Any]], bool]


def policy(case: Case) -> KeyPolicy:
    """Return a key's policy, as posture reads it."""
    told = {"ARN": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app-AbCdEf"}
    standing = Standing(Secret.of(told), NONE, Condition.WELL, "", "", None)

    class Here(View):
        """A view of nothing."""

        account = type("Account", (), {"region": REGION})()
        partition = "aws"

        def __init__(self) -> None:
            """Ask nobody."""

    return KeyPolicy(KEY, statements({"Statement": case[0]}), Subject(Here(), standing, 90))


def document(case: Case) -> dict[str, Any]:
    """Return a policy as IAM takes it."""
    return {"Version": "2012-10-17", "Statement": case[0]}


def told(case: Case) -> str:
    """Return a name for a case."""
    return json.dumps(case[0])[:80]


@pytest.mark.parametrize("case", PUBLIC, ids=told)
def test_an_open_key_is_told(case: Case) -> None:
    """A statement is open to anybody unless a condition demands who asks, or from where."""
    assert bool([*policy(case).open_to_anybody()]) is case[1]


@pytest.mark.parametrize("case", DIRECT, ids=told)
def test_use_without_a_service_is_told(case: Case) -> None:
    """A key is used directly unless a service is demanded, or everything else is denied."""
    assert bool([*policy(case).used_directly()]) is case[1]


@pytest.mark.parametrize("case", GRANTS, ids=told)
def test_free_grants_are_told(case: Case) -> None:
    """Grants are free unless they must be for resources of AWS's."""
    assert bool([*policy(case).free_grants()]) is case[1]


@pytest.mark.parametrize("case", CLEAR, ids=told)
def test_a_bucket_without_tls_is_told(case: Case) -> None:
    """A bucket takes requests in clear unless everybody's are denied, reading and writing."""
    assert any(map(_denies_clear, statements(document(case)))) is not case[1]


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    """The running simulator."""
    with Simulator() as running:
        yield running


@pytest.mark.deploy
@pytest.mark.parametrize("case", PUBLIC, ids=told)
def test_a_stranger_is_let_in_where_it_is_told(simulator: Simulator, case: Case) -> None:
    """The simulator lets another account in just where the key is told to be open."""
    allowed = simulator.allows(
        STRANGER,
        "kms:Decrypt",
        KEY,
        {
            "aws:PrincipalArn": STRANGER,
            "aws:PrincipalAccount": "999999999999",
            "kms:CallerAccount": "999999999999",
        },
        identity_policies=[document(([EVERYTHING], True))],
        resource_policy=document(case),
    )
    assert allowed is case[1]


@pytest.mark.deploy
@pytest.mark.parametrize("case", DIRECT, ids=told)
def test_the_key_is_used_directly_where_it_is_told(simulator: Simulator, case: Case) -> None:
    """The simulator allows a decryption without a service just where that is told."""
    assert asked(simulator, case, "kms:Decrypt", {}) is case[1]


@pytest.mark.deploy
@pytest.mark.parametrize("case", GRANTS, ids=told)
def test_a_grant_to_anybody_is_made_where_it_is_told(simulator: Simulator, case: Case) -> None:
    """The simulator allows a grant for no resource of AWS's just where that is told."""
    assert asked(simulator, case, "kms:CreateGrant", {GRANT: "false"}) is case[1]


@pytest.mark.deploy
@pytest.mark.parametrize("case", CLEAR, ids=told)
def test_a_request_in_clear_is_taken_where_it_is_told(simulator: Simulator, case: Case) -> None:
    """The simulator allows reading and writing without TLS just where that is told."""
    allowed = [
        simulator.allows(
            READER,
            action,
            f"{TLS['Resource'][0]}/x",
            {"aws:SecureTransport": "false"},
            identity_policies=[document(([EVERYTHING], True))],
            resource_policy=document(case) if case[0] else None,
        )
        for action in ("s3:GetObject", "s3:PutObject")
    ]
    assert any(allowed) is case[1]


def asked(simulator: Simulator, case: Case, action: str, context: Mapping[str, str]) -> bool:
    """Ask the simulator about the reader, whom IAM allows everything."""
    return simulator.allows(
        READER,
        action,
        KEY,
        context,
        identity_policies=[document(([EVERYTHING], True))],
        resource_policy=document(case),
    )

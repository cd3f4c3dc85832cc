"""The templates for keys, volumes and databases: what is on, and what each statement allows.

`ANYBODY` is somebody in the account whom IAM allows everything.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from local.template import ROOT, load
from tests.deployment.simulator import Simulator
from tests.deployment.stack import ACCOUNT, REGION, Stack
from tests.deployment.test_policies import (
    ANYBODY,
    EVERYTHING,
    OTHER_KEY,
    RDS,
    SECRETS_MANAGER,
    STRANGER,
)
from tests.test_pages import lacks

pytestmark = pytest.mark.deploy

ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/KeyAdministrator"
USER = f"arn:aws:iam::{ACCOUNT}:role/Application"
EC2 = {"kms:ViaService": f"ec2.{REGION}.amazonaws.com"}
OWN = {"kms:CallerAccount": ACCOUNT}
GRANTED = {"kms:GrantIsForAWSResource": "true"}
NETWORK = {"SubnetIds": "subnet-0123456789abcdef0", "SecurityGroupIds": "sg-0123456789abcdef0"}

Context = Mapping[str, str]


def example(name: str, **parameters: str) -> Stack:
    """Return an example with these parameters."""
    return Stack(load(ROOT / "examples" / f"{name}.yaml"), name, **parameters)


def uses(
    simulator: Simulator, stack: Stack, principal: str, action: str, context: Context | None = None
) -> bool:
    """Ask whether somebody whom IAM allows everything may use a stack's key."""
    return simulator.allows(
        principal,
        action,
        stack.arn("Key"),
        context,
        identity_policies=[EVERYTHING],
        resource_policy=stack.policy("Key"),
    )


class TestKey:
    """A key for databases and secrets."""

    STACK = example("key", KeyAdministratorArns=ADMINISTRATOR, UserArns=USER)

    def test_has_a_name_tags_and_a_period(self) -> None:
        """Its material is renewed as often as wanted; what it is for stands on it."""
        made = example("key", UserArns=USER, RotationPeriodInDays="90", Environment="test")
        key = made.resources["Key"]["Properties"]
        assert key["EnableKeyRotation"] is True
        assert key["RotationPeriodInDays"] == "90"
        assert {"Key": "Environment", "Value": "test"} in key["Tags"]
        assert made.resources["KeyAlias"]["Properties"]["AliasName"] == "alias/databases"

    @pytest.mark.parametrize(
        ("parameter", "value", "fits"),
        [
            ("RotationPeriodInDays", "90", True),
            ("RotationPeriodInDays", "89", False),
            ("RotationPeriodInDays", "2561", False),
            ("UserArns", f"arn:aws:iam::{ACCOUNT}:root", False),
            ("UserArns", "", False),
        ],
    )
    def test_takes_what_kms_takes(self, parameter: str, value: str, *, fits: bool) -> None:
        """KMS rotates every 90 to 2,560 days; users are named, not the whole account."""
        given = {"UserArns": USER, parameter: value}
        assert (example("key", **given).violations() == []) is fits

    def test_administrators_are_no_users(self, simulator: Simulator) -> None:
        """Who administers opens nothing, who uses administers nothing, and others do neither."""
        for action in ("kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:DisableKeyRotation"):
            assert uses(simulator, self.STACK, ADMINISTRATOR, action)
            for principal in (USER, ANYBODY, STRANGER):
                assert not uses(simulator, self.STACK, principal, action)
        for action in ("kms:Decrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom"):
            assert uses(simulator, self.STACK, USER, action, SECRETS_MANAGER)
            for principal in (ADMINISTRATOR, ANYBODY, STRANGER):
                assert not uses(simulator, self.STACK, principal, action, SECRETS_MANAGER)

    @pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
    def test_is_used_through_services(self, simulator: Simulator, action: str) -> None:
        """Through Secrets Manager and RDS, and never directly."""
        for context, allowed in ((SECRETS_MANAGER, True), (RDS, True), (EC2, False), ({}, False)):
            assert allowed is uses(simulator, self.STACK, USER, action, context)

    def test_is_granted_to_databases_only(self, simulator: Simulator) -> None:
        """A grant needs RDS between, and a resource of AWS's own that it is for."""
        for context, allowed in (
            ({**RDS, **GRANTED}, True),
            ({**RDS, "kms:GrantIsForAWSResource": "false"}, False),
            (RDS, False),
            ({**SECRETS_MANAGER, **GRANTED}, False),
        ):
            assert allowed is uses(simulator, self.STACK, USER, "kms:CreateGrant", context)
        assert not uses(simulator, self.STACK, ANYBODY, "kms:CreateGrant", {**RDS, **GRANTED})


class Region:
    """EC2's two settings of a Region, since moto has only one of them."""

    def __init__(self, *, fails: bool = False) -> None:
        self.encrypts, self.key = False, "alias/aws/ebs"
        self._fails = fails

    def enable_ebs_encryption_by_default(self) -> None:
        """Switch it on."""
        self.encrypts = True

    def modify_ebs_default_kms_key_id(self, *, KmsKeyId: str) -> None:  # noqa: N803 - EC2's name
        """Name the key."""
        if self._fails:
            raise RuntimeError
        self.key = KmsKeyId


class TestVolumes:
    """The default encryption of EBS."""

    STACK = example("ebs-encryption", KeyAdministratorArns=ADMINISTRATOR)

    @pytest.fixture
    def answers(self) -> Iterator[list[str]]:
        """What CloudFormation is answered."""
        told: list[str] = []
        module = ModuleType("cfnresponse")
        module.SUCCESS, module.FAILED = "SUCCESS", "FAILED"  # type: ignore[attr-defined]
        module.send = lambda _event, _context, status, *_: told.append(status)  # type: ignore[attr-defined]
        with patch.dict(sys.modules, {"cfnresponse": module}):
            yield told

    def _invoke(self, region: Region, kind: str, key: str = OTHER_KEY) -> None:
        code = self.STACK.resources["SetDefault"]["Properties"]["Code"]["ZipFile"]
        scope: dict[str, Any] = {}
        exec(code, scope)  # noqa: S102 - it stands in the template
        event = {"RequestType": kind, "ResourceProperties": {"KeyArn": key}}
        with patch.object(boto3, "client", lambda name, **_: {"ec2": region}[name]):
            scope["handler"](event, SimpleNamespace())

    def test_are_encrypted_under_the_key(self, answers: list[str]) -> None:
        """Made, the Region encrypts under the key; changed, under the other; deleted, still so."""
        region = Region()
        self._invoke(region, "Create")
        assert (region.encrypts, region.key) == (True, OTHER_KEY)
        self._invoke(region, "Update", "another")
        assert region.key == "another"
        self._invoke(region, "Delete")
        assert (region.encrypts, region.key) == (True, "another")
        assert answers == ["SUCCESS"] * 3

    def test_failure_is_told(self, answers: list[str]) -> None:
        """CloudFormation hears of a failure at once, and not after its time is over."""
        with pytest.raises(RuntimeError):
            self._invoke(Region(fails=True), "Create")
        assert answers == ["FAILED"]

    def test_stay_encrypted(self, simulator: Simulator) -> None:
        """The function switches on and names a key; it cannot switch off, nor read a volume."""
        policies = self.STACK.identity_policies("Role")
        here = {"aws:RequestedRegion": REGION}
        for action, context, allowed in (
            ("ec2:EnableEbsEncryptionByDefault", here, True),
            ("ec2:ModifyEbsDefaultKmsKeyId", here, True),
            ("ec2:ModifyEbsDefaultKmsKeyId", {"aws:RequestedRegion": "us-east-1"}, False),
            ("ec2:DisableEbsEncryptionByDefault", here, False),
            ("ec2:ResetEbsDefaultKmsKeyId", here, False),
        ):
            assert allowed is simulator.allows(
                self.STACK.arn("Role"), action, "*", context, identity_policies=policies
            )

    @pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"])
    def test_key_is_used_through_ec2(self, simulator: Simulator, action: str) -> None:
        """Through EC2 and for this account; not directly, and not by who administers."""
        for context, allowed in (
            ({**EC2, **OWN}, True),
            ({**EC2, "kms:CallerAccount": "999999999999"}, False),
            ({**RDS, **OWN}, False),
            (OWN, False),
        ):
            assert allowed is uses(simulator, self.STACK, ANYBODY, action, context)
        assert not uses(simulator, self.STACK, STRANGER, action, {**EC2, **OWN})

    def test_key_is_granted_to_volumes_only(self, simulator: Simulator) -> None:
        """A grant needs EC2 between, and a resource of AWS's own that it is for."""
        for context, allowed in (
            ({**EC2, **OWN, **GRANTED}, True),
            ({**EC2, **OWN}, False),
            ({**OWN, **GRANTED}, False),
        ):
            assert allowed is uses(simulator, self.STACK, ANYBODY, "kms:CreateGrant", context)

    def test_key_is_administered_by_those_named(self, simulator: Simulator) -> None:
        """And by nobody else."""
        assert uses(simulator, self.STACK, ADMINISTRATOR, "kms:ScheduleKeyDeletion")
        assert not uses(simulator, self.STACK, ANYBODY, "kms:ScheduleKeyDeletion")

    def test_snapshots_are_nobodys(self) -> None:
        """No snapshot of the Region can be shared with everybody."""
        state = self.STACK.resources["SnapshotsOfNobody"]["Properties"]["State"]
        assert state == "block-all-sharing"


class TestDatabase:
    """An encrypted database."""

    @pytest.mark.parametrize(
        ("engine", "family", "forced"),
        [
            ("postgres", "postgres17", {"rds.force_ssl": "1"}),
            ("mysql", "mysql8.4", {"require_secure_transport": "1"}),
        ],
    )
    def test_is_what_it_says(self, engine: str, family: str, forced: dict[str, str]) -> None:
        """Encrypted under the key, no login without TLS, IAM offered, snapshots, not public."""
        stack = example("database", KeyArn=OTHER_KEY, Engine=engine, **NETWORK)
        assert stack.violations() == []
        made = stack.resources["Database"]["Properties"]
        wanted = {
            "StorageEncrypted": True,
            "KmsKeyId": OTHER_KEY,
            "EnableIAMDatabaseAuthentication": True,
            "PubliclyAccessible": False,
            "BackupRetentionPeriod": 7,
            "CopyTagsToSnapshot": True,
            "ManageMasterUserPassword": True,
            "MasterUserSecret": {"KmsKeyId": OTHER_KEY},
        }
        assert {name: made.get(name) for name in wanted} == wanted
        assert "MasterUserPassword" not in made
        group = stack.resources["TlsOnly"]["Properties"]
        assert (group["Family"], group["Parameters"]) == (family, forced)
        assert made["DBParameterGroupName"] == stack.resolve({"Ref": "TlsOnly"})

    def test_leaves_a_snapshot(self) -> None:
        """Whatever removes the database leaves its data, encrypted as it was."""
        resource = load(ROOT / "examples" / "database.yaml")["Resources"]["Database"]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == (
            "Snapshot",
            "Snapshot",
        )

    def test_lets_one_user_in_by_iam(self, simulator: Simulator) -> None:
        """The policy logs in as this user of this database, and as no other."""
        stack = example("database", KeyArn=OTHER_KEY, **NETWORK)
        users = f"arn:aws:rds-db:{REGION}:{ACCOUNT}:dbuser"
        for resource, allowed in (
            (f"{users}:db-RESOURCE/reports", True),
            (f"{users}:db-RESOURCE/administrator", False),
            (f"{users}:db-ANOTHER/reports", False),
        ):
            assert allowed is simulator.allows(
                USER,
                "rds-db:connect",
                resource,
                identity_policies=[stack.policy("LogInByIam")],
            )

    def test_needs_a_key(self) -> None:
        """There is no database without a key of one's own."""
        assert example("database", KeyArn="", **NETWORK).violations() != []
        alias = OTHER_KEY.replace("key/", "alias/")
        assert example("database", KeyArn=alias, **NETWORK).violations() != []


def test_the_key_stores_script_is_what_the_services_take() -> None:
    """Nothing here has CloudHSM: each command is held to the model of its service."""
    text = (ROOT / "examples" / "cloudhsm-key-store.sh").read_text()
    subprocess.run(["bash", "-n"], input=text.encode(), check=True)
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*$", "", text, flags=re.MULTILINE))
    found = [shlex.split(each) for each in re.findall(r"\baws (?:[^\n)&>]|>(?!&))+", joined)]
    assert [each[1:3] for each in found] == [
        ["cloudhsmv2", "describe-clusters"],
        ["kms", "create-custom-key-store"],
        ["kms", "connect-custom-key-store"],
        ["kms", "describe-custom-key-stores"],
        ["kms", "describe-custom-key-stores"],
        ["kms", "create-key"],
    ]
    assert [lacks(each) for each in found] == [[]] * len(found)

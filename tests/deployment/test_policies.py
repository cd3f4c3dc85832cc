"""Each statement of the template's policies allows what it must, and nothing beyond.

Who the questions are about: a function's role; anybody else in the account whom IAM allows
everything (`ANYBODY`), which is how much a key policy has to hold back; services; other accounts.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from local.engines import ENGINES
from tests.deployment.simulator import Simulator
from tests.deployment.stack import ACCOUNT, REGION, Stack

pytestmark = pytest.mark.deploy

ANYBODY = f"arn:aws:iam::{ACCOUNT}:role/Anybody"
EVERYTHING = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
}
OPEN_KEY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
            "Action": "kms:*",
            "Resource": "*",
        }
    ],
}
"""The key policy that leaves everything to IAM, as keys have it that are made by hand."""
STRANGER = "arn:aws:iam::999999999999:role/Stranger"

SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:app-AbCdEf"
MANAGED_SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1234-AbCdEf"
FOREIGN_SECRET = f"arn:aws:secretsmanager:{REGION}:999999999999:secret:app-AbCdEf"
INSTANCE = f"arn:aws:rds:{REGION}:{ACCOUNT}:db:database-1"
CLUSTER = f"arn:aws:rds:{REGION}:{ACCOUNT}:cluster:cluster-1"
INTERFACE = f"arn:aws:ec2:{REGION}:{ACCOUNT}:network-interface/eni-1"
OTHER_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/11111111-1111-4111-8111-111111111111"

NAMES = "secretsmanager:resource/AllowRotationLambdaArn"
ADMINISTRATOR = "aws:ResourceTag/rotation:administrator"
OF_INSTANCE = "aws:ResourceTag/aws:rds:primaryDBInstanceArn"
OF_CLUSTER = "aws:ResourceTag/aws:rds:primaryDBClusterArn"
CONTEXT = "kms:EncryptionContext:"
SECRETS_MANAGER = {"kms:ViaService": f"secretsmanager.{REGION}.amazonaws.com"}
RDS = {"kms:ViaService": f"rds.{REGION}.amazonaws.com"}
OF_SECRET = {f"{CONTEXT}SecretARN": SECRET}

ROTATORS = {each.engine.function.removesuffix("Rotator"): each.folder for each in ENGINES.values()}
"""What the names of a rotator's resources begin with, to its value of the administrators' tag."""
ROTATES = (
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "secretsmanager:ListSecretVersionIds",
    "secretsmanager:PutSecretValue",
    "secretsmanager:UpdateSecretVersionStage",
)
READS = ROTATES[:2]

Context = Mapping[str, str]


@pytest.fixture(scope="module")
def stack() -> Stack:
    """The stack with everything switched on that has statements of its own."""
    return Stack(
        SubnetIds="subnet-0123456789abcdef0",
        SecurityGroupIds="sg-0123456789abcdef0",
        ManagedAdministrators="yes",
        TrailLogsManagementEvents="no",
        SecretKeyArns=OTHER_KEY,
    )


@pytest.fixture(scope="module")
def plain_stack() -> Stack:
    """The stack with every parameter at its default."""
    return Stack()


@pytest.fixture(params=ROTATORS)
def rotator(request: pytest.FixtureRequest) -> str:
    """What the names of one rotator's resources begin with."""
    return str(request.param)


class TestTheSimulator:
    """What the other tests rely on."""

    POLICY: Mapping[str, Any] = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "kms:Decrypt",
                "Resource": OTHER_KEY,
                "Condition": {"StringEquals": SECRETS_MANAGER, "ArnLike": OF_SECRET},
            }
        ],
    }

    @pytest.mark.parametrize(
        ("context", "allowed"),
        [
            ({**SECRETS_MANAGER, **OF_SECRET}, True),
            ({**RDS, **OF_SECRET}, False),
            (SECRETS_MANAGER, False),
            ({**SECRETS_MANAGER, f"{CONTEXT}SecretARN": FOREIGN_SECRET}, False),
            ({}, False),
        ],
    )
    def test_every_condition_counts(
        self, simulator: Simulator, context: Context, *, allowed: bool
    ) -> None:
        """All conditions of a statement have to hold, and a missing key holds none."""
        assert allowed is simulator.allows(
            ANYBODY,
            "kms:Decrypt",
            OTHER_KEY,
            context,
            identity_policies=[self.POLICY],
            resource_policy=OPEN_KEY,
        )

    def test_a_key_is_closed_unless_its_policy_opens_it(self, simulator: Simulator) -> None:
        """All rights in IAM do not open a key whose policy names somebody else."""
        closed = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:role/Other"},
                    "Action": "kms:*",
                    "Resource": "*",
                }
            ],
        }
        for policy, allowed in ((closed, False), (OPEN_KEY, True)):
            assert allowed is simulator.allows(
                ANYBODY,
                "kms:Decrypt",
                OTHER_KEY,
                identity_policies=[EVERYTHING],
                resource_policy=policy,
            )

    def test_a_denial_outweighs_a_permission(self, simulator: Simulator) -> None:
        """An explicit Deny wins."""
        denial = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Deny", "Action": "secretsmanager:*", "Resource": "*"}],
        }
        assert simulator.allows(
            ANYBODY, "secretsmanager:GetSecretValue", SECRET, identity_policies=[EVERYTHING]
        )
        assert not simulator.allows(
            ANYBODY,
            "secretsmanager:GetSecretValue",
            SECRET,
            identity_policies=[EVERYTHING, denial],
        )

    def test_a_misspelt_question_is_refused(self, simulator: Simulator) -> None:
        """An action that does not exist is an error, not a denial."""
        with pytest.raises(AssertionError):
            simulator.allows(
                ANYBODY, "secretsmanager:GetSecret", SECRET, identity_policies=[EVERYTHING]
            )

    def test_a_condition_key_that_the_action_lacks_is_refused(self, simulator: Simulator) -> None:
        """A condition that could never hold is noticed."""
        with pytest.raises(AssertionError, match="not condition keys"):
            simulator.allows(
                ANYBODY,
                "secretsmanager:GetSecretValue",
                SECRET,
                SECRETS_MANAGER,
                identity_policies=[EVERYTHING],
            )


class TestFunctions:
    """What a rotation function's role may do."""

    def _allows(
        self,
        simulator: Simulator,
        stack: Stack,
        rotator: str,
        action: str,
        resource: str,
        context: Context | None = None,
    ) -> bool:
        return simulator.allows(
            stack.arn(f"{rotator}Role"),
            action,
            resource,
            context,
            identity_policies=stack.identity_policies(f"{rotator}Role"),
            # The functions' own policies have to hold back what an open key would not.
            resource_policy=OPEN_KEY if ":key/" in resource else None,
        )

    @pytest.mark.parametrize("action", ROTATES)
    def test_rotate_only_secrets_that_name_them(
        self, simulator: Simulator, stack: Stack, rotator: str, action: str
    ) -> None:
        """A secret opens to the function that it names, to no other, and to none by a tag alone."""
        own = {NAMES: stack.arn(f"{rotator}Rotator")}
        other = next(each for each in ROTATORS if each != rotator)
        assert self._allows(simulator, stack, rotator, action, SECRET, own)
        assert not self._allows(
            simulator, stack, rotator, action, SECRET, {NAMES: stack.arn(f"{other}Rotator")}
        )
        assert not self._allows(simulator, stack, rotator, action, SECRET)
        assert not self._allows(simulator, stack, rotator, action, FOREIGN_SECRET, own)
        if action not in READS:
            tagged = {ADMINISTRATOR: ROTATORS[rotator], "aws:ResourceAccount": ACCOUNT}
            assert not self._allows(simulator, stack, rotator, action, SECRET, tagged)

    @pytest.mark.parametrize(
        "action",
        [
            "secretsmanager:CancelRotateSecret",
            "secretsmanager:DeleteSecret",
            "secretsmanager:PutResourcePolicy",
            "secretsmanager:RotateSecret",
            "secretsmanager:TagResource",
            "secretsmanager:UpdateSecret",
        ],
    )
    def test_do_nothing_else_with_their_secrets(
        self, simulator: Simulator, stack: Stack, rotator: str, action: str
    ) -> None:
        """Naming a function gives it no more than the calls of a rotation."""
        own = {NAMES: stack.arn(f"{rotator}Rotator")}
        assert not self._allows(simulator, stack, rotator, action, SECRET, own)

    @pytest.mark.parametrize("action", READS)
    def test_read_administrators_by_tag_and_account(
        self, simulator: Simulator, stack: Stack, rotator: str, action: str
    ) -> None:
        """An administrator's secret opens to the function of the engine in its tag only."""
        here = {"aws:ResourceAccount": ACCOUNT}
        engine = ROTATORS[rotator]
        for context, allowed in (
            ({ADMINISTRATOR: engine, **here}, True),
            ({ADMINISTRATOR: "oracle", **here}, False),
            ({ADMINISTRATOR: engine, "aws:ResourceAccount": "999999999999"}, False),
            ({ADMINISTRATOR: engine}, False),
            (here, False),
        ):
            assert allowed is self._allows(simulator, stack, rotator, action, SECRET, context)

    @pytest.mark.parametrize(("tag", "database"), [(OF_INSTANCE, INSTANCE), (OF_CLUSTER, CLUSTER)])
    def test_read_managed_administrators_where_wanted(
        self,
        simulator: Simulator,
        stack: Stack,
        plain_stack: Stack,
        rotator: str,
        tag: str,
        database: str,
    ) -> None:
        """RDS's own secrets open for reading, by RDS's own tag, if the parameter says so."""
        read, write = "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"
        tagged, foreign = {tag: database}, {tag: database.replace(ACCOUNT, "999999999999")}
        assert self._allows(simulator, stack, rotator, read, MANAGED_SECRET, tagged)
        assert not self._allows(simulator, stack, rotator, write, MANAGED_SECRET, tagged)
        assert not self._allows(simulator, stack, rotator, read, MANAGED_SECRET, foreign)
        assert not self._allows(simulator, stack, rotator, read, MANAGED_SECRET)
        # The tag is a system tag on RDS's secrets only; elsewhere it must not count.
        assert not self._allows(simulator, stack, rotator, read, SECRET, tagged)
        assert not self._allows(simulator, plain_stack, rotator, read, MANAGED_SECRET, tagged)

    @pytest.mark.parametrize(
        ("action", "database"),
        [("rds:DescribeDBInstances", INSTANCE), ("rds:DescribeDBClusters", CLUSTER)],
    )
    def test_look_databases_up_where_wanted(
        self,
        simulator: Simulator,
        stack: Stack,
        plain_stack: Stack,
        rotator: str,
        action: str,
        database: str,
    ) -> None:
        """RDS is asked only where administrators' secrets are managed by RDS, and only read."""
        assert self._allows(simulator, stack, rotator, action, database)
        assert not self._allows(simulator, plain_stack, rotator, action, database)
        change = action.replace("Describe", "Modify").removesuffix("s")
        assert not self._allows(simulator, stack, rotator, change, database)

    @pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
    def test_use_keys_for_secrets_only(
        self, simulator: Simulator, stack: Stack, plain_stack: Stack, rotator: str, action: str
    ) -> None:
        """A key works through Secrets Manager, for a secret of this account, and not otherwise."""
        key = stack.arn("Key")
        foreign = {f"{CONTEXT}SecretARN": FOREIGN_SECRET}
        for context, allowed in (
            ({**SECRETS_MANAGER, **OF_SECRET}, True),
            ({**SECRETS_MANAGER, **foreign}, False),
            (SECRETS_MANAGER, False),
            (OF_SECRET, False),
            ({**RDS, **OF_SECRET}, False),
        ):
            assert allowed is self._allows(simulator, stack, rotator, action, key, context)
            assert allowed is self._allows(simulator, stack, rotator, action, OTHER_KEY, context)
            assert not self._allows(simulator, plain_stack, rotator, action, OTHER_KEY, context)

    def test_administer_no_key(self, simulator: Simulator, stack: Stack, rotator: str) -> None:
        """A function can neither change a key nor pass it on."""
        for action in ("kms:PutKeyPolicy", "kms:CreateGrant", "kms:ScheduleKeyDeletion"):
            context = {**SECRETS_MANAGER}
            assert not self._allows(simulator, stack, rotator, action, stack.arn("Key"), context)

    def test_write_their_own_log_only(
        self, simulator: Simulator, stack: Stack, rotator: str
    ) -> None:
        """One function cannot write into another's log."""
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/rotation"
        other = next(each for each in ROTATORS if each != rotator)
        for name, allowed in ((rotator, True), (other, False)):
            stream = f"{group}/{name}Rotator:log-stream:x"
            assert allowed is self._allows(simulator, stack, rotator, "logs:PutLogEvents", stream)

    def test_leave_the_network_to_lambda(
        self, simulator: Simulator, stack: Stack, plain_stack: Stack, rotator: str
    ) -> None:
        """Lambda may attach the function to the subnets; the function's own code may not."""
        by_code = {"lambda:SourceFunctionArn": stack.arn(f"{rotator}Rotator")}
        for action, resource in (
            ("ec2:AssignPrivateIpAddresses", INTERFACE),
            ("ec2:CreateNetworkInterface", INTERFACE),
            ("ec2:DeleteNetworkInterface", INTERFACE),
            ("ec2:UnassignPrivateIpAddresses", INTERFACE),
            ("ec2:DescribeNetworkInterfaces", "*"),
        ):
            assert self._allows(simulator, stack, rotator, action, resource)
            assert not self._allows(simulator, stack, rotator, action, resource, by_code)
            assert not self._allows(simulator, plain_stack, rotator, action, resource)

    def test_are_invoked_by_secrets_manager_for_this_account_only(
        self, stack: Stack, rotator: str
    ) -> None:
        """Nothing but Secrets Manager on behalf of this account may invoke a function."""
        permission = stack.resources[f"{rotator}Permission"]["Properties"]
        assert permission == {
            "FunctionName": stack.arn(f"{rotator}Rotator"),
            "Action": "lambda:InvokeFunction",
            "Principal": "secretsmanager.amazonaws.com",
            "SourceAccount": ACCOUNT,
        }


@pytest.mark.parametrize("key", ["", OTHER_KEY])
def test_readers_get_the_key_and_no_secret(simulator: Simulator, key: str) -> None:
    """Whoever has the reader's policy may decrypt through Secrets Manager, and nothing else.

    Which secrets a reader gets, another policy says; this one is what it needs besides.
    """
    stack = Stack(KeyArn=key) if key else Stack()
    policies = [stack.policy("ReaderPolicy")]
    for action, resource, context, allowed in (
        ("kms:Decrypt", key or stack.arn("Key"), {**SECRETS_MANAGER, **OF_SECRET}, True),
        ("kms:Decrypt", key or stack.arn("Key"), OF_SECRET, False),
        ("kms:GenerateDataKey", key or stack.arn("Key"), {**SECRETS_MANAGER, **OF_SECRET}, False),
        ("secretsmanager:GetSecretValue", SECRET, {}, False),
    ):
        assert allowed is simulator.allows(
            ANYBODY,
            action,
            resource,
            context,
            identity_policies=policies,
            resource_policy=OPEN_KEY if ":key/" in resource else None,
        )


def test_the_check_lists_secrets_and_reads_none(simulator: Simulator, stack: Stack) -> None:
    """The scheduled check sees names and dates, and no value."""
    role = stack.arn("WatchRole")
    policies = stack.identity_policies("WatchRole")
    assert simulator.allows(role, "secretsmanager:ListSecrets", "*", identity_policies=policies)
    for action in ("secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"):
        assert not simulator.allows(role, action, SECRET, identity_policies=policies)
    for name, allowed in (("Watch", True), ("PostgresRotator", False)):
        group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda/rotation/{name}"
        stream = f"{group}:log-stream:x"
        assert allowed is simulator.allows(
            role, "logs:PutLogEvents", stream, identity_policies=policies
        )


class TestKey:
    """What the key policy holds back from people whom IAM allows everything."""

    def _allows(
        self,
        simulator: Simulator,
        stack: Stack,
        action: str,
        context: Context | None = None,
        principal: str = ANYBODY,
    ) -> bool:
        service = not principal.startswith("arn:")
        return simulator.allows(
            principal,
            action,
            stack.arn("Key"),
            context,
            identity_policies=[] if service else [EVERYTHING],
            resource_policy=stack.policy("Key"),
        )

    @pytest.mark.parametrize(
        "action", ["kms:PutKeyPolicy", "kms:ScheduleKeyDeletion", "kms:EnableKeyRotation"]
    )
    def test_is_administered_by_those_named(self, simulator: Simulator, action: str) -> None:
        """The administrators named, and nobody else, administer; without names IAM decides."""
        named = f"arn:aws:iam::{ACCOUNT}:role/KeyAdministrator"
        closed = Stack(KeyAdministratorArns=named)
        assert self._allows(simulator, closed, action, principal=named)
        assert not self._allows(simulator, closed, action)
        assert self._allows(simulator, Stack(), action)
        assert not self._allows(simulator, Stack(), action, principal=STRANGER)

    @pytest.mark.parametrize(
        "action", ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey", "kms:CreateGrant"]
    )
    def test_is_of_no_use_to_its_administrators(self, simulator: Simulator, action: str) -> None:
        """Whoever administers the key cannot use it, nor let others."""
        named = f"arn:aws:iam::{ACCOUNT}:role/KeyAdministrator"
        assert not self._allows(
            simulator, Stack(KeyAdministratorArns=named), action, principal=named
        )
        assert not self._allows(simulator, Stack(), action)

    @pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey", "kms:Encrypt"])
    def test_opens_secrets_through_secrets_manager_only(
        self, simulator: Simulator, stack: Stack, action: str
    ) -> None:
        """Through the service and for a secret of the account; the check of access included."""
        placeholder = "RequestToValidateKeyAccess"
        check = {f"{CONTEXT}SecretVersionId": placeholder}
        for context, allowed in (
            ({**SECRETS_MANAGER, **OF_SECRET}, True),
            ({**SECRETS_MANAGER, **OF_SECRET, **check}, True),
            # Which of the two the service names when a secret is made, public sources disagree.
            ({**SECRETS_MANAGER, f"{CONTEXT}SecretARN": placeholder, **check}, True),
            ({f"{CONTEXT}SecretARN": placeholder, **check}, False),
            ({**SECRETS_MANAGER, f"{CONTEXT}SecretARN": FOREIGN_SECRET}, False),
            (OF_SECRET, False),
            (SECRETS_MANAGER, False),
        ):
            assert allowed is self._allows(simulator, stack, action, context)
        whole = {**SECRETS_MANAGER, **OF_SECRET}
        assert not self._allows(simulator, stack, action, whole, principal=STRANGER)

    def test_is_described_through_the_services_that_use_it(
        self, simulator: Simulator, stack: Stack
    ) -> None:
        """Secrets Manager and RDS may look at the key on behalf of whoever uses it."""
        named = Stack(KeyAdministratorArns=f"arn:aws:iam::{ACCOUNT}:role/KeyAdministrator")
        for context, allowed in ((SECRETS_MANAGER, True), (RDS, True), ({}, False)):
            assert allowed is self._allows(simulator, named, "kms:DescribeKey", context)

    @pytest.mark.parametrize("action", ["kms:Decrypt", "kms:GenerateDataKey"])
    def test_encrypts_databases(self, simulator: Simulator, stack: Stack, action: str) -> None:
        """RDS may use the key on behalf of this account."""
        for context, allowed in (
            ({**RDS, "kms:CallerAccount": ACCOUNT}, True),
            ({**RDS, "kms:CallerAccount": "999999999999"}, False),
            ({"kms:CallerAccount": ACCOUNT}, False),
        ):
            assert allowed is self._allows(simulator, stack, action, context)

    def test_is_granted_to_databases_only(self, simulator: Simulator, stack: Stack) -> None:
        """A grant needs RDS between, and a resource of AWS's own that it is for."""
        for context, allowed in (
            ({**RDS, "kms:GrantIsForAWSResource": "true"}, True),
            ({**RDS, "kms:GrantIsForAWSResource": "false"}, False),
            (RDS, False),
            ({"kms:GrantIsForAWSResource": "true"}, False),
            ({**SECRETS_MANAGER, "kms:GrantIsForAWSResource": "true"}, False),
        ):
            assert allowed is self._allows(simulator, stack, "kms:CreateGrant", context)

    @pytest.mark.parametrize("action", ["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey"])
    def test_encrypts_the_stacks_logs(
        self, simulator: Simulator, stack: Stack, action: str
    ) -> None:
        """CloudWatch Logs may use the key for the stack's log groups, not for others."""
        groups = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/lambda"
        for group, allowed in (
            (f"{groups}/rotation/PostgresRotator", True),
            (f"{groups}/other/Function", False),
            (f"{groups.replace(ACCOUNT, '999999999999')}/rotation/PostgresRotator", False),
        ):
            context = {f"{CONTEXT}aws:logs:arn": group}
            principal = f"logs.{REGION}.amazonaws.com"
            assert allowed is self._allows(simulator, stack, action, context, principal)

    def test_lets_alarms_of_this_account_out(self, simulator: Simulator, stack: Stack) -> None:
        """CloudWatch may use the topic's key for this account's alarms, and no other service."""
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            for account, allowed in ((ACCOUNT, True), ("999999999999", False)):
                context = {"aws:SourceAccount": account}
                service = "cloudwatch.amazonaws.com"
                assert allowed is self._allows(simulator, stack, action, context, service)
            context = {"aws:SourceAccount": ACCOUNT}
            assert not self._allows(simulator, stack, action, context, "s3.amazonaws.com")

    def test_lets_events_out_whatever_they_come_with(
        self, simulator: Simulator, stack: Stack
    ) -> None:
        """EventBridge may use the topic's key without telling an account, as it does."""
        for action in ("kms:Decrypt", "kms:GenerateDataKey"):
            assert self._allows(simulator, stack, action, {}, "events.amazonaws.com")
        assert not self._allows(simulator, stack, "kms:Encrypt", {}, "events.amazonaws.com")

    def test_encrypts_the_trail(
        self, simulator: Simulator, stack: Stack, plain_stack: Stack
    ) -> None:
        """CloudTrail may use the key for the stack's trail, if the stack makes one."""
        trails = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail"
        source, written = "aws:SourceArn", f"{CONTEXT}aws:cloudtrail:arn"
        own, other = f"{trails}/rotation", f"{trails}/other"
        for action, context, allowed in (
            ("kms:GenerateDataKey", {source: own, written: own}, True),
            ("kms:GenerateDataKey", {source: own, written: other}, False),
            ("kms:GenerateDataKey", {source: other, written: own}, False),
            ("kms:DescribeKey", {source: own}, True),
            ("kms:DescribeKey", {source: other}, False),
        ):
            service = "cloudtrail.amazonaws.com"
            assert allowed is self._allows(simulator, stack, action, context, service)
            assert not self._allows(simulator, plain_stack, action, context, service)
        storage = {"kms:ViaService": f"s3.{REGION}.amazonaws.com"}
        for context, allowed in (
            ({**storage, written: own}, True),
            ({**storage, written: other}, False),
            ({written: own}, False),
        ):
            assert allowed is self._allows(simulator, stack, "kms:Decrypt", context)


def test_the_topic_takes_alarms_and_events(simulator: Simulator, stack: Stack) -> None:
    """Alarms of this account and events are published, over encrypted connections only."""
    topic = str(stack.resolve({"Ref": "Topic"}))
    secure, plaintext = {"aws:SecureTransport": "true"}, {"aws:SecureTransport": "false"}
    own, other = {"aws:SourceAccount": ACCOUNT}, {"aws:SourceAccount": "999999999999"}
    for service, context, allowed in (
        ("cloudwatch.amazonaws.com", {**own, **secure}, True),
        ("cloudwatch.amazonaws.com", {**other, **secure}, False),
        ("cloudwatch.amazonaws.com", secure, False),
        ("events.amazonaws.com", secure, True),
        ("events.amazonaws.com", plaintext, False),
        ("s3.amazonaws.com", {**own, **secure}, False),
    ):
        assert allowed is simulator.allows(
            service,
            "sns:Publish",
            topic,
            context,
            resource_policy=stack.policy("TopicPolicy"),
        )


def test_the_trails_bucket_takes_its_own_trail_only(simulator: Simulator, stack: Stack) -> None:
    """CloudTrail writes for the stack's trail; nobody comes over an unencrypted connection."""
    bucket = stack.arn("TrailBucket")
    written = f"{bucket}/AWSLogs/{ACCOUNT}/CloudTrail/x.json.gz"
    trails = f"arn:aws:cloudtrail:{REGION}:{ACCOUNT}:trail"
    for action, resource in (("s3:PutObject", written), ("s3:GetBucketAcl", bucket)):
        for trail, allowed in ((f"{trails}/rotation", True), (f"{trails}/other", False)):
            context = {"aws:SourceArn": trail, "aws:SecureTransport": "true"}
            assert allowed is simulator.allows(
                "cloudtrail.amazonaws.com",
                action,
                resource,
                context,
                resource_policy=stack.policy("TrailBucketPolicy"),
            )
    for secure, allowed in (("true", True), ("false", False)):
        assert allowed is simulator.allows(
            ANYBODY,
            "s3:GetObject",
            written,
            {"aws:SecureTransport": secure},
            identity_policies=[EVERYTHING],
            resource_policy=stack.policy("TrailBucketPolicy"),
        )

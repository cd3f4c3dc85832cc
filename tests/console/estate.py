"""An account in memory in which a secret and all that it rests on are well, until a test breaks it.

Real: the Secrets Manager of `local/`, over HTTP, its keys' policies too. moto answers for KMS, IAM,
RDS, S3 and EC2, as far as it knows what the services answer; what it lacks is put right in
:data:`RIGHT`, and everything put right is held to botocore's models.
"""

import io
import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator
from moto.moto_api._internal.models import moto_api_backend

from console.account import Account
from console.app import run
from console.fleet import Wanted, select
from console.posture.handshake import Handshake
from console.posture.look import Looking, Posture
from console.posture.view import Answer, View
from console.posture.wire import Wire
from console.screen import Screen
from local.lambda_service import LambdaService
from local.secretsmanager import SecretsManagerService
from local.secretsmanager.endpoint import Endpoint
from shared.examination.finding import Finding
from tests.deployment.stack import ACCOUNT, REGION, Stack

HANDLER = "rotators.postgres.rotator.handler"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/KeyAdministrator"
READER = f"arn:aws:iam::{ACCOUNT}:role/Reader"
STRANGER = "999999999999"
INSTANCE = "shop"
BUCKET = "escrow-of-the-shop"
ESCROW = {"ROTATION_BEFORE_CHANGE": f"escrow.sealing.seal:bucket={BUCKET},first=key"}
SECRET = "app"
PASSWORD = "Right-password-1"
AWS_KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"
"""Of aws/rds: moto has no key that AWS manages."""

REFUSAL: Any = {"Error": {"Code": "AccessDeniedException", "Message": "You may not."}}

Change = Callable[[Any], Any]
Question = tuple[str, str]


class Altered(View):
    """What the account tells, with what a test refuses, or puts right."""

    def __init__(self, made: "Estate"):
        super().__init__(made.account)
        self._made = made
        self.asked: list[Question] = []

    def request(
        self, service: str, operation: str, pages: str, parameters: Mapping[str, object]
    ) -> Answer:
        """Make the request, if it may be made."""
        question = (service, operation)
        self.asked.append(question)
        if question in self._made.denied:
            raise ClientError(REFUSAL, operation)
        change = self._made.right.get(question)
        known: Answer = {}
        try:
            if question not in UNKNOWN_TO_MOTO:
                known = self._known(service, operation, pages, parameters)
        except ClientError:
            if change is None:
                raise
        if change is None:
            return known
        answer: Answer = change(json.loads(json.dumps(known, default=str)))
        require_shape(self.account, service, operation, answer)
        return answer

    def _known(
        self, service: str, operation: str, pages: str, parameters: Mapping[str, object]
    ) -> Answer:
        """Ask moto, or take what it said since the service was last written to."""
        if service in {"secretsmanager", "lambda"}:
            return super().request(service, operation, pages, parameters)
        known = self._made.known.setdefault(service, {})
        question = json.dumps([operation, pages, parameters], sort_keys=True)
        if question not in known:
            known[question] = super().request(service, operation, pages, parameters)
        return known[question]


UNKNOWN_TO_MOTO = {
    ("ec2", "get_ebs_default_kms_key_id"),
    ("cloudformation", "describe_stack_resources"),
    ("rds", "describe_db_cluster_parameters"),
}


def require_shape(account: Account, service: str, operation: str, answer: Answer) -> None:
    """Make sure that a service could answer so.

    Raises:
        AssertionError: By its model it could not.
    """
    model = account.client(service).meta.service_model
    names = {xform_name(name): name for name in model.operation_names}
    shape = model.operation_model(names[operation]).output_shape
    told = {key: value for key, value in answer.items() if key != "ResponseMetadata"}
    assert not (report := ParamValidator().validate(_dates(told), shape)).has_errors(), (
        report.generate_report()
    )


def _dates(value: Any) -> Any:  # noqa: ANN401 (JSON)
    """Return JSON with what it has for dates as dates."""
    if isinstance(value, dict):
        return {key: _dates(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_dates(each) for each in value]
    try:
        return (
            datetime.fromisoformat(value) if isinstance(value, str) and value[4:5] == "-" else value
        )
    except ValueError:
        return value


@dataclass
class Estate:
    """The account.

    Attributes:
        right: Changes what a service answers, by service and operation.
        denied: What may not be asked.
        shakes: What the database shows.
    """

    service: SecretsManagerService
    lambdas: LambdaService
    account: Account
    url: str
    right: dict[Question, Change] = field(default_factory=dict)
    denied: set[Question] = field(default_factory=set)
    shakes: Handshake = field(
        default_factory=lambda: Handshake(version="TLSv1.3", takes_clear=False)
    )
    key: str = ""
    host: str = ""
    view: Altered | None = None
    is_well: bool = True
    known: dict[str, dict[str, Answer]] = field(default_factory=dict)

    def client(self, service: str) -> Any:  # noqa: ANN401 (of any service)
        """Return a client to write with: what was known of the service is forgotten."""
        self.known.pop(service, None)
        return self.account.client(service)

    @property
    def key_id(self) -> str:
        """The id of the key."""
        return self.key.rpartition("/")[2]

    @property
    def function(self) -> str:
        """The ARN of the function."""
        return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:postgres"

    def look(self, days: int = 90, *, reads_values: bool = True) -> Posture:
        """Look at the secrets of the account."""
        self.view = Altered(self)
        secrets = select(self.account, Wanted(every=True))
        wire = Wire(known={(self.host, 5432): self.shakes})
        return Looking(self.view, days, reads_values, wire).at(Screen(quiet=True), secrets)

    def findings(self, days: int = 90) -> list[Finding]:
        """Return what is found."""
        return self.look(days).findings

    def codes(self) -> set[str]:
        """Return the codes of what is found."""
        return {each.code for each in self.findings()}

    # -- the parts ---------------------------------------------------------------------------------

    def policy(self) -> dict[str, Any]:
        """Return the key's policy."""
        told = self.client("kms").get_key_policy(KeyId=self.key, PolicyName="default")["Policy"]
        policy: dict[str, Any] = json.loads(told)
        return policy

    def put_policy(self, *statements: Mapping[str, Any]) -> None:
        """Put statements beside the key's own ones."""
        policy = self.policy()
        policy["Statement"] += statements
        self.client("kms").put_key_policy(
            KeyId=self.key, PolicyName="default", Policy=json.dumps(policy)
        )

    def rotated(self, ago: timedelta, name: str = SECRET) -> None:
        """Let the last rotation have succeeded so long ago."""
        rotation = self.service._operations.find(name).rotation
        assert rotation is not None
        rotation.last_rotated = datetime.now(UTC) - ago

    def put_role_policy(self, action: object, resource: object, **rest: object) -> None:
        """Give the function's role a further right."""
        statement = {"Effect": "Allow", "Action": action, "Resource": resource, **rest}
        self.client("iam").put_role_policy(
            RoleName="postgres",
            PolicyName="more",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )

    def instance(self, **changes: object) -> None:
        """Let RDS tell something else of the instance."""
        before = self.right.get(("rds", "describe_db_instances"))

        def change(answer: Any) -> Any:  # noqa: ANN401 (JSON)
            told = before(answer) if before else answer
            told["DBInstances"][0] |= changes
            return told

        self.right["rds", "describe_db_instances"] = change

    def command(self, *arguments: str) -> tuple[int, str, str]:
        """Carry out `rotation posture`; return its exit status and what it said."""
        out, err = io.StringIO(), io.StringIO()
        line = ["--endpoint-url", self.url, "posture", *arguments]
        status = run(line, out, err)
        assert PASSWORD not in out.getvalue() + err.getvalue()
        return status, out.getvalue(), err.getvalue()

    def run(self, line: str) -> None:
        """Carry out what a person would type: commands of the AWS CLI, one after the other."""
        for words in _commands(line):
            self._carry_out(words)

    def _carry_out(self, words: Sequence[str]) -> None:
        program, service, operation, *rest = words
        assert program == "aws"
        service = "s3" if service == "s3api" else service
        client = self.client(service)
        names = {xform_name(name, "-"): name for name in client.meta.service_model.operation_names}
        shape = client.meta.service_model.operation_model(names[operation]).input_shape
        members = {xform_name(name, "-"): name for name in shape.members} if shape else {}
        parameters: dict[str, Any] = {}
        while rest:
            option = rest.pop(0).removeprefix("--")
            if option.removeprefix("no-") in members and (not rest or rest[0].startswith("--")):
                name = members[option.removeprefix("no-")]
                parameters[name] = not option.startswith("no-")
                continue
            name = members[option]
            parameters[name] = _value(shape.members[name], rest.pop(0))
        if service == "kms":
            # moto takes an ARN in some operations only.
            parameters["KeyId"] = parameters["KeyId"].rpartition("/")[2]
        getattr(client, xform_name(names[operation]))(**parameters)


def _commands(line: str) -> Iterator[list[str]]:
    words: list[str] = []
    for word in [*shlex.split(line), "&&"]:
        if word != "&&":
            words.append(word)
            continue
        yield words
        words = []


def _value(shape: Any, text: str) -> Any:  # noqa: ANN401 (of botocore)
    """Read an option as the AWS CLI does: JSON, or its shorthand."""
    kind = shape.type_name
    if kind == "structure" and not text.startswith("{"):
        pairs = (each.split("=", 1) for each in text.split(","))
        return {name: _value(shape.members[name], value) for name, value in pairs}
    if kind == "list" and not text.startswith("["):
        is_flat = shape.member.type_name != "structure"
        return text.split() if is_flat else [_value(shape.member, text)]
    if kind in {"structure", "list", "map", "boolean", "integer", "long"}:
        return json.loads(text)
    return text


@contextmanager
def estate() -> Iterator[Estate]:
    """Make an account in which everything is well."""
    service = SecretsManagerService(retries=0)
    with service.endpoint() as endpoint:
        made = Estate(service, _functions(service), _account(endpoint), endpoint.url)
        _make_key(made)
        _make_role(made)
        _make_database(made)
        _make_secret(made)
        _make_bucket(made)
        yield made


class Shared:
    """One account for many tests: each leaves it as it was, or it is made anew."""

    def __init__(self) -> None:
        self._running = ExitStack()
        self._made: Estate | None = None

    def well(self) -> Estate:
        """Return the account, in which everything is well."""
        if self._made is None or not self._made.is_well:
            self.end()
            moto_api_backend.reset()
            self._made = self._running.enter_context(estate())
        self._made.is_well = False
        return self._made

    def end(self) -> None:
        """End it."""
        self._running.close()


def _functions(service: SecretsManagerService) -> LambdaService:
    lambdas = LambdaService(service)
    lambdas.add("postgres", lambda _event: None, handler=HANDLER, environment=ESCROW)
    # Roles are moto's: their policies are looked at.
    del service.others["iam"]
    return lambdas


def _account(endpoint: Endpoint) -> Account:
    return Account(region=REGION, endpoint_url=endpoint.url)


def stack() -> Stack:
    """Return this project's own stack, with its key's administrators named."""
    return Stack(KeyAdministratorArns=ADMINISTRATOR, ManagedAdministrators="yes")


def _make_key(made: Estate) -> None:
    kms = made.client("kms")
    policy = json.dumps(stack().policy("Key"))
    key = kms.create_key(Policy=policy, KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]
    made.key = key["Arn"]
    kms.enable_key_rotation(KeyId=made.key)


def _make_role(made: Estate) -> None:
    iam = made.client("iam")
    iam.create_role(RoleName="postgres", AssumeRolePolicyDocument="{}")
    for number, document in enumerate(stack().identity_policies("PostgresRole")):
        iam.put_role_policy(
            RoleName="postgres", PolicyName=f"own-{number}", PolicyDocument=json.dumps(document)
        )


def _make_database(made: Estate) -> None:
    rds = made.client("rds")
    rds.create_db_parameter_group(
        DBParameterGroupName="tls", DBParameterGroupFamily="postgres17", Description="TLS alone"
    )
    switched_on = {"ParameterName": "rds.force_ssl", "ParameterValue": "1"}
    rds.modify_db_parameter_group(
        DBParameterGroupName="tls", Parameters=[{**switched_on, "ApplyMethod": "immediate"}]
    )
    told = rds.create_db_instance(
        DBInstanceIdentifier=INSTANCE,
        Engine="postgres",
        EngineVersion="17.6",
        DBInstanceClass="db.t4g.micro",
        AllocatedStorage=20,
        MasterUsername="administrator",
        MasterUserPassword="made-up-password",
        StorageEncrypted=True,
        KmsKeyId=made.key,
        DBParameterGroupName="tls",
        EnableIAMDatabaseAuthentication=True,
    )["DBInstance"]
    made.host = told["Endpoint"]["Address"]
    rds.create_db_snapshot(DBSnapshotIdentifier="before-release", DBInstanceIdentifier=INSTANCE)
    made.instance(PubliclyAccessible=False)


def _make_secret(made: Estate) -> None:
    value = {"engine": "postgres", "host": made.host, "username": "app", "password": PASSWORD}
    arn = made.service.create_secret(SECRET, value, kms_key_id=made.key)
    made.service.enable_rotation(arn, made.function, {"AutomaticallyAfterDays": 30})
    made.rotated(timedelta(days=3))


def _make_bucket(made: Estate) -> None:
    s3 = made.client("s3")
    s3.create_bucket(
        Bucket=BUCKET,
        CreateBucketConfiguration={"LocationConstraint": REGION},
        ObjectLockEnabledForBucket=True,
    )
    lock = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 90}}
    s3.put_object_lock_configuration(
        Bucket=BUCKET,
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": lock},
    )
    put_encryption(made, SSEAlgorithm="aws:kms", KMSMasterKeyID=made.key)
    s3.put_public_access_block(
        Bucket=BUCKET,
        PublicAccessBlockConfiguration={
            "BlockPublicAcls": True,
            "IgnorePublicAcls": True,
            "BlockPublicPolicy": True,
            "RestrictPublicBuckets": True,
        },
    )
    put_bucket_policy(made, *bucket_statements(made.key))
    made.client("ec2").enable_ebs_encryption_by_default()
    made.right["ec2", "get_ebs_default_kms_key_id"] = lambda _none: {"KmsKeyId": made.key}
    made.right["cloudformation", "describe_stack_resources"] = lambda _none: {"StackResources": []}


def put_encryption(made: Estate, *, bucket_key: bool = True, **default: str) -> None:
    """Let the bucket encrypt so."""
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": bucket_key}
    made.client("s3").put_bucket_encryption(
        Bucket=BUCKET, ServerSideEncryptionConfiguration={"Rules": [rule]}
    )


def put_bucket_policy(made: Estate, *statements: Mapping[str, Any]) -> None:
    """Give the bucket this policy."""
    policy = {"Version": "2012-10-17", "Statement": statements}
    made.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))


def bucket_statements(key: str) -> list[dict[str, Any]]:
    """Return what a bucket's policy refuses: TLS, another algorithm, another key."""
    arn = f"arn:aws:s3:::{BUCKET}"
    header = "s3:x-amz-server-side-encryption"
    deny = {"Effect": "Deny", "Principal": "*"}
    return [
        {
            **deny,
            "Sid": "TlsOnly",
            "Action": "s3:*",
            "Resource": [arn, f"{arn}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        *(
            {
                **deny,
                "Sid": name,
                "Action": "s3:PutObject",
                "Resource": f"{arn}/*",
                "Condition": {"StringNotEqualsIfExists": {one: value}},
            }
            for name, one, value in (
                ("KmsOnly", header, "aws:kms"),
                ("OneKeyOnly", f"{header}-aws-kms-key-id", key),
            )
        ),
    ]

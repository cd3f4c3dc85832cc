"""Where moto 5.2.5 differs from the service: each difference, and the faithful behaviour.

And where moto is right, the two agree.
"""

import json
import string
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from threading import Event
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from local.secretsmanager import Key, SecretsManagerService
from local.secretsmanager.keys import Trial
from local.secretsmanager.sample import handler

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient


@pytest.fixture
def service() -> Iterator[SecretsManagerService]:
    """A service in process."""
    with SecretsManagerService() as running:
        yield running


@pytest.fixture
def client(service: SecretsManagerService) -> "SecretsManagerClient":
    """A client of it."""
    return service.client()


@pytest.fixture
def arn(service: SecretsManagerService) -> str:
    """A secret that the sample function rotates."""
    arn = service.create_secret("app", "first")
    service.enable_rotation(arn, service.register("sample", handler))
    return arn


def refused(code: str, ask: Callable[..., object], **parameters: object) -> str:
    """Ask for what is refused, and give the message."""
    with pytest.raises(ClientError) as caught:
        ask(**parameters)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def stages(client: "SecretsManagerClient", arn: str) -> dict[str, list[str]]:
    """Which labels the versions have, as a client sees them."""
    return dict(client.describe_secret(SecretId=arn)["VersionIdsToStages"])


def test_a_read_without_a_stage_gets_awscurrent_after_the_promotion(
    service: SecretsManagerService, client: "SecretsManagerClient", arn: str
) -> None:
    """After finishSecret the new value is read (moto: the previous one)."""
    service.rotate(arn).check()
    read = client.get_secret_value(SecretId=arn)
    assert read["SecretString"].startswith("made in a rotation")
    assert "AWSCURRENT" in read["VersionStages"]


def test_a_pending_value_cannot_be_overwritten_under_its_token(
    service: SecretsManagerService, client: "SecretsManagerClient", arn: str
) -> None:
    """Another value under the same token is refused while AWSPENDING (moto: it overwrites)."""
    token = str(uuid4())
    service.prepare_rotation(arn, token)
    pending = {"SecretId": arn, "ClientRequestToken": token, "VersionStages": ["AWSPENDING"]}
    client.put_secret_value(SecretString="one", **pending)  # type: ignore[arg-type]
    client.put_secret_value(SecretString="one", **pending)  # type: ignore[arg-type]
    message = refused(
        "ResourceExistsException", client.put_secret_value, SecretString="two", **pending
    )
    assert token in message
    assert service.value(arn, token) == "one"


def test_a_rotation_is_refused_while_another_version_is_pending(
    service: SecretsManagerService, client: "SecretsManagerClient", arn: str
) -> None:
    """AWSPENDING apart from AWSCURRENT refuses RotateSecret (moto: the opposite)."""
    service.prepare_rotation(arn, str(uuid4()))
    message = refused("InvalidRequestException", client.rotate_secret, SecretId=arn)
    assert message == "A previous rotation isn't complete. That rotation will be reattempted."


def test_a_rotation_starts_where_awspending_is_on_awscurrents_version(
    service: SecretsManagerService, client: "SecretsManagerClient", arn: str
) -> None:
    """AWSPENDING left on the promoted version refuses nothing (moto: it does)."""
    token = service.rotate(arn).check().token
    assert stages(client, arn)[token] == ["AWSCURRENT", "AWSPENDING"]
    client.rotate_secret(SecretId=arn)
    service.wait()
    assert service.outcomes[-1].succeeded


def test_awscurrent_is_on_one_version_after_values_from_outside(
    service: SecretsManagerService, client: "SecretsManagerClient", arn: str
) -> None:
    """A value stored after a rotation takes AWSCURRENT from the other (moto: both have it)."""
    service.rotate(arn).check()
    client.put_secret_value(SecretId=arn, SecretString="by hand")
    client.put_secret_value(SecretId=arn, SecretString="again")
    holders = [each for each in stages(client, arn).values() if "AWSCURRENT" in each]
    assert len(holders) == 1


def test_rotate_secret_answers_before_the_function_ran_and_promotes_nothing_itself(
    service: SecretsManagerService, client: "SecretsManagerClient", arn: str
) -> None:
    """RotateSecret is asynchronous, names the ARN, and leaves the rest to the function."""
    go, events = Event(), list[dict[str, Any]]()

    def waiting(event: dict[str, Any], _context: object) -> None:
        assert go.wait(10)
        events.append(event)

    function = service.register("waiting", waiting)
    token = client.rotate_secret(SecretId="app", RotationLambdaARN=function)["VersionId"]
    assert stages(client, arn)[token] == ["AWSPENDING"]
    refused("ResourceNotFoundException", client.get_secret_value, SecretId=arn, VersionId=token)
    go.set()
    service.wait()
    assert [each["Step"] for each in events] == [
        "createSecret",
        "setSecret",
        "testSecret",
        "finishSecret",
    ]
    assert {each["SecretId"] for each in events} == {arn}
    assert client.get_secret_value(SecretId=arn)["SecretString"] == "first"
    assert not service.outcomes[-1].succeeded


def test_rotating_without_a_function_uses_the_stored_one(
    service: SecretsManagerService, client: "SecretsManagerClient", arn: str
) -> None:
    """A RotateSecret that names no function keeps it (moto: wipes it, promotes an empty value)."""
    before = client.describe_secret(SecretId=arn)["RotationLambdaARN"]
    client.rotate_secret(SecretId=arn)
    service.wait()
    assert client.describe_secret(SecretId=arn)["RotationLambdaARN"] == before
    assert client.get_secret_value(SecretId=arn)["SecretString"].startswith("made in a rotation")


def test_a_secret_without_any_function_is_not_rotated(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """Where no function was ever named, RotateSecret is refused (moto: promotes)."""
    arn = service.create_secret("other", "value")
    refused("InvalidRequestException", client.rotate_secret, SecretId=arn)
    assert "RotationEnabled" not in client.describe_secret(SecretId=arn)


def test_a_custom_label_is_on_one_version(
    client: "SecretsManagerClient", service: SecretsManagerService, arn: str
) -> None:
    """A custom label moves to the value that names it (moto: stays on both)."""
    for _ in range(2):
        client.put_secret_value(SecretId=arn, SecretString="x", VersionStages=["mine"])
    assert [each for each in stages(client, arn).values() if "mine" in each] == [["mine"]]
    current = service.labels(arn)["AWSCURRENT"]
    move = {"SecretId": arn, "VersionStage": "mine", "MoveToVersionId": current}
    refused("InvalidParameterException", client.update_secret_version_stage, **move)


def test_awscurrent_cannot_be_taken_off(
    client: "SecretsManagerClient", service: SecretsManagerService, arn: str
) -> None:
    """AWSCURRENT is only ever moved (moto: it can be removed)."""
    refused(
        "InvalidParameterException",
        client.update_secret_version_stage,
        SecretId=arn,
        VersionStage="AWSCURRENT",
        RemoveFromVersionId=service.labels(arn)["AWSCURRENT"],
    )


@pytest.mark.parametrize(
    "rules",
    [
        {"ScheduleExpression": "rate(3 hours)"},
        {"ScheduleExpression": "every day"},
        {"ScheduleExpression": "rate(4 hours)", "Duration": "5h"},
        {"ScheduleExpression": "cron(0 22 * * ? *)", "Duration": "3h"},
        {"ScheduleExpression": "rate(1 day)", "AutomaticallyAfterDays": 1},
    ],
)
def test_rotation_rules_are_checked(
    client: "SecretsManagerClient", arn: str, rules: dict[str, Any]
) -> None:
    """Schedules and windows that do not hold are refused, and change nothing (moto: ignored)."""
    before = client.describe_secret(SecretId=arn)
    refused("InvalidParameterException", client.rotate_secret, SecretId=arn, RotationRules=rules)
    after = client.describe_secret(SecretId=arn)
    assert (before.get("RotationRules"), before["VersionIdsToStages"]) == (
        after.get("RotationRules"),
        after["VersionIdsToStages"],
    )


def test_a_schedule_says_when_the_next_rotation_is(
    client: "SecretsManagerClient", service: SecretsManagerService, arn: str
) -> None:
    """A schedule shows in DescribeSecret, with the next window's end (moto: no such date)."""
    client.rotate_secret(
        SecretId=arn,
        RotationRules={"ScheduleExpression": "rate(10 days)", "Duration": "3h"},
    )
    service.wait()
    described = client.describe_secret(SecretId=arn)
    assert described["RotationRules"] == {
        "AutomaticallyAfterDays": 10,
        "ScheduleExpression": "rate(10 days)",
        "Duration": "3h",
    }
    until = described["NextRotationDate"] - service.now()
    assert timedelta(days=9) < until < timedelta(days=10, hours=3)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("x" * 65_537, "ValidationException"),
        ("\N{EURO SIGN}" * 21_846, "InvalidParameterException"),
    ],
)
def test_a_secret_holds_65536_bytes(
    client: "SecretsManagerClient", arn: str, value: str, code: str
) -> None:
    """One byte more than 65,536 is refused, however few characters it is (moto: no limit)."""
    client.put_secret_value(SecretId=arn, SecretString="x" * 65_536)
    client.put_secret_value(SecretId=arn, SecretString="\N{EURO SIGN}" * 21_845)
    message = refused(code, client.put_secret_value, SecretId=arn, SecretString=value)
    assert value[:10] not in message


def test_versions_without_labels_are_described_nowhere_but_listed_and_readable(
    client: "SecretsManagerClient", service: SecretsManagerService, arn: str
) -> None:
    """DescribeSecret shows labelled versions only (moto: all of them)."""
    oldest = service.labels(arn)["AWSCURRENT"]
    for value in ("second", "third"):
        client.put_secret_value(SecretId=arn, SecretString=value)
    assert oldest not in stages(client, arn)
    listed = client.list_secret_version_ids(SecretId=arn)["Versions"]
    assert oldest not in {each["VersionId"] for each in listed}
    deprecated = client.list_secret_version_ids(SecretId=arn, IncludeDeprecated=True)["Versions"]
    assert [each.get("VersionStages") for each in deprecated if each["VersionId"] == oldest] == [
        None
    ]
    assert client.get_secret_value(SecretId=arn, VersionId=oldest)["SecretString"] == "first"


def test_random_passwords_do_not_end_with_the_required_types(
    client: "SecretsManagerClient",
) -> None:
    """Each type is there, and anywhere (moto: always last, in a fixed order)."""
    passwords = [client.get_random_password(PasswordLength=4)["RandomPassword"] for _ in range(200)]
    types = (string.ascii_lowercase, string.ascii_uppercase, string.digits, string.punctuation)
    for letters in types:
        assert all(any(each in letters for each in password) for password in passwords)
        assert any(password[0] in letters for password in passwords)


@pytest.mark.parametrize(
    "request_",
    [
        {"ExcludeCharacters": string.digits},
        {"PasswordLength": 3},
        {
            "ExcludeNumbers": True,
            "ExcludePunctuation": True,
            "ExcludeLowercase": True,
            "ExcludeUppercase": True,
        },
    ],
)
def test_impossible_random_passwords_are_refused(
    client: "SecretsManagerClient", request_: dict[str, Any]
) -> None:
    """A type without characters, or too little room, is the caller's error (moto: 500)."""
    refused("InvalidParameterException", client.get_random_password, **request_)


def test_random_passwords_follow_every_option(client: "SecretsManagerClient") -> None:
    """Excluded types and characters never appear; unrequired types need not."""
    password = client.get_random_password(
        PasswordLength=500,
        ExcludeNumbers=True,
        ExcludePunctuation=True,
        ExcludeUppercase=True,
        ExcludeCharacters="aeiou",
        IncludeSpace=True,
    )["RandomPassword"]
    assert set(password) == set(string.ascii_lowercase) - set("aeiou") | {" "}
    short = client.get_random_password(PasswordLength=1, RequireEachIncludedType=False)
    assert len(short["RandomPassword"]) == 1


@pytest.mark.parametrize("key", [Key(enabled=False), Key(allows=lambda _use: False)])
def test_keys_that_are_disabled_or_not_allowed_refuse_values(
    service: SecretsManagerService, client: "SecretsManagerClient", key: Key
) -> None:
    """A customer's key that cannot be used refuses reads, writes and new secrets (moto: not)."""
    arn = service.create_secret("encrypted", "value", kms_key_id="alias/app")
    service.keys["alias/app"] = key
    refused("AccessDeniedException", client.get_secret_value, SecretId=arn)
    refused("AccessDeniedException", client.put_secret_value, SecretId=arn, SecretString="x")
    new = {"Name": "new", "SecretString": "x", "KmsKeyId": "alias/app"}
    message = refused("AccessDeniedException", client.create_secret, **new)
    assert message == "Access to KMS is not allowed"
    assert client.describe_secret(SecretId=arn)["KmsKeyId"] == "alias/app"
    refused("ResourceNotFoundException", client.describe_secret, SecretId="new")


@pytest.mark.parametrize("named", ["arn", "placeholder"])
def test_a_key_policy_sees_the_trial_that_precedes_a_secret(named: Trial) -> None:
    """A secret is made only where the policy allows the trial, whichever ARN it names (moto: not).

    Its version is RequestToValidateKeyAccess. Its ARN is the secret's own by the user guide, and
    the same placeholder by policies in use.
    """
    with SecretsManagerService(key_trial=named) as service:
        client = service.client()
        new = {"Name": "new", "SecretString": "x", "KmsKeyId": "alias/app"}
        service.keys["alias/app"] = Key(
            allows=lambda use: use.context["SecretVersionId"] != "RequestToValidateKeyAccess"
        )
        refused("AccessDeniedException", client.create_secret, **new)
        service.keys["alias/app"] = Key(
            allows=lambda use: use.context["SecretARN"].startswith("arn:aws:secretsmanager:")
        )
        if named == "placeholder":
            refused("AccessDeniedException", client.create_secret, **new)
            service.keys["alias/app"] = Key()
        arn = client.create_secret(Name="new", SecretString="x", KmsKeyId="alias/app")["ARN"]
        client.get_secret_value(SecretId=arn)
        tried, *_, last = service.keys.uses[-4:]
        assert tried.context == {
            "SecretARN": arn if named == "arn" else "RequestToValidateKeyAccess",
            "SecretVersionId": "RequestToValidateKeyAccess",
        }
        assert (last.action, last.context["SecretARN"]) == ("kms:Decrypt", arn)


def test_another_key_encrypts_three_labels_anew_and_nothing_else(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """AWSCURRENT, AWSPENDING and AWSPREVIOUS get the new key, other versions stay as they are.

    Where the old key cannot be used any more, none does (API reference of UpdateSecret).
    """
    arn = service.create_secret("app", "first", kms_key_id="alias/old")
    for value, label in (("custom", "mine"), ("second", "AWSCURRENT"), ("next", "AWSPENDING")):
        client.put_secret_value(SecretId=arn, SecretString=value, VersionStages=[label])
    client.update_secret(SecretId=arn, KmsKeyId="alias/new")

    def keys() -> dict[str, list[str]]:
        listed = client.list_secret_version_ids(SecretId=arn)["Versions"]
        return {label: each["KmsKeyIds"] for each in listed for label in each["VersionStages"]}

    moved = {label: ["alias/new"] for label in ("AWSCURRENT", "AWSPENDING", "AWSPREVIOUS")}
    assert keys() == moved | {"mine": ["alias/old"]}
    service.keys["alias/old"] = Key(enabled=False)
    assert client.get_secret_value(SecretId=arn)["SecretString"] == "second"
    refused("AccessDeniedException", client.get_secret_value, SecretId=arn, VersionStage="mine")
    service.keys["alias/new"] = Key(enabled=False)
    client.update_secret(SecretId=arn, KmsKeyId="alias/newer")
    assert keys() == moved | {"mine": ["alias/old"]}


def conversation(client: "SecretsManagerClient") -> list[object]:
    """Ask for what moto gets right, and keep what does not depend on the moment."""
    token = str(uuid4())

    def shown(answer: Mapping[str, Any]) -> object:
        text = json.dumps(answer, default=lambda _moment: "moment", sort_keys=True)
        for changing in (answer.get("ARN", token), answer.get("VersionId", token), token):
            text = text.replace(changing, "changing")
        return {
            name: each
            for name, each in json.loads(text).items()
            if name
            not in {
                # of the transport, or given by one of the two in one more place
                "ResponseMetadata",
                "LastAccessedDate",
                "NextToken",
            }
        }

    def failing(ask: Callable[..., Any], **parameters: object) -> Mapping[str, Any]:
        with pytest.raises(ClientError) as caught:
            ask(**parameters)
        return dict(caught.value.response["Error"])

    created = client.create_secret(
        Name="app/db",
        ClientRequestToken=token,
        SecretString="one",
        Description="of the test",
        Tags=[{"Key": "team", "Value": "blue"}],
    )
    return [
        shown(created),
        shown(client.get_secret_value(SecretId="app/db")),
        shown(client.get_secret_value(SecretId="app/db", VersionStage="AWSCURRENT")),
        shown(client.describe_secret(SecretId="app/db")),
        failing(client.get_secret_value, SecretId="nowhere"),
        failing(client.get_secret_value, SecretId="app/db", VersionId=str(uuid4()))["Code"],
        failing(client.create_secret, Name="app/db", SecretString="two"),
        failing(client.put_secret_value, SecretId="nowhere", SecretString="two"),
        [each["Name"] for each in client.list_secrets()["SecretList"]],
        [
            len(client.list_secrets(Filters=[{"Key": key, "Values": [value]}])["SecretList"])  # type: ignore[typeddict-item]
            for key, value in [
                ("name", "app/"),
                ("name", "db"),
                ("description", "test"),
                ("tag-key", "team"),
                ("tag-value", "!blue"),
                ("all", "blue"),
            ]
        ],
        client.tag_resource(SecretId="app/db", Tags=[{"Key": "team", "Value": "red"}])[
            "ResponseMetadata"
        ]["HTTPStatusCode"],
        client.describe_secret(SecretId="app/db")["Tags"],
        client.delete_secret(SecretId="app/db", RecoveryWindowInDays=7)["Name"],
        failing(client.get_secret_value, SecretId="app/db")["Code"],
        client.list_secrets()["SecretList"],
        shown(client.restore_secret(SecretId="app/db")),
        shown(client.get_secret_value(SecretId="app/db")),
    ]


def test_both_agree_where_moto_is_right() -> None:
    """Creating, describing, listing, filtering, tagging, deleting and restoring are as in moto."""
    with mock_aws():
        by_moto = conversation(boto3.client("secretsmanager"))
    with SecretsManagerService() as service:
        by_service = conversation(service.client())
    assert by_service == by_moto

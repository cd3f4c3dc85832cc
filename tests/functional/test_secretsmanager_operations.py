"""Operations besides values and labels: creating, describing, listing, tagging, deleting."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from local.secretsmanager import SecretsManagerService, ServiceError

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


def refused(code: str, ask: Callable[..., object], **parameters: object) -> str:
    """Ask for what is refused, and give the message."""
    with pytest.raises(ClientError) as caught:
        ask(**parameters)
    assert caught.value.response["Error"]["Code"] == code
    return caught.value.response["Error"]["Message"]


def test_a_secret_is_found_by_name_arn_and_partial_arn(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """All three identifiers that the service takes lead to the secret."""
    arn = service.create_secret("team/app-db", "x")
    assert arn.startswith("arn:aws:secretsmanager:eu-central-1:123456789012:secret:team/app-db-")
    for secret_id in ("team/app-db", arn, arn[:-7]):
        assert client.get_secret_value(SecretId=secret_id)["ARN"] == arn


def test_a_secret_without_tags_has_an_empty_list_of_them(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """Describing and listing give Tags in any case."""
    arn = service.create_secret("app", "x")
    assert client.describe_secret(SecretId=arn)["Tags"] == []
    assert client.list_secrets()["SecretList"][0]["Tags"] == []


def test_a_version_without_a_value_is_not_listed(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """ListSecretVersionIds lists what can be read; DescribeSecret shows AWSPENDING in any case."""
    arn, token = service.create_secret("app", "x"), str(uuid4())
    service.enable_rotation(arn, "arn:function")
    service.prepare_rotation(arn, token)
    for deprecated in (False, True):
        listed = client.list_secret_version_ids(SecretId=arn, IncludeDeprecated=deprecated)
        assert [each["VersionStages"] for each in listed["Versions"]] == [["AWSCURRENT"]]
    assert client.describe_secret(SecretId=arn)["VersionIdsToStages"][token] == ["AWSPENDING"]
    client.put_secret_value(
        SecretId=arn, ClientRequestToken=token, SecretString="y", VersionStages=["AWSPENDING"]
    )
    assert len(client.list_secret_version_ids(SecretId=arn)["Versions"]) == 2


def test_creating_again_is_idempotent_under_token_and_value_only(
    client: "SecretsManagerClient",
) -> None:
    """The same creation again gives the same secret; any other is refused."""
    token = str(uuid4())
    first = client.create_secret(Name="app", ClientRequestToken=token, SecretString="x")
    again = client.create_secret(Name="app", ClientRequestToken=token, SecretString="x")
    assert (first["ARN"], first["VersionId"]) == (again["ARN"], again["VersionId"])
    other = {"Name": "app", "ClientRequestToken": token, "SecretString": "y"}
    message = refused("ResourceExistsException", client.create_secret, **other)
    assert message == "The operation failed because the secret app already exists."
    refused("ResourceExistsException", client.create_secret, Name="app")


def test_a_secret_without_a_value_has_no_version(client: "SecretsManagerClient") -> None:
    """A secret may be created empty; its first value becomes AWSCURRENT."""
    client.create_secret(Name="app")
    assert "VersionIdsToStages" not in client.describe_secret(SecretId="app")
    message = refused("ResourceNotFoundException", client.get_secret_value, SecretId="app")
    assert message.endswith("for staging label: AWSCURRENT")
    stored = client.put_secret_value(SecretId="app", SecretString="x", VersionStages=["AWSPENDING"])
    assert stored["VersionStages"] == ["AWSCURRENT", "AWSPENDING"]


def test_bytes_come_back_as_they_went_in(client: "SecretsManagerClient") -> None:
    """SecretBinary holds any bytes, 65,536 of them at most, and is not text."""
    client.create_secret(Name="app", SecretBinary=bytes(range(256)) * 256)
    read = client.get_secret_value(SecretId="app")
    assert read["SecretBinary"] == bytes(range(256)) * 256
    assert "SecretString" not in read
    for more in ({"SecretBinary": b"x" * 65_537}, {"SecretBinary": b"x", "SecretString": "x"}):
        refused("InvalidParameterException", client.put_secret_value, SecretId="app", **more)


def test_a_request_is_held_to_the_published_constraints(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """Lengths, patterns and enumerations that boto3 lets pass are refused by the service."""
    service.create_secret("app", "x")
    label = "x" * 257
    message = refused(
        "ValidationException", client.get_secret_value, SecretId="app", VersionStage=label
    )
    assert message == (
        f"1 validation error detected: Value '{label}' at 'versionStage' failed to satisfy "
        "constraint: Member must have length less than or equal to 256"
    )
    rules = {"ScheduleExpression": "rate(1 day);", "Duration": "hour"}
    message = refused(
        "ValidationException", client.rotate_secret, SecretId="app", RotationRules=rules
    )
    assert message.startswith("3 validation errors detected: ")
    refused("ValidationException", client.get_random_password, PasswordLength=4097)
    filters = [{"Key": "colour", "Values": ["blue"]}]
    message = refused("ValidationException", client.list_secrets, Filters=filters)
    assert "'filters.1.member.key'" in message
    refused("InvalidParameterException", client.create_secret, Name="no spaces")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "ValidationException"),
        ({"SecretId": 7}, "SerializationException"),
        ({"SecretId": "app", "VersionStage": ["x"]}, "SerializationException"),
    ],
)
def test_raw_requests_of_the_wrong_shape_are_refused(
    parameters: dict[str, object], code: str
) -> None:
    """What no SDK would send is an error too, and not a crash."""
    with pytest.raises(ServiceError, match=f"^{code}: "):
        SecretsManagerService().handle("GetSecretValue", parameters)


def test_a_raw_value_needs_a_token() -> None:
    """SDKs make the token; a request without one is refused."""
    service = SecretsManagerService()
    arn = service.create_secret("app", "x")
    with pytest.raises(ServiceError, match="You must provide a ClientRequestToken value"):
        service.handle("PutSecretValue", {"SecretId": arn, "SecretString": "x"})
    request = {"SecretId": arn, "SecretBinary": "?", "ClientRequestToken": str(uuid4())}
    with pytest.raises(ServiceError, match="SerializationException"):
        service.handle("PutSecretValue", request)


def test_a_value_must_be_given(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """PutSecretValue without a value is refused."""
    arn = service.create_secret("app", "x")
    refused("InvalidRequestException", client.put_secret_value, SecretId=arn)


def test_updating_a_secret_stores_a_new_current_value_or_only_describes(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """UpdateSecret makes a version only where it brings a value."""
    arn = service.create_secret("app", "x")
    assert "VersionId" not in client.update_secret(SecretId=arn, Description="described")
    updated = client.update_secret(SecretId=arn, SecretString="y")
    assert service.labels(arn)["AWSCURRENT"] == updated["VersionId"]
    assert client.describe_secret(SecretId=arn)["Description"] == "described"


def test_a_refused_update_changes_nothing(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """Where the value of an UpdateSecret is refused, description and key stay as they were."""
    arn = service.create_secret("app", "x")
    before = client.describe_secret(SecretId=arn)
    refused(
        "ResourceExistsException",
        client.update_secret,
        SecretId=arn,
        ClientRequestToken=service.labels(arn)["AWSCURRENT"],
        SecretString="y",
        Description="described",
        KmsKeyId="alias/app",
    )
    after = client.describe_secret(SecretId=arn)
    assert {**before, "ResponseMetadata": None} == {**after, "ResponseMetadata": None}


def test_a_managed_secret_shows_its_owner_and_system_tags(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """A secret can be made as RDS makes it, which no client can."""
    tags = {"aws:rds:primaryDBInstanceArn": "arn:aws:rds:::db:x"}
    arn = service.create_secret("rds!db-1", {"username": "a"}, tags, owning_service="rds")
    described = client.describe_secret(SecretId=arn)
    assert described["OwningService"] == "rds"
    assert described["Tags"][0]["Key"] == "aws:rds:primaryDBInstanceArn"
    tag = [{"Key": "aws:mine", "Value": "x"}]
    refused("InvalidParameterException", client.tag_resource, SecretId=arn, Tags=tag)


def test_tags_are_added_changed_and_removed(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """Tagging merges, untagging what is not there is no error, and fifty is the most."""
    arn = service.create_secret("app", "x", {"a": "1", "b": "2"})
    client.tag_resource(SecretId=arn, Tags=[{"Key": "b", "Value": "3"}])
    client.untag_resource(SecretId=arn, TagKeys=["a", "never"])
    assert client.describe_secret(SecretId=arn)["Tags"] == [{"Key": "b", "Value": "3"}]
    many = [{"Key": f"k{number}", "Value": ""} for number in range(50)]
    refused("InvalidParameterException", client.tag_resource, SecretId=arn, Tags=many)


def test_a_deleted_secret_is_refused_restored_and_in_the_end_gone(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """In its recovery window a secret can be described and restored, and nothing else."""
    arn = service.create_secret("app", "x")
    client.delete_secret(SecretId=arn, RecoveryWindowInDays=7)
    message = refused("InvalidRequestException", client.get_secret_value, SecretId=arn)
    assert "marked for deletion" in message
    new = {"Name": "app", "SecretString": "y"}
    message = refused("InvalidRequestException", client.create_secret, **new)
    assert "already scheduled for deletion" in message
    assert "DeletedDate" in client.describe_secret(SecretId=arn)
    assert client.list_secrets()["SecretList"] == []
    assert len(client.list_secrets(IncludePlannedDeletion=True)["SecretList"]) == 1
    client.restore_secret(SecretId=arn)
    assert client.get_secret_value(SecretId=arn)["SecretString"] == "x"
    client.delete_secret(SecretId=arn)
    service.advance(timedelta(days=31))
    refused("ResourceNotFoundException", client.describe_secret, SecretId=arn)


def test_deleting_at_once_is_no_error_where_there_is_nothing(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """A forced deletion takes effect at once, and may be repeated."""
    service.create_secret("app", "x")
    for _ in range(2):
        client.delete_secret(SecretId="app", ForceDeleteWithoutRecovery=True)
    refused("ResourceNotFoundException", client.describe_secret, SecretId="app")
    refused("ResourceNotFoundException", client.delete_secret, SecretId="app")
    both = {"RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": True}
    refused("InvalidParameterException", client.delete_secret, SecretId="app", **both)
    days = {"RecoveryWindowInDays": 6}
    refused("InvalidParameterException", client.delete_secret, SecretId="app", **days)


def test_listings_come_in_pages_and_sorted(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """Every page but the last has a token, and names can be sorted either way."""
    for name in ("b", "c", "a"):
        service.create_secret(name, "x")
    pages = client.get_paginator("list_secrets").paginate(
        SortBy="name", SortOrder="desc", PaginationConfig={"PageSize": 2}
    )
    assert [[each["Name"] for each in page["SecretList"]] for page in pages] == [["c", "b"], ["a"]]
    client.get_secret_value(SecretId="b")
    by_access = client.list_secrets(SortBy="last-accessed-date")["SecretList"]
    assert by_access[-1]["Name"] == "b"
    refused("InvalidNextTokenException", client.list_secrets, NextToken="x")


def test_several_values_are_read_at_once(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """BatchGetSecretValue gives the values it finds and an error for each other."""
    service.create_secret("a", "1", {"team": "blue"})
    service.create_secret("b", "2")
    answer = client.batch_get_secret_value(SecretIdList=["a", "nowhere"])
    assert [each["SecretString"] for each in answer["SecretValues"]] == ["1"]
    assert [each["ErrorCode"] for each in answer["Errors"]] == ["ResourceNotFoundException"]
    answer = client.batch_get_secret_value(Filters=[{"Key": "tag-key", "Values": ["team"]}])
    assert [each["Name"] for each in answer["SecretValues"]] == ["a"]
    refused("InvalidParameterException", client.batch_get_secret_value)


def test_resource_policies_are_kept(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """A policy that is one is stored, shown and removed."""
    arn = service.create_secret("app", "x")
    assert "ResourcePolicy" not in client.get_resource_policy(SecretId=arn)
    policy = '{"Version": "2012-10-17", "Statement": []}'
    client.put_resource_policy(SecretId=arn, ResourcePolicy=policy)
    assert client.get_resource_policy(SecretId=arn)["ResourcePolicy"] == policy
    for wrong in ("no JSON", "[]"):
        refused(
            "MalformedPolicyDocumentException",
            client.put_resource_policy,
            SecretId=arn,
            ResourcePolicy=wrong,
        )
    client.delete_resource_policy(SecretId=arn)
    assert "ResourcePolicy" not in client.get_resource_policy(SecretId=arn)


def test_listed_versions_show_access_and_key(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """ListSecretVersionIds tells which key a version has, and the day of its last access."""
    arn = service.create_secret("app", "x", kms_key_id="alias/app")
    assert "LastAccessedDate" not in client.list_secret_version_ids(SecretId=arn)["Versions"][0]
    client.get_secret_value(SecretId=arn)
    (version,) = client.list_secret_version_ids(SecretId=arn)["Versions"]
    assert version["KmsKeyIds"] == ["alias/app"]
    assert version["LastAccessedDate"].timestamp() % 86_400 == 0


def test_cancelling_a_rotation_that_was_never_configured_is_refused(
    service: SecretsManagerService, client: "SecretsManagerClient"
) -> None:
    """There is nothing to cancel where no function is configured."""
    arn = service.create_secret("app", "x")
    refused("InvalidRequestException", client.cancel_rotate_secret, SecretId=arn)

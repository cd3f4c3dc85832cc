"""What `rotation posture` says: to a person, to a program, to an auditor's spreadsheet."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from console.outcome import Exit
from console.posture.handshake import Handshake
from console.posture.report import COLUMNS
from local.secretsmanager.errors import ServiceError
from local.secretsmanager.keys import Key
from shared.examination.registry import CODES
from tests.console.estate import SECRET, Altered, Estate, Shared


@pytest.fixture(scope="module")
def open_estate(shared: Shared) -> Iterator[Estate]:
    """An account in which two things are wrong, one twice."""
    made = shared.well()
    made.service.create_secret("=cmd", {"api": "token"}, kms_key_id=made.key)
    made.client("kms").disable_key_rotation(KeyId=made.key_id)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("console.posture.look.View", lambda _account: Altered(made))
        patch.setattr("console.posture.wire.shake", lambda *_where: Handshake(version="TLSv1.3"))
        yield made


def test_a_person_reads_what_why_and_how_to_mend(open_estate: Estate) -> None:
    """One row a secret, then each finding once, with controls, place, reason and command."""
    status, out, err = open_estate.command("--all")
    assert status == Exit.WARNINGS, err
    lines = out.splitlines()
    assert lines[0].split() == [
        "SECRET",
        "KEY",
        "ROTATION",
        "DATABASE",
        "STORAGE",
        "TLS",
        "FINDINGS",
    ]
    assert [line.split()[0] for line in lines[1:3]] == ["=cmd", SECRET]
    assert lines[2].split()[-4:] == ["shop", "encrypted", "TLSv1.3", "KeyNotRotated"]
    assert out.count("warning: KeyNotRotated") == 1
    assert CODES["KeyNotRotated"].meaning in out
    assert "  Controls: KMS.4, kms_cmk_rotation_enabled" in lines
    assert f"  - 2 secrets: Rotation of {open_estate.key} is off." in lines
    assert f"    aws kms enable-key-rotation --key-id {open_estate.key}" in lines
    assert lines[-1] == "2 secrets: 3 warnings."


def test_a_program_reads_every_fact_and_finding(open_estate: Estate) -> None:
    """--json has a row for each secret, for the account and for the buckets."""
    status, out, _ = open_estate.command(SECRET, "--json", "--days", "2")
    document: dict[str, Any] = json.loads(out)
    (row,) = document["secrets"]
    assert status == document["status"] == Exit.WARNINGS
    assert document["days"] == 2
    assert row["facts"]["storage_key"] == row["facts"]["key"] == open_estate.key
    by_code = {each["code"]: each for each in row["findings"]}
    assert set(by_code) == {"KeyNotRotated", "PasswordTooOld"}
    assert by_code["PasswordTooOld"]["controls"][0] == "SecretsManager.4"
    assert by_code["PasswordTooOld"]["seen"] == "The password is 3 days old; 2 are allowed."
    assert by_code["KeyNotRotated"]["why"] == CODES["KeyNotRotated"].meaning
    assert document["account"]["facts"]["ebs_encrypted_by_default"] is True
    assert [each["name"] for each in document["buckets"]] == ["escrow-of-the-shop"]


def test_an_auditor_gets_one_row_a_secret(open_estate: Estate) -> None:
    """--csv has the same columns for each secret, the controls too, and no formula."""
    _, out, _ = open_estate.command("--all", "--csv")
    other, app = csv.DictReader(io.StringIO(out))
    assert tuple(app) == COLUMNS
    assert app["database"] == "shop"
    assert app["storage_encrypted"] == "yes"
    assert app["tls_parameter"] == "rds.force_ssl=1"
    assert app["warnings"] == "KeyNotRotated"
    assert app["controls"] == "KMS.4 kms_cmk_rotation_enabled"
    assert other["name"] == "'=cmd"
    assert other["warnings"] == "KeyNotRotated RotationOff"


def test_no_value_is_read_where_that_is_wished(open_estate: Estate) -> None:
    """--no-values asks for no value, and says that the databases were not looked at."""
    open_estate.service.reset_requests()
    status, out, _ = open_estate.command(SECRET, "--no-values")
    asked = [each.operation for each in open_estate.service.requests]
    assert "GetSecretValue" not in asked
    assert "stands in the secret's value, and --no-values is set" in out
    assert status == Exit.WARNINGS


def test_what_many_secrets_share_is_asked_once(open_estate: Estate) -> None:
    """Key, database and account are asked about once, however many secrets there are."""
    open_estate.look()
    assert open_estate.view is not None
    for question in (("kms", "describe_key"), ("rds", "describe_db_instances")):
        assert open_estate.view.asked.count(question) == 1


def test_secrets_must_be_named(open_estate: Estate) -> None:
    """Without a secret, a tag or --all there is nothing to look at."""
    status, _, err = open_estate.command()
    assert status == Exit.USAGE
    assert "--all" in err


def test_where_nothing_is_wrong_but_not_all_was_seen(well: Estate) -> None:
    """The exit status tells apart that all is well, and that not all could be looked at."""
    assert well.look().findings == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("console.posture.look.View", lambda _account: Altered(well))
        patch.setattr("console.posture.wire.shake", lambda *_where: Handshake(version="TLSv1.3"))
        status, out, _ = well.command("--all")
        assert (status, out.splitlines()[-1]) == (Exit.WELL, "1 secret: all is well.")
        well.denied = {("iam", "list_role_policies")}
        status, out, _ = well.command("--all")
    assert status == Exit.BLIND
    assert f"Not looked at, role of {SECRET}: list_role_policies was refused" in out
    well.is_well = True


def test_a_disabled_key_is_found_where_moto_lets_it_be_used(well: Estate) -> None:
    """KMS as moto has it decrypts under a disabled key; the service does not, and it is told."""
    kms = well.client("kms")
    sealed = kms.encrypt(KeyId=well.key_id, Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=well.key_id)
    assert kms.decrypt(CiphertextBlob=sealed)["Plaintext"] == b"x"
    well.service.keys[well.key] = Key(enabled=False)
    with pytest.raises(ServiceError, match="Access to KMS is not allowed"):
        well.service.handle("GetSecretValue", {"SecretId": SECRET})
    found = well.look().secrets[0].findings
    assert "KeyUnusable" in {each.code for each in found}
    unseen = [each.seen for each in found if each.code == "AccessDenied"]
    assert all("Access to KMS is not allowed" in each for each in unseen)
    assert unseen
    well.service.keys.clear()

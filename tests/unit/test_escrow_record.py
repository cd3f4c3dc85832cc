"""What is sealed opens by either key alone; what was changed is refused, each by its own error."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from moto import mock_aws

from escrow.bucket import fetch, newest, records_of
from escrow.errors import (
    BucketRefused,
    CiphertextTampered,
    ContextSwapped,
    FormatUnknown,
    KeyUnavailable,
    NoRecord,
    NotOpened,
    RecordReplayed,
    RecordTruncated,
    WrongKey,
)
from escrow.keys import open_record, require_asked_for
from escrow.record import Record
from local.kms import State
from local.secretsmanager.keys import KeyUse
from tests.escrow_world import BUCKET, SECRET, TEXT, Escrow, escrow_world


@pytest.fixture
def escrow() -> Iterator[Escrow]:
    """An escrow, empty."""
    with mock_aws(), escrow_world() as world:
        yield world


def opened(escrow: Escrow, record: Record, key: str) -> str:
    """Open a record with a key."""
    return open_record(record, key, escrow.client(key))


Change = Callable[[dict[str, Any]], object]


def changed(record: Record, change: Change) -> Record:
    """Return the record after somebody has edited what is stored."""
    document = json.loads(record.to_bytes())
    change(document)
    return Record.from_bytes(json.dumps(document).encode())


def flipped(text: str, at: int = 0) -> str:
    """Return base64 with one bit of what it stands for turned over."""
    raw = bytearray(base64.b64decode(text))
    raw[at] ^= 1
    return base64.b64encode(raw).decode()


@pytest.mark.parametrize("by", ["first", "second"])
def test_either_key_opens_when_the_other_is_gone(escrow: Escrow, by: str) -> None:
    """One key suffices, whatever has become of the other; Secrets Manager is not asked."""
    escrow.seal()
    key, other = (escrow.first, escrow.second)[:: 1 if by == "first" else -1]
    escrow.kms[other].state = "PendingDeletion"
    assert opened(escrow, escrow.record(), key) == TEXT


def test_what_is_stored_shows_nothing(escrow: Escrow) -> None:
    """No part of the credential stands in the record or in its name, and none is like another's."""
    escrow.seal()
    escrow.seal()
    stored = escrow.objects()
    for place, raw in stored.items():
        for part in ("geheim", "username", "postgres"):
            assert part.encode() not in raw
            assert part not in place
    one, other = map(Record.from_bytes, stored.values())
    for name in ("nonce", "ciphertext", "binding"):
        assert getattr(one, name) != getattr(other, name)


@pytest.mark.parametrize("by", ["first", "second"])
@pytest.mark.parametrize("at", [0, -1])
def test_tampered_ciphertext(escrow: Escrow, by: str, at: int) -> None:
    """One bit of the ciphertext or of its tag, and nothing is shown."""
    escrow.seal()
    record = changed(
        escrow.record(), lambda found: found.update(ciphertext=flipped(found["ciphertext"], at))
    )
    with pytest.raises(CiphertextTampered):
        opened(escrow, record, getattr(record, by).key)


def test_tampered_nonce(escrow: Escrow) -> None:
    """The nonce is a part of what is sealed."""
    escrow.seal()
    record = changed(escrow.record(), lambda found: found.update(nonce=flipped(found["nonce"])))
    with pytest.raises(CiphertextTampered):
        opened(escrow, record, escrow.second)


@pytest.mark.parametrize("by", ["first", "second"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret", SECRET.replace("shop", "bank")),
        ("version", "00000000-0000-4000-8000-000000000000"),
        ("sealed", "20990101T000000.000000Z"),
    ],
)
def test_swapped_context(escrow: Escrow, by: str, name: str, value: str) -> None:
    """A record that says another secret, version or time than was sealed opens with neither key."""
    escrow.seal()
    record = changed(escrow.record(), lambda found: found.update({name: value}))
    with pytest.raises(ContextSwapped):
        opened(escrow, record, getattr(record, by).key)


def test_kms_itself_holds_the_first_key_to_the_context(escrow: Escrow) -> None:
    """The first key's wrapping is bound to secret, version and time, and KMS is told them."""
    version = escrow.seal()
    record = escrow.record()
    (use,) = escrow.kms.uses
    assert use == KeyUse(
        escrow.first,
        "kms:GenerateDataKey",
        {"secret": SECRET, "version": version, "sealed": record.context.sealed},
    )


def test_swapped_wrapping(escrow: Escrow) -> None:
    """Another record's data key, wrapped by the same keys, opens nothing."""
    escrow.seal()
    escrow.seal()
    one, other = map(Record.from_bytes, escrow.objects().values())
    with pytest.raises(ContextSwapped):
        opened(escrow, replace(one, second=other.second), escrow.second)
    with pytest.raises(ContextSwapped):
        opened(escrow, replace(one, first=other.first), escrow.first)


def test_tampered_binding(escrow: Escrow) -> None:
    """Without its binding a record does not tell what it belongs to."""
    escrow.seal()
    record = changed(escrow.record(), lambda found: found.update(binding=flipped(found["binding"])))
    with pytest.raises(ContextSwapped):
        opened(escrow, record, escrow.first)


def test_truncated_anywhere(escrow: Escrow) -> None:
    """Cut off at any byte, it is no record."""
    escrow.seal()
    whole = escrow.record().to_bytes()
    for length in range(0, len(whole) - 2, 7):
        with pytest.raises(RecordTruncated):
            Record.from_bytes(whole[:length])


@pytest.mark.parametrize(
    "change",
    [
        lambda found: found.pop("binding"),
        lambda found: found.update(ciphertext=""),
        lambda found: found.update(nonce="AAAA"),
        lambda found: found.update(ciphertext="no base64"),
        lambda found: found.update(second="a text"),
        lambda found: found.update(version=7),
    ],
)
def test_parts_that_lack(escrow: Escrow, change: Change) -> None:
    """A part that is missing, too short or of another kind is told before any key is asked."""
    escrow.seal()
    escrow.kms.uses.clear()
    with pytest.raises(RecordTruncated):
        changed(escrow.record(), change)
    assert escrow.kms.uses == []


def test_later_format(escrow: Escrow) -> None:
    """A format that is not known is not guessed at."""
    escrow.seal()
    with pytest.raises(FormatUnknown, match="rotation-escrow-2"):
        changed(escrow.record(), lambda found: found.update(format="rotation-escrow-2"))


def test_wrong_key(escrow: Escrow) -> None:
    """A key that is none of the record's two is not even asked."""
    escrow.seal()
    other = escrow.kms.make_key()
    escrow.kms.uses.clear()
    with pytest.raises(WrongKey, match=other):
        opened(escrow, escrow.record(), other)
    assert escrow.kms.uses == []


def test_record_that_names_a_key_which_did_not_wrap_it(escrow: Escrow) -> None:
    """A record under which somebody has written another key's name is refused by KMS."""
    escrow.seal()
    symmetric = escrow.kms.make_key()
    rsa = escrow.kms.make_key("RSA_3072")
    record = changed(
        escrow.record(),
        lambda found: (found["first"].update(key=symmetric), found["second"].update(key=rsa)),
    )
    for key in (symmetric, rsa):
        with pytest.raises(WrongKey, match="did not wrap"):
            opened(escrow, record, key)


@pytest.mark.parametrize("state", ["Disabled", "PendingDeletion"])
@pytest.mark.parametrize("by", ["first", "second"])
def test_key_that_is_gone(escrow: Escrow, by: str, state: State) -> None:
    """A key that is disabled, or being deleted, says so, and that the other one is there for it."""
    escrow.seal()
    key = getattr(escrow, by)
    escrow.kms[key].state = state
    with pytest.raises(KeyUnavailable, match="by its other key"):
        opened(escrow, escrow.record(), key)


def test_key_of_somebody_else(escrow: Escrow) -> None:
    """A key policy that lets a principal seal does not let him open."""
    escrow.kms[escrow.first].allows = lambda use: use.action == "kms:GenerateDataKey"
    escrow.seal()
    with pytest.raises(KeyUnavailable, match="AccessDenied"):
        opened(escrow, escrow.record(), escrow.first)


def test_key_that_is_asked_in_another_region(escrow: Escrow) -> None:
    """A key is found in its own Region only."""
    escrow.seal()
    with pytest.raises(KeyUnavailable, match="NotFound"):
        open_record(escrow.record(), escrow.second, escrow.client(escrow.first))


def test_replayed_under_a_newer_name(escrow: Escrow) -> None:
    """An older record that is put where the newest would be is refused, though it is genuine."""
    escrow.seal()
    ((old, raw),) = escrow.objects().items()
    escrow.put(old.replace("/20", "/29"), raw)
    with pytest.raises(RecordReplayed):
        newest(escrow.s3, BUCKET, SECRET)
    assert newest(escrow.s3, BUCKET, SECRET, before="29") == raw


def test_replayed_from_another_secret(escrow: Escrow) -> None:
    """Another secret's record is refused where this one's would be."""
    other = SECRET.replace("shop", "bank")
    escrow.seal(secret=other)
    ((old, raw),) = escrow.objects().items()
    escrow.put(old.replace("bank", "shop"), raw)
    with pytest.raises(RecordReplayed, match="bank"):
        newest(escrow.s3, BUCKET, SECRET)


def test_replayed_to_who_opens(escrow: Escrow) -> None:
    """Who opens says what he expects: secret, version, and how old it may be."""
    version = escrow.seal()
    record = escrow.record()
    require_asked_for(record, secret=SECRET)
    require_asked_for(record, secret=SECRET, version=version, since=record.context.sealed)
    for asked in (
        {"secret": SECRET.replace("shop", "bank")},
        {"secret": SECRET, "version": "another"},
        {"secret": SECRET, "since": "20990101"},
    ):
        with pytest.raises(RecordReplayed):
            require_asked_for(record, **asked)


def test_the_newest_is_what_was_sealed_last(escrow: Escrow) -> None:
    """Records are found by the time that they were sealed at, each as it was stored first."""
    versions = [escrow.seal(f'{{"number": {number}}}') for number in range(3)]
    found = records_of(escrow.s3, BUCKET, SECRET)
    assert [each.place.partition("_")[2] for each in found] == [
        f"{version}.json" for version in reversed(versions)
    ]
    record = Record.from_bytes(newest(escrow.s3, BUCKET, SECRET))
    assert record.context.version == versions[-1]


def test_an_overwritten_record_is_still_there(escrow: Escrow) -> None:
    """Who may write can hide nothing: neither by writing once more, nor by a delete marker."""
    escrow.seal()
    ((place, raw),) = escrow.objects().items()
    escrow.put(place, b"{}")
    escrow.s3.delete_object(Bucket=BUCKET, Key=place)
    assert newest(escrow.s3, BUCKET, SECRET) == raw


def test_no_record(escrow: Escrow) -> None:
    """A secret that was never sealed says so; and one of which nothing is old enough."""
    with pytest.raises(NoRecord):
        newest(escrow.s3, BUCKET, SECRET)
    escrow.seal()
    with pytest.raises(NoRecord, match="before 2001"):
        newest(escrow.s3, BUCKET, SECRET, before="2001")


def test_no_bucket(escrow: Escrow) -> None:
    """A bucket that does not open is told by its answer."""
    with pytest.raises(BucketRefused, match="NoSuchBucket"):
        records_of(escrow.s3, "another-bucket", SECRET)
    escrow.seal()
    (stored,) = records_of(escrow.s3, BUCKET, SECRET)
    with pytest.raises(BucketRefused):
        fetch(escrow.s3, "another-bucket", SECRET, stored)


def test_every_refusal_has_its_own_advice() -> None:
    """Each error says what to do next, in words of its own."""
    kinds = NotOpened.__subclasses__()
    assert len({kind.hint for kind in kinds}) == len(kinds) == 9
    assert all(str(kind("Found.")) == f"Found. {kind.hint}" for kind in kinds)


def test_opening_needs_neither_core_nor_secrets_manager() -> None:
    """What opens a record imports no part of the rotation but its errors."""
    program = (
        "import sys, escrow.keys, escrow.bucket\n"
        "print([name for name in sys.modules if name.startswith('shared.')])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert told.stdout.decode().strip() == "['shared.errors']"

"""Versions and staging labels: the rules that every later behaviour rests on."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from local.secretsmanager import SecretsManagerService, ServiceError
from local.secretsmanager.versions import Value, Version, Versions

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:app-AbCdEf"


def version(name: str, text: str | None = "text", *, age: timedelta = timedelta(0)) -> Version:
    """Make a version with a short name for its id."""
    return Version(name, None if text is None else Value(text), NOON - age)


def put(versions: Versions, name: str, *labels: str, text: str = "text") -> Versions:
    """Store a version, under AWSCURRENT where no label is named."""
    return versions.put(version(name, text), labels, ARN)


def refused(code: str, message: str) -> pytest.RaisesExc[ServiceError]:
    """Expect an error of the service."""
    return pytest.raises(ServiceError, match=f"^{code}: .*{message}")


def test_first_value_gets_awscurrent_whatever_labels_it_is_stored_under() -> None:
    """The first version of a secret is its current one, even when stored as AWSPENDING."""
    assert put(Versions(), "a", "AWSPENDING").labels == {"AWSCURRENT": "a", "AWSPENDING": "a"}


def test_awsprevious_goes_where_awscurrent_was() -> None:
    """A new current version leaves AWSPREVIOUS on the one before, and nothing on older ones."""
    versions = put(put(put(Versions(), "a"), "b"), "c")
    assert versions.labels == {"AWSCURRENT": "c", "AWSPREVIOUS": "b"}
    assert versions.labelled() == {"b": ["AWSPREVIOUS"], "c": ["AWSCURRENT"]}


def test_going_back_swaps_current_and_previous() -> None:
    """Moving AWSCURRENT to the version with AWSPREVIOUS exchanges the two labels."""
    versions = put(put(Versions(), "a"), "b").move("AWSCURRENT", "b", "a")
    assert versions.labels == {"AWSCURRENT": "a", "AWSPREVIOUS": "b"}


def test_awspending_stays_on_the_promoted_version() -> None:
    """Moving AWSCURRENT to the pending version leaves AWSPENDING there, which is no stuck one."""
    versions = put(put(Versions(), "a"), "b", "AWSPENDING")
    assert versions.pending() == "b"
    promoted = versions.move("AWSCURRENT", "a", "b")
    assert promoted.labels_of("b") == ["AWSCURRENT", "AWSPENDING"]
    assert promoted.pending() is None


@pytest.mark.parametrize(
    ("label", "remove_from", "move_to", "code", "message"),
    [
        ("AWSCURRENT", None, "b", "InvalidParameterException", "can't be empty"),
        ("AWSCURRENT", "b", "b", "InvalidParameterException", "must be set to the version"),
        ("AWSCURRENT", "a", None, "InvalidParameterException", "can't be completely removed"),
        ("AWSCURRENT", "a", "x", "ResourceNotFoundException", "VersionId: x"),
        ("AWSPENDING", None, None, "InvalidParameterException", "RemoveFromVersionId"),
        ("AWSPENDING", "a", None, "InvalidParameterException", "must be set to the version"),
        ("mine", "a", "b", "InvalidParameterException", "must be set to the version"),
        ("mine", None, "x", "ResourceNotFoundException", "VersionId: x"),
    ],
)
def test_moves_that_are_refused(
    label: str, remove_from: str | None, move_to: str | None, code: str, message: str
) -> None:
    """A label moves only from the holder that the request names, and AWSCURRENT always stays."""
    versions = put(put(Versions(), "a"), "b", "AWSPENDING")
    with refused(code, message):
        versions.move(label, remove_from, move_to)


@pytest.mark.parametrize(
    ("remove_from", "move_to", "code"),
    [
        ("b", "b", "InvalidRequestException"),
        ("b", None, "InvalidRequestException"),
        (None, "b", "InvalidParameterException"),
        ("a", None, "InvalidParameterException"),
    ],
)
def test_only_a_wrong_holder_has_the_code_that_is_not_known(
    remove_from: str | None, move_to: str | None, code: str
) -> None:
    """A wrong RemoveFromVersionId gets the code that was chosen, a missing one the known code."""
    versions = put(put(Versions(), "a"), "b", "AWSPENDING")
    with refused(code, ""):
        versions.move("AWSCURRENT", remove_from, move_to, wrong_holder="InvalidRequestException")


@pytest.mark.parametrize(
    ("remove_from", "move_to", "holder"), [(None, "a", "a"), ("b", "a", "a"), ("b", None, None)]
)
def test_custom_labels_are_attached_moved_and_removed(
    remove_from: str | None, move_to: str | None, holder: str | None
) -> None:
    """A custom label follows the same rules, and can be taken off."""
    versions = put(put(Versions(), "a"), "b")
    if remove_from is not None:
        versions = versions.move("mine", None, "b")
    assert versions.move("mine", remove_from, move_to).labels.get("mine") == holder


def test_attaching_a_label_where_it_is_changes_nothing() -> None:
    """A repeated attachment is no error, for nobody else loses the label."""
    versions = put(Versions(), "a").move("mine", None, "a")
    assert versions.move("mine", None, "a") == versions


def test_a_stored_value_takes_its_custom_labels_from_the_version_that_had_them() -> None:
    """Every label that a stored value names moves to it, custom ones too."""
    versions = put(put(Versions(), "a", "AWSCURRENT", "mine"), "b", "AWSPENDING", "mine")
    assert versions.labelled() == {"a": ["AWSCURRENT"], "b": ["AWSPENDING", "mine"]}


def test_a_secret_has_at_most_twenty_labels() -> None:
    """The twenty-first label is refused, on whichever version, whichever way it comes."""
    versions = put(Versions(), "a", *(f"label-{number}" for number in range(18)))
    versions = put(versions, "b", "mine")
    assert len(versions.labels) == 20
    for version in ("a", "b"):
        with refused("LimitExceededException", "20"):
            versions.move("one-more", None, version)
    with refused("LimitExceededException", "20"):
        put(versions, "c", "one-more")
    with refused("LimitExceededException", "20"):
        put(versions, "c")  # AWSPREVIOUS is the twenty-first
    assert versions.move("mine", "b", "a").labels_of("b") == []


def test_versions_without_a_value_cannot_be_read_by_id_or_label() -> None:
    """From the start of a rotation to its createSecret, the pending version is not found."""
    versions = put(Versions(), "a").reserve("b", NOON)
    for version_id, label in itertools.product((None, "b"), (None, "AWSPENDING")):
        if version_id or label:
            with refused("ResourceNotFoundException", "can't find the specified secret value"):
                versions.read(version_id, label)


def test_reading_by_id_and_label_validates_the_pair() -> None:
    """A read that names both gets the value only where the version holds the label."""
    versions = put(put(Versions(), "a"), "b", "AWSPENDING", text="pending")
    assert versions.read("b", "AWSPENDING").value == Value("pending")
    with refused("InvalidRequestException", "not associated"):
        versions.read("a", "AWSPENDING")
    with refused("ResourceNotFoundException", "VersionId: x"):
        versions.read("x", "AWSPENDING")


@pytest.mark.parametrize(
    ("count", "age", "left"),
    [(101, timedelta(hours=25), 100), (101, timedelta(hours=23), 101), (99, timedelta(9), 99)],
)
def test_purging_needs_more_than_100_versions_and_24_hours(
    count: int, age: timedelta, left: int
) -> None:
    """Deprecated versions go only above 100 versions in all, and only after 24 hours."""
    by_id = {f"v{number}": version(f"v{number}", age=age) for number in range(count)}
    versions = Versions(by_id, {"AWSCURRENT": "v0", "AWSPREVIOUS": f"v{count - 1}"}).purged(NOON)
    assert len(versions.by_id) == left
    assert {"v0", f"v{count - 1}"} <= set(versions.by_id)
    assert left == count or "v1" not in versions.by_id


def test_no_value_is_ever_shown_in_a_repr() -> None:
    """A version can be logged or compared in a test without giving its value away."""
    assert "s3cret" not in repr(put(Versions(), "a", text="s3cret"))


LABELS = ["AWSCURRENT", "AWSPENDING", "AWSPREVIOUS", "mine", "rotation-fence"]
IDS = [str(UUID(int=number)) for number in range(1, 7)]
ids = st.sampled_from(IDS)


class Labels(RuleBasedStateMachine):
    """Any requests in any order, by clients and operators, on one secret."""

    def __init__(self) -> None:
        super().__init__()
        self.service = SecretsManagerService()
        self.stored: dict[str, str] = {}

    @initialize(first=st.sampled_from([None, "first"]))
    def create(self, first: str | None) -> None:
        """Start with or without a value."""
        self.arn = self.service.create_secret("app", first)
        self.service.enable_rotation(self.arn, "arn:aws:lambda:::function:f")

    def ask(self, operation: str, request: Mapping[str, Any]) -> None:
        """Ask for something, and see that a refusal changes nothing."""
        labels, versions = self.service.labels(self.arn), self.service.versions(self.arn)
        given = {name: each for name, each in request.items() if each is not None}
        try:
            self.service.handle(operation, {"SecretId": self.arn, **given})
        except ServiceError:
            assert self.service.labels(self.arn) == labels
            assert self.service.versions(self.arn) == versions

    @rule(
        token=ids,
        text=st.sampled_from("xyz"),
        stages=st.none() | st.lists(st.sampled_from(LABELS), min_size=1, unique=True),
    )
    def put(self, token: str, text: str, stages: list[str] | None) -> None:
        """Store a value under any labels."""
        request = {"ClientRequestToken": token, "SecretString": text, "VersionStages": stages}
        self.ask("PutSecretValue", request)

    @rule(token=ids, text=st.sampled_from("xyz"))
    def update(self, token: str, text: str) -> None:
        """Store a new current value."""
        self.ask("UpdateSecret", {"ClientRequestToken": token, "SecretString": text})

    @rule(label=st.sampled_from(LABELS), remove_from=st.none() | ids, move_to=st.none() | ids)
    def move(self, label: str, remove_from: str | None, move_to: str | None) -> None:
        """Move any label from anywhere to anywhere."""
        self.ask(
            "UpdateSecretVersionStage",
            {
                "VersionStage": label,
                "RemoveFromVersionId": remove_from,
                "MoveToVersionId": move_to,
            },
        )

    @rule(label=st.sampled_from(LABELS), move_to=st.none() | ids)
    def move_from_its_holder(self, label: str, move_to: str | None) -> None:
        """Move a label as a client does that has looked where it is."""
        self.move(label, self.service.labels(self.arn).get(label), move_to)

    @rule(token=ids)
    def start_rotation(self, token: str) -> None:
        """Begin a rotation, which is refused while another is unfinished."""
        before = self.service.labels(self.arn)
        pending = before.get("AWSPENDING")
        try:
            self.service.prepare_rotation(self.arn, token)
        except ServiceError:
            assert self.service.labels(self.arn) == before
        else:
            assert pending in {None, token, before.get("AWSCURRENT")} or (
                token == before.get("AWSCURRENT")
            )

    @rule(hours=st.integers(1, 48))
    def let_time_pass(self, hours: int) -> None:
        """Wait for hours."""
        self.service.advance(timedelta(hours=hours))

    @invariant()
    def values_are_never_rewritten(self) -> None:
        """What a version holds once, it holds for ever."""
        for each in self.service.versions(self.arn):
            if each.value is not None:
                text = each.value.string or ""
                assert self.stored.setdefault(each.version_id, text) == text
                assert self.service.value(self.arn, each.version_id) == text

    @invariant()
    def there_is_one_awscurrent_once_there_is_a_value(self) -> None:
        """AWSCURRENT is on exactly one version from the first value on."""
        described = self.service.handle("DescribeSecret", {"SecretId": self.arn})
        labels = described.get("VersionIdsToStages", {})
        holders = [each for each, names in labels.items() if "AWSCURRENT" in names]
        assert len(holders) == (1 if self.stored or holders else 0)

    @invariant()
    def a_label_is_on_one_version_that_exists(self) -> None:
        """No label is shown twice, and none on a version that is not there."""
        listed = self.service.handle("ListSecretVersionIds", {"SecretId": self.arn})["Versions"]
        shown = [label for each in listed for label in each["VersionStages"]]
        assert len(shown) == len(set(shown))
        existing = {each.version_id for each in self.service.versions(self.arn)}
        assert set(self.service.labels(self.arn).values()) <= existing


Labels.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestLabels = Labels.TestCase

"""P1: labels and versions of secrets. No function, no database."""

import time
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import uuid4

from probes.account import ACCEPTED, Account

QUESTIONS: Final[Mapping[str, str]] = {
    "P1.1": "Which characters may a label have, and how many?",
    "P1.2": "How many labels may one version have, and with which code is the next refused?",
    "P1.3": "How many labels may two versions have together?",
    "P1.4": "With which code is a RemoveFromVersionId refused that is not the holder?",
    "P1.5": "With which code is a missing RemoveFromVersionId refused?",
    "P1.6": "Is a move to the version that has the label already a success?",
    "P1.7": "With which code is an unknown MoveToVersionId refused?",
    "P1.8": "Is a version without labels readable by its id, and listed?",
    "P1.9": "Does moving a label change LastChangedDate?",
    "P1.10": "How stale may DescribeSecret be after a move, in 200 of them?",
    "P1.11": "Does PutSecretValue repeated with the same token and value attach another label?",
}
COSTS: Final = "four secrets, about 500 calls: below 0.01 USD, two minutes"

LABELS: Final[Mapping[str, str]] = {
    "letters and digits": "probe1",
    "underscore": "probe_1",
    "hyphen": "probe-1",
    "dot": "probe.1",
    "colon": "probe:1",
    "slash": "probe/1",
    "equals sign": "probe=1",
    "space": "probe 1",
    "brackets and quotes": '["probe"]',
    "not ASCII": "prob\u00e9",
    "256 characters": "p" * 256,
}
"""257 are more than botocore sends."""
ENOUGH: Final = 25
"""So many labels are tried on a secret; the quota is said to be 20."""
ROUNDS: Final = 200
PATIENCE_SECONDS: Final = 30.0


def probe(account: Account) -> Iterator[tuple[str, str]]:
    """Answer the questions, each as soon as it is known."""
    yield "P1.1", _characters(account)
    yield "P1.2", _quota(account, "one", 1)
    yield "P1.3", _quota(account, "two", 2)
    secret = account.make("secret", "moves", SecretString="first")["ARN"]
    first, second = _versions(account, secret, 2, "probe")
    yield from _moves(account, secret, first, second)
    yield from _without_labels(account, secret, first, second)
    yield "P1.9", _last_changed(account, secret, first)
    yield "P1.10", _staleness(account, secret, first, second)
    yield "P1.11", _repeated(account, secret)


def _characters(account: Account) -> str:
    secret = account.make("secret", "characters", SecretString="first")["ARN"]
    told = {
        name: account.outcome(
            "secretsmanager",
            "put_secret_value",
            SecretId=secret,
            SecretString=name,
            VersionStages=[label],
        )
        for name, label in LABELS.items()
    }
    taken = [name for name, outcome in told.items() if outcome == ACCEPTED]
    refused = [f"{name} ({outcome})" for name, outcome in told.items() if outcome != ACCEPTED]
    return f"taken: {', '.join(taken)}; refused: {', '.join(refused) or 'none'}"


def _versions(account: Account, secret: str, number: int, label: str) -> list[str]:
    """Return the ids of the first version, and of others with a label of their own."""
    ids = [account.ask("secretsmanager", "get_secret_value", SecretId=secret)["VersionId"]]
    ids += [
        account.ask(
            "secretsmanager",
            "put_secret_value",
            SecretId=secret,
            SecretString=f"value {one}",
            VersionStages=[label],
        )["VersionId"]
        for one in range(1, number)
    ]
    return ids


def _quota(account: Account, name: str, number: int) -> str:
    secret = account.make("secret", name, SecretString="first")["ARN"]
    ids = _versions(account, secret, number, "probe")
    there = number  # AWSCURRENT, and `probe` on the second
    outcome = ACCEPTED
    while there < ENOUGH:
        outcome = account.outcome(
            "secretsmanager",
            "update_secret_version_stage",
            SecretId=secret,
            VersionStage=f"probe{there}",
            MoveToVersionId=ids[there % number],
        )
        if outcome != ACCEPTED:
            return f"{there} with AWSCURRENT; the next is refused with {outcome}"
        there += 1
    return f"at least {there} with AWSCURRENT"


def _moves(account: Account, secret: str, first: str, second: str) -> Iterator[tuple[str, str]]:
    def move(**ids: str) -> str:
        return account.outcome(
            "secretsmanager",
            "update_secret_version_stage",
            SecretId=secret,
            VersionStage="probe",
            **ids,
        )

    yield "P1.4", move(RemoveFromVersionId=first, MoveToVersionId=first)
    yield "P1.5", move(MoveToVersionId=first)
    bare = move(MoveToVersionId=second)
    named = move(MoveToVersionId=second, RemoveFromVersionId=second)
    yield "P1.6", f"without RemoveFromVersionId: {bare}; with it: {named}"
    yield "P1.7", move(RemoveFromVersionId=second, MoveToVersionId=str(uuid4()))


def _without_labels(
    account: Account, secret: str, first: str, second: str
) -> Iterator[tuple[str, str]]:
    def move(**ids: str) -> None:
        account.ask(
            "secretsmanager",
            "update_secret_version_stage",
            SecretId=secret,
            VersionStage="probe",
            **ids,
        )

    move(RemoveFromVersionId=second)
    account.pause(5)
    read = account.outcome("secretsmanager", "get_secret_value", SecretId=secret, VersionId=second)
    listed = second in listed_versions(account, secret)
    yield "P1.8", f"read by its id: {read}; listed with IncludeDeprecated: {_yes(listed)}"
    move(MoveToVersionId=first)


def listed_versions(account: Account, secret: str) -> dict[str, list[str]]:
    """Return the keys of all versions that are listed, by version id."""
    listed = account.ask(
        "secretsmanager", "list_secret_version_ids", SecretId=secret, IncludeDeprecated=True
    )
    return {one["VersionId"]: one.get("KmsKeyIds", []) for one in listed["Versions"]}


def _last_changed(account: Account, secret: str, first: str) -> str:
    def changed() -> object:
        return account.ask("secretsmanager", "describe_secret", SecretId=secret)["LastChangedDate"]

    before = changed()
    account.pause(3)
    account.ask(
        "secretsmanager",
        "update_secret_version_stage",
        SecretId=secret,
        VersionStage="another",
        MoveToVersionId=first,
    )
    account.pause(5)
    return _yes(changed() != before)


def _staleness(account: Account, secret: str, first: str, second: str) -> str:
    """Move a label to and fro; describe until it shows."""
    stale, longest = 0, 0.0
    holder, other = first, second
    for _ in range(ROUNDS):
        account.ask(
            "secretsmanager",
            "update_secret_version_stage",
            SecretId=secret,
            VersionStage="probe",
            RemoveFromVersionId=holder,
            MoveToVersionId=other,
        )
        moved = time.monotonic()
        while "probe" not in _labels(account, secret).get(other, []):
            stale += 1
            longest = max(longest, time.monotonic() - moved)
            if longest > PATIENCE_SECONDS:
                return f"longer than {PATIENCE_SECONDS:.0f} s"
        holder, other = other, holder
    return f"{stale} stale answers, the latest {longest:.2f} s after its move"


def _labels(account: Account, secret: str) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = account.ask(
        "secretsmanager", "describe_secret", SecretId=secret
    ).get("VersionIdsToStages", {})
    return labels


def _repeated(account: Account, secret: str) -> str:
    token = str(uuid4())
    outcomes = [
        account.outcome(
            "secretsmanager",
            "put_secret_value",
            SecretId=secret,
            ClientRequestToken=token,
            SecretString="the same",
            VersionStages=[label],
        )
        for label in ("once", "twice")
    ]
    account.pause(5)
    return (
        f"{outcomes[-1]}; the version's labels: {sorted(_labels(account, secret).get(token, []))}"
    )


def _yes(holds: bool) -> str:  # noqa: FBT001 (what it says)
    return "yes" if holds else "no"

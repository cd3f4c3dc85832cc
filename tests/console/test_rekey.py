"""`rotation rekey` puts secrets under another key, rotates each once, may be killed anywhere."""

import json
from contextlib import suppress
from itertools import count
from threading import Event, Timer

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.compat import HTTPHeaders
from moto.core.botocore_stubber import BotocoreStubber
from moto.moto_api._internal.models import moto_api_backend

from console.account import Account
from console.outcome import Exit
from local.secretsmanager.keys import PLACEHOLDER, Key, KeyUse
from tests.console.world import CALLER, World
from tests.deployment.stack import ACCOUNT, REGION, Stack

SECRETS = f"secretsmanager.{REGION}.amazonaws.com"


class Killed(BaseException):
    """The command's process is gone."""


class Keys:
    """Two keys, of which secrets are under the first."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.last_use: object = None
        world.service.others["kms"] = self._answer
        self._kms = Account(region=REGION, endpoint_url=world.endpoint.url).client("kms")
        self.old, self.new = self.make(), self.make()

    def _answer(self, _path: str, target: str, body: bytes) -> tuple[int, bytes, dict[str, str]]:
        """Answer for KMS: as moto does, which does not know when a key was last used."""
        if target == "TrentService.GetKeyLastUsage":
            told = {"KeyId": "k", "KeyLastUsage": self.last_use} if self.last_use else {}
            return 200, json.dumps(told).encode(), {}
        url = f"https://kms.{REGION}.amazonaws.com/"
        headers = HTTPHeaders()
        headers["X-Amz-Target"] = target
        request = AWSPreparedRequest("POST", url, headers, body, stream_output=False)
        given = BotocoreStubber().process_request(request)
        assert given is not None
        status, told_headers, answer = given
        return status, answer.encode() if isinstance(answer, str) else answer, told_headers

    def make(self, policy: object = None, **properties: str) -> str:
        """Make a key with this project's own policy, or another one; return its ARN."""
        document = json.dumps(policy or Stack().policy("Key"))
        # moto tells no usage where none was asked for; KMS does.
        usage = {"KeyUsage": "ENCRYPT_DECRYPT", **properties}
        made = self._kms.create_key(Policy=document, **usage)["KeyMetadata"]
        return str(made["Arn"])

    def disable(self, key: str) -> None:
        """Disable a key: KMS tells so, and Secrets Manager cannot use it."""
        self._kms.disable_key(KeyId=key.rpartition("/")[2])
        self._world.service.keys[key] = Key(enabled=False)

    def secret(self, name: str) -> str:
        """Make a secret under the first key that was rotated often enough to have former labels."""
        self._world.secret(name)
        self._world.service.handle("UpdateSecret", {"SecretId": name, "KmsKeyId": self.old})
        for _ in range(3):
            self._world.service.rotate(name).check()
        return name

    def under(self, name: str) -> set[str | None]:
        """Return the keys of the versions that have a label."""
        labels = self._world.labels(name).values()
        return {
            each.key_id for each in self._world.service.versions(name) if each.version_id in labels
        }


@pytest.fixture
def keys(world: World) -> Keys:
    """The keys of the account."""
    moto_api_backend.reset()
    return Keys(world)


def policy(principal: str, service: str) -> object:
    """Return a policy that lets a principal use the key through a service."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": principal},
                "Action": ["kms:Decrypt", "kms:GenerateDataKey"],
                "Resource": "*",
                "Condition": {"StringEquals": {"kms:ViaService": service}},
            }
        ],
    }


def rekey(world: World, key: str, *names: str) -> tuple[str, ...]:
    """Return the command line."""
    del world
    return ("rekey", *names, "--key", key, "--yes")


def test_secrets_come_under_the_key_and_rotate_once(world: World, keys: Keys) -> None:
    """Afterwards no version with a label is under the old key, and nothing needs it any more."""
    names = [keys.secret("one"), keys.secret("two")]
    keys.last_use = {"Operation": "Decrypt", "Timestamp": 1_700_000_000}
    keys.secret("other")
    world.service.handle("UpdateSecret", {"SecretId": "other", "KmsKeyId": keys.new})
    said = world.run(*rekey(world, keys.new, *names))
    assert said.status == Exit.WELL, said.out + said.err
    assert world.asked("UpdateSecret") == world.asked("RotateSecret") == 2
    for name in names:
        assert keys.under(name) == {keys.new}
        assert world.logs_in(name)
    assert f"{keys.old} is not needed by any secret of the Region" in said.out
    assert "It was last used for Decrypt on 2023-11-14" in said.out
    assert f"aws kms disable-key --key-id {keys.old}" in said.out
    assert "no version with a label is under another key" in said.verdict
    keys.disable(keys.old)
    for name in names:
        world.service.rotate(name).check()
        assert world.logs_in(name)


def test_a_key_that_others_need_is_told(world: World, keys: Keys) -> None:
    """The old key is called needed as long as another secret of the Region names it."""
    keys.secret("one")
    keys.secret("other")
    said = world.run(*rekey(world, keys.new, "one"))
    assert f"{keys.old} is needed: other secrets are under it: other" in said.out
    assert "disable-key" not in said.out


def test_what_is_done_is_not_done_again(world: World, keys: Keys) -> None:
    """A second run changes nothing, and says the same."""
    keys.secret("one")
    first = world.run(*rekey(world, keys.new, "one"))
    again = world.run(*rekey(world, keys.new, "one"))
    assert world.asked("RotateSecret") == world.asked("UpdateSecret") == 1
    assert again.verdict == first.verdict
    assert f"{keys.old} is not needed" in again.out, "seen in the versions without a label"


def test_killed_at_any_request_it_goes_on(
    world: World, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was the last request, the secret logs in and rotates, and a second run completes it.

    What comes after a request is what comes before the next one: the command remembers nothing.
    """
    left, take_turn = count(), Account._take_turn

    def die(account: Account, event_name: str, **rest: object) -> None:
        if next(left) == 0:
            raise Killed
        take_turn(account, event_name, **rest)

    monkeypatch.setattr(Account, "_take_turn", die)
    kills, name = 0, ""
    for kills in count(1):
        name = keys.secret(f"secret-{kills}")
        left = count(1 - kills)
        with suppress(Killed):
            world.run(*rekey(world, keys.new, name))
            break
        left = count(1)
        world.service.wait()
        assert world.logs_in(name)
        if kills % 2:
            world.service.rotate(name).check()
        rotations = world.asked("RotateSecret")
        said = world.run(*rekey(world, keys.new, name))
        assert said.status == Exit.WELL, said.out + said.err
        assert keys.under(name) == {keys.new}
        assert world.logs_in(name)
        assert world.asked("RotateSecret") - rotations <= 1
    assert kills > len(("describe", "key", "policy", "change", "rotate", "follow", "versions"))
    assert keys.under(name) == {keys.new}, "where nothing was killed"


@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_killed_process_leaves_the_rotation_to_the_service(
    world: World, keys: Keys, phase: str
) -> None:
    """Killed around RotateSecret, one rotation is made in all, not two."""
    keys.secret("one")
    world.run_killed("RotateSecret", phase, 1, *rekey(world, keys.new, "one"))
    assert world.logs_in("one")
    assert world.run(*rekey(world, keys.new, "one")).status == Exit.WELL
    done = [each for each in world.service.outcomes if each.succeeded]
    assert len(done) == 4, "three before, and one"
    assert keys.under("one") == {keys.new}


def test_a_rotation_under_way_is_followed(world: World, keys: Keys) -> None:
    """A second run finds the rotation that the first one began, and begins no other."""
    keys.secret("one")
    free = Event()
    world.database.boundary = lambda: require(free.wait(30))
    said = world.run(*rekey(world, keys.new, "one"), "--patience", "1")
    assert said.status == Exit.FAILURE
    Timer(1, free.set).start()
    said = world.run(*rekey(world, keys.new, "one"))
    assert "the rotation that was begun goes on" in said.out
    assert said.status == Exit.WELL
    assert world.asked("RotateSecret") == 1
    assert world.logs_in("one")


def require(holds: bool) -> None:
    """Make sure that something was waited for in time."""
    assert holds


def test_a_key_that_cannot_be_used_is_refused(world: World, keys: Keys) -> None:
    """A key that is missing, disabled, asymmetric or elsewhere is refused before anything."""
    keys.secret("one")
    disabled = keys.make()
    keys.disable(disabled)
    bad = {
        disabled: "it is Disabled",
        keys.make(KeySpec="RSA_2048"): "not symmetric",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{'0' * 8}-0000-4000-8000-{'0' * 12}": "it is Missing",
        f"arn:aws:kms:{REGION}:{ACCOUNT}:alias/app": "not of an alias",
    }
    for key, reason in bad.items():
        said = world.run(*rekey(world, key, "one"))
        assert said.status == Exit.USAGE
        assert reason in said.err
    assert world.asked("UpdateSecret") + world.asked("RotateSecret") == 0


@pytest.mark.parametrize(
    ("principal", "service", "reason"),
    [
        (f"arn:aws:iam::{ACCOUNT}:role/postgres", f"rds.{REGION}.amazonaws.com", "lets nobody use"),
        (f"arn:aws:iam::{ACCOUNT}:role/another", SECRETS, "KeyDenied"),
    ],
)
def test_a_policy_that_shuts_the_function_out_is_refused(
    world: World, keys: Keys, principal: str, service: str, reason: str
) -> None:
    """A key whose policy does not serve Secrets Manager, or the function's role, is refused."""
    keys.secret("one")
    said = world.run(*rekey(world, keys.make(policy(principal, service)), "one"))
    assert said.status == Exit.FAILURE
    assert reason in said.err
    assert world.asked("UpdateSecret") == 0


def test_a_policy_for_the_function_alone_is_enough(world: World, keys: Keys) -> None:
    """A key whose policy names the function's role through Secrets Manager is taken."""
    keys.secret("one")
    key = keys.make(policy(f"arn:aws:iam::{ACCOUNT}:role/postgres", SECRETS))
    assert world.run(*rekey(world, key, "one")).status == Exit.WELL


def test_what_cannot_be_seen_of_the_key_is_said(world: World, keys: Keys) -> None:
    """Where IAM does not tell what the role may do, the command says so, and goes on."""
    keys.secret("one")
    world.lambdas.denied.add("SimulatePrincipalPolicy")
    said = world.run(*rekey(world, keys.new, "one"))
    assert f"may use {keys.new} could not be seen: SimulatePrincipalPolicy" in said.out
    assert said.status == Exit.WELL


def test_the_first_failure_ends_it(world: World, keys: Keys) -> None:
    """Where the key serves nobody in truth, one secret's rotation fails, and no other is touched.

    Its value was not encrypted anew either: AWSCURRENT can be read as before. After the key is
    mended the command goes on, and says what keeps the old key needed.
    """
    names = [keys.secret("one"), keys.secret("two")]
    only_tried: list[KeyUse] = []

    def allows(use: KeyUse) -> bool:
        only_tried.append(use)
        return use.context["SecretVersionId"] == PLACEHOLDER

    world.service.keys[keys.new] = Key(allows=allows)
    said = world.run(*rekey(world, keys.new, *names))
    assert said.status == Exit.FAILURE
    assert "one: under the new key, not rotated, AccessDenied" in said.verdict
    assert said.verdict.endswith("1 secret not begun.")
    assert only_tried
    assert world.logs_in("one")
    assert keys.under("two") == {keys.old}
    world.service.keys[keys.new] = Key()
    said = world.run(*rekey(world, keys.new, *names))
    assert said.status == Exit.WARNINGS, said.out + said.err
    assert "(AWSPREVIOUS" in said.out
    assert "kms:Encrypt" in said.verdict
    world.run("rotate", "one")
    assert world.run(*rekey(world, keys.new, *names)).status == Exit.WELL
    assert keys.under("one") == keys.under("two") == {keys.new}


def test_another_rotation_under_way_is_left_alone(world: World, keys: Keys) -> None:
    """A secret whose rotation has not ended is not touched: first comes `recover`."""
    world.hang(keys.secret("one"))
    said = world.run(*rekey(world, keys.new, "one"))
    assert said.status == Exit.FAILURE
    assert "`rotation recover one`" in said.err
    assert world.asked("UpdateSecret") == 0


def test_nothing_is_done_without_a_yes(world: World, keys: Keys) -> None:
    """Nobody there to say yes: the secret stays under its key."""
    keys.secret("one")
    said = world.run("rekey", "one", "--key", keys.new)
    assert said.status == Exit.FAILURE
    assert "add --yes" in said.err
    assert keys.under("one") == {keys.old}


def test_what_nothing_rotates_is_refused(world: World, keys: Keys) -> None:
    """Without a function there is no rotation to end it with."""
    world.secret("app", attached=False)
    said = world.run(*rekey(world, keys.new, "app"))
    assert "`rotation enable app`" in said.err
    assert world.asked("UpdateSecret") == 0


def test_only_labels_of_former_attempts_are_taken_off(world: World, keys: Keys) -> None:
    """A label that somebody put on an older version stays, and is told as needing the old key."""
    keys.secret("one")
    oldest = world.service.versions("one")[0].version_id
    world.service.handle(
        "UpdateSecretVersionStage",
        {"SecretId": "one", "VersionStage": "keep", "MoveToVersionId": oldest},
    )
    said = world.run(*rekey(world, keys.new, "one"))
    assert f"Still under a former key: version {oldest} of one (keep" in said.out
    assert said.status == Exit.WARNINGS
    own = [
        each.parameters["VersionStage"]
        for each in world.service.requests
        if each.operation == "UpdateSecretVersionStage" and each.caller == CALLER
    ]
    assert own
    assert all(each.startswith("rotation--") for each in own)

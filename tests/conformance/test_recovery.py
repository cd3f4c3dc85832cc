"""What else can go wrong in the middle of a rotation, and how it ends; on real servers."""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from local.secretsmanager import Outcome
from local.secretsmanager.rotation import STEPS, event_for
from local.servers import Server
from tests.conformance.subjects import with_subjects
from tests.kit.boundaries import Boundary, Channel
from tests.kit.function import Function, FunctionFailed
from tests.kit.lane import Lane, Trial
from tests.kit.matrix import abandon
from tests.kit.pairs import SUBJECTS, Subject

LaneOf = Callable[[Subject], Lane]
LaneOnOwnServer = Callable[[Subject], tuple[Lane, Server]]

ENGINES = ("postgres", "mysql", "mariadb")


def of(subjects: Iterable[Subject]) -> pytest.MarkDecorator:
    """Parametrise a test with subjects, all of which are quick enough for every run."""
    return pytest.mark.parametrize("subject", subjects, ids=lambda subject: subject.name)


single_user = of([Subject(engine, "single-user", administrator=False) for engine in ENGINES])
black_hole = with_subjects(
    Subject(engine, "single-user", administrator=False) for engine in ENGINES
)
two_users = of([Subject(engine, "alternating-users", administrator=True) for engine in ENGINES])
interrupting = of([each for each in SUBJECTS if each.interrupts and each.kind in ENGINES])


def require_good_end(trial: Trial) -> None:
    """Assert that AWSCURRENT logs in with its rights, and that one more rotation ends well."""
    assert trial.wrong_at_end() == []
    assert trial.rotate() == []


def rotate(trial: Trial, *, retries: int, token: str | None = None) -> Outcome:
    """Rotate as the service does; the promise is looked at when it is over."""
    trial.lane.service.retries = retries
    outcome = trial.lane.service.rotate(trial.arn, token)
    trial.lane.proxy.settle()
    trial.lane.tripwire.settle()
    assert trial.look() is None
    return outcome


def rotate_again(trial: Trial, outcome: Outcome) -> Outcome:
    """Rotate as the service does next: the same attempt, or afresh where that has ended itself."""
    pending = trial.lane.service.labels(trial.arn).get("AWSPENDING")
    return rotate(trial, retries=0, token=outcome.token if pending == outcome.token else None)


def failure_of(outcome: Outcome) -> str:
    """Return the class of the error that the function raised."""
    assert isinstance(outcome.error, FunctionFailed), outcome.error
    return outcome.error.kind


def once_changed(trial: Trial, act: Callable[[], None], username: str | None = None) -> None:
    """Have something done once, right after the user's password was changed."""
    oracle = trial.lane.oracle
    watched = username or trial.first
    before = oracle.state_of(watched)

    def look() -> None:
        if oracle.state_of(watched) != before:
            trial.lane.tripwire.look = None
            act()

    trial.lane.tripwire.reset(look=look)


def at_boundary(trial: Trial, boundary: Boundary, act: Callable[[], None]) -> None:
    """Have something done once, at a boundary, while the function waits."""

    def look() -> None:
        if trial.lane.tripwire.passed[-1] == boundary:
            trial.lane.tripwire.look = None
            act()

    trial.lane.tripwire.reset(look=look)


# A change that does not hold


@interrupting
def test_roll_back(lane_of: LaneOf, subject: Subject) -> None:
    """When the new password is refused after the change, the old one is put back at once."""
    trial = lane_of(subject).new_trial()
    once_changed(trial, lambda: trial.lane.oracle.set_password(trial.first, "Another-1-entirely"))
    outcome = rotate(trial, retries=0)
    assert failure_of(outcome) == "ProofFailed"
    current = next(trial.stored())
    assert trial.lane.oracle.logs_in(current.username, current.password)
    assert trial.lane.service.labels(trial.arn)["AWSCURRENT"] != outcome.token
    assert rotate_again(trial, outcome).succeeded
    require_good_end(trial)


@two_users
def test_refused_proof_of_the_idle_user(lane_of: LaneOf, subject: Subject) -> None:
    """When the idle user is refused after the change, AWSCURRENT has never been touched."""
    trial = lane_of(subject).new_trial()
    idle = trial.usernames[1]
    assert trial.rotate() + trial.rotate() == []
    once_changed(trial, lambda: trial.lane.oracle.set_password(idle, "Another-1-entirely"), idle)
    outcome = rotate(trial, retries=0)
    assert failure_of(outcome) == "ProofFailed"
    assert rotate_again(trial, outcome).succeeded
    require_good_end(trial)


# Delivered twice


@with_subjects()
def test_every_step_delivered_twice(lane_of: LaneOf, subject: Subject) -> None:
    """A step that is delivered again finds its work done, in the first rotation and later."""
    trial = lane_of(subject).new_trial()
    service = trial.lane.service
    for _ in range(3):
        token = str(uuid4())
        service.prepare_rotation(trial.arn, token)
        for step in STEPS:
            service.invoke_step(trial.arn, token, step)
            service.invoke_step(trial.arn, token, step)
            assert trial.look() is None
        for step in STEPS:  # the whole rotation once more, as after a lost answer
            service.invoke_step(trial.arn, token, step)
        assert service.labels(trial.arn)["AWSCURRENT"] == token
        assert trial.wrong_at_end() == []


@pytest.fixture
def twin_of() -> Iterator[Callable[[Lane], Function]]:
    """Return a second environment of a lane's function."""
    twins: list[Function] = []

    def twin(lane: Lane) -> Function:
        twins.append(Function(lane.handler_name, lane.environment, lane.log))
        return twins[-1].__enter__()

    yield twin
    for each in twins:
        each.__exit__(None, None, None)


@with_subjects()
def test_every_step_delivered_twice_at_the_same_time(
    lane_of: LaneOf, twin_of: Callable[[Lane], Function], subject: Subject
) -> None:
    """Twin deliveries both succeed, one of them waiting for the other's lock, and lose nothing."""
    trial = lane_of(subject).new_trial()
    lane = trial.lane
    both = (lane.function, twin_of(lane))
    lane.tripwire.reset(look=trial.look)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(4):
            token = str(uuid4())
            lane.service.prepare_rotation(trial.arn, token)
            for step in STEPS:
                event = event_for(step, trial.arn, token)
                for done in [pool.submit(each, event) for each in both]:
                    done.result()
            assert lane.service.labels(trial.arn)["AWSCURRENT"] == token
            lane.proxy.settle()
            assert trial.wrong_at_end() == []
    assert lane.tripwire.seen_wrong == []


# Secrets Manager


@single_user
def test_throttling(lane_of: LaneOf, subject: Subject) -> None:
    """A rotation succeeds, with the service's own retries, when 30 % of all calls are throttled."""
    trial = lane_of(subject).new_trial()
    trial.lane.service.throttle = 0.3
    for _ in range(2):
        assert rotate(trial, retries=3).succeeded
    trial.lane.service.throttle = 0
    require_good_end(trial)


@with_subjects()
def test_stale_reads(lane_of: LaneOf, subject: Subject) -> None:
    """Reads that do not see the last write yet end in a rotation that succeeds, or is repeated."""
    trial = lane_of(subject).new_trial()
    trial.lane.service.stale_reads = 2
    for _ in range(3):
        assert rotate(trial, retries=3).succeeded
    trial.lane.service.stale_reads = 0
    assert rotate(trial, retries=3).succeeded  # may still read what was before
    require_good_end(trial)


def edit(trial: Trial, **changes: object) -> None:
    """Store a new AWSCURRENT from outside, as an operator does."""
    document = json.loads(trial.lane.service.value(trial.arn)) | changes
    request = {"SecretId": trial.arn, "ClientRequestToken": str(uuid4())}
    trial.lane.service._operations.put_secret_value(
        request | {"SecretString": json.dumps(document)}
    )


@with_subjects()
def test_current_edited_before_the_change(lane_of: LaneOf, subject: Subject) -> None:
    """An AWSCURRENT that was edited midway is not undone: the rotation is refused, before a change.

    The service abandons the rotation then; a new one goes on from the edited value.
    """
    trial = lane_of(subject).new_trial()
    lane = trial.lane
    lane.service._operations.edit_abandons_rotation = False
    token = str(uuid4())
    lane.service.prepare_rotation(trial.arn, token)
    lane.service.invoke_step(trial.arn, token, STEPS[0])
    edit(trial, note="edited")
    with pytest.raises(FunctionFailed, match="CurrentChanged"):
        lane.service.invoke_step(trial.arn, token, STEPS[1])
    current = next(trial.stored())
    assert lane.oracle.logs_in(current.username, current.password)
    abandon(trial, token)
    assert rotate(trial, retries=0).succeeded
    assert json.loads(lane.service.value(trial.arn))["note"] == "edited"


@of([subject for subject in SUBJECTS if subject.strategy == "single-user"])
def test_current_edited_after_the_change(lane_of: LaneOf, subject: Subject) -> None:
    """An AWSCURRENT edited after the change is not undone either: the database follows it."""
    trial = lane_of(subject).new_trial()
    lane = trial.lane
    lane.service._operations.edit_abandons_rotation = False
    once_changed(trial, lambda: edit(trial, note="edited"))
    outcome = rotate(trial, retries=0)
    assert failure_of(outcome) == "CurrentChanged"
    assert lane.service.labels(trial.arn).get("AWSPENDING") != outcome.token
    current = next(trial.stored())
    assert lane.oracle.logs_in(current.username, current.password)
    assert rotate_again(trial, outcome).succeeded
    assert json.loads(lane.service.value(trial.arn))["note"] == "edited"


# The database


@with_subjects()
def test_database_restarted(lane_on_own_server: LaneOnOwnServer, subject: Subject) -> None:
    """A server that crashes in the middle and comes back costs a repetition, and nothing else."""
    lane, server = lane_on_own_server(subject)
    trial = lane.new_trial()

    back = threading.Event()
    crashes: list[None] = []

    def crash() -> None:
        crashes.append(None)
        server.stop_hard()
        server.restart()
        back.set()

    first = lane.tripwire
    rotate(trial, retries=0)
    messages = [each for each in first.passed if each.channel is Channel.FROM_DATABASE]
    crashed = 0
    for boundary in messages[len(messages) // 3 :: len(messages) // 3]:
        at_boundary(trial, boundary, crash)
        lane.service.retries = 3
        outcome = lane.service.rotate(trial.arn, str(uuid4()))
        # A later rotation may be shorter than the first, and end without that message.
        if len(crashes) > crashed:
            assert back.wait(30)
            crashed = len(crashes)
        back.clear()
        lane.oracle.open()
        assert outcome.succeeded, outcome.error
        require_good_end(trial)
    assert crashes


@with_subjects()
def test_failover(lane_on_own_server: LaneOnOwnServer, subject: Subject) -> None:
    """While the name leads to a read-only server the error says so; afterwards a retry succeeds."""
    lane, server = lane_on_own_server(subject)
    trial = lane.new_trial()
    server.set_read_only(True)
    lane.oracle.open()
    outcome = rotate(trial, retries=0)
    assert failure_of(outcome) == "ServerReadOnly"
    server.set_read_only(False)
    lane.oracle.open()
    assert rotate_again(trial, outcome).succeeded
    require_good_end(trial)


@with_subjects()
def test_connections_refused(lane_of: LaneOf, subject: Subject) -> None:
    """A server that takes no connections after the change is unreachable; then a retry succeeds."""
    trial = lane_of(subject).new_trial()
    changing = trial.usernames[-1]
    once_changed(trial, trial.lane.proxy.refuse, changing)
    outcome = rotate(trial, retries=0)
    assert failure_of(outcome) == "Unreachable"
    trial.lane.proxy.pass_through()
    assert rotate_again(trial, outcome).succeeded
    require_good_end(trial)


@with_subjects()
def test_network_cut(lane_of: LaneOf, subject: Subject) -> None:
    """A connection that is cut at any moment costs a repetition, and nothing else."""
    trial = lane_of(subject).new_trial()
    proxy = trial.lane.proxy
    rotate(trial, retries=0)
    count = len(trial.lane.tripwire.passed)
    for messages in range(3, count, count // 12):
        proxy.cut_after(messages)
        outcome = rotate(trial, retries=3)
        assert outcome.succeeded, (messages, outcome.error)
        proxy.reset()
    require_good_end(trial)


@black_hole
def test_black_hole(lane_of: LaneOf, subject: Subject) -> None:
    """A server behind a black hole is reported before Lambda's timeout; then a retry succeeds."""
    trial = lane_of(subject).new_trial()
    trial.lane.proxy.black_hole()
    token = str(uuid4())
    require_error_in_time(trial, token, seconds=5)
    trial.lane.proxy.pass_through()
    assert rotate(trial, retries=0, token=token).succeeded
    require_good_end(trial)


@black_hole
def test_black_hole_after_the_change(lane_of: LaneOf, subject: Subject) -> None:
    """A black hole in the middle is reported in time, and a session lost in it gives up its lock.

    The server never hears that its client is gone: it ends the session by itself when the
    function's time is over, or every retry would wait for the lock until TCP gives up.
    """
    trial = lane_of(subject).new_trial()
    once_changed(trial, trial.lane.proxy.black_hole)
    token = str(uuid4())
    require_error_in_time(trial, token, seconds=8)
    until = time.monotonic() + 6
    while trial.lane.oracle.sessions(trial.first):
        assert time.monotonic() < until, "the session still holds the lock"
        time.sleep(0.1)
    trial.lane.proxy.pass_through()
    assert rotate(trial, retries=0, token=token).succeeded
    require_good_end(trial)


def require_error_in_time(trial: Trial, token: str, *, seconds: float) -> None:
    """Assert that the function ends with a clear error before its time is over."""
    function, service = trial.lane.function, trial.lane.service
    function.seconds, usual = seconds, function.seconds
    began = time.monotonic()
    service.retries = 0
    outcome = service.rotate(trial.arn, token)
    assert failure_of(outcome) in {"Unreachable", "OutOfTime"}
    assert time.monotonic() - began < seconds
    function.seconds = usual


# Passwords that were lost from sight


def store(trial: Trial, password: str) -> str:
    """Store a version that has no label, and return its id."""
    service = trial.lane.service
    document = json.loads(service.value(trial.arn)) | {"password": password}
    token = str(uuid4())
    service.handle(
        "PutSecretValue",
        {
            "SecretId": trial.arn,
            "ClientRequestToken": token,
            "SecretString": json.dumps(document),
            "VersionStages": ["passing"],
        },
    )
    service.handle(
        "UpdateSecretVersionStage",
        {"SecretId": trial.arn, "VersionStage": "passing", "RemoveFromVersionId": token},
    )
    return token


@single_user
def test_unlabelled_versions(lane_of: LaneOf, subject: Subject) -> None:
    """Where no labelled version logs in, unlabelled ones are tried, the newest first."""
    trial = lane_of(subject).new_trial()
    for number in range(6):
        store(trial, f"Abandoned-number-{number}")
    # AWSCURRENT and pending are refused, then numbers 5 and 4; at most five refusals are allowed.
    trial.lane.oracle.set_password(trial.first, "Abandoned-number-3")
    assert rotate(trial, retries=0).succeeded
    require_good_end(trial)


@single_user
def test_refused_logins_are_bounded(lane_on_own_server: LaneOnOwnServer, subject: Subject) -> None:
    """One attempt makes no more refused logins than the setting allows, and changes nothing."""
    lane, server = lane_on_own_server(subject)
    trial = lane.new_trial()
    for number in range(9):
        store(trial, f"Abandoned-number-{number}")
    lane.oracle.set_password(trial.first, "Abandoned-number-1")
    for variables, allowed in (({}, 5), ({"ROTATION_REFUSED_LOGINS": "3"}, 3)):
        lane.function.variables = dict(variables)
        before = server.failed_logins()
        lane.service.retries = 0
        outcome = lane.service.rotate(trial.arn, None)
        assert failure_of(outcome) == "NoLoginWorks"
        assert server.failed_logins() - before == allowed
        assert lane.oracle.logs_in(trial.first, "Abandoned-number-1")
        abandon(trial, outcome.token)
    lane.function.variables = {"ROTATION_REFUSED_LOGINS": "20"}
    assert rotate(trial, retries=0).succeeded


@single_user
def test_applied_version_behind_many_stored_ones(lane_of: LaneOf, subject: Subject) -> None:
    """A password that came into force is found behind any number that were only stored."""
    trial = lane_of(subject).new_trial()
    lane = trial.lane
    once_changed(trial, lane.function.kill)
    lane.service.retries = 0
    token = abandon(trial, lane.service.rotate(trial.arn, str(uuid4())).token)

    def kill_when_stored() -> None:
        if lane.service.versions(trial.arn)[-1].value is not None:
            lane.tripwire.look = None
            lane.function.kill()

    for _ in range(12):
        lane.tripwire.reset(look=kill_when_stored)
        lane.service.rotate(trial.arn, token)
        assert lane.service.versions(trial.arn)[-1].value is not None
        token = abandon(trial, token)
    assert rotate(trial, retries=0).succeeded
    require_good_end(trial)


@single_user
def test_previous_is_no_json(lane_of: LaneOf, subject: Subject) -> None:
    """An AWSPREVIOUS that is no JSON is passed over; what lies behind it is still found."""
    trial = lane_of(subject).new_trial()
    service = trial.lane.service
    document = service.value(trial.arn)
    store(trial, "Abandoned-and-in-force")
    for text in ("no JSON", document):
        service.handle(
            "PutSecretValue",
            {"SecretId": trial.arn, "ClientRequestToken": str(uuid4()), "SecretString": text},
        )
    assert service.value(trial.arn, stage="AWSPREVIOUS") == "no JSON"
    trial.lane.oracle.set_password(trial.first, "Abandoned-and-in-force")
    service.retries = 0
    assert service.rotate(trial.arn).succeeded


@of(
    [
        Subject(engine, strategy, administrator=True)
        for engine in ENGINES
        for strategy in ("single-user", "single-user-by-administrator")
    ]
)
def test_broken_current_is_mended(lane_of: LaneOf, subject: Subject) -> None:
    """Where no stored password works the administrator sets a new one, with one guess at most."""
    trial = lane_of(subject).new_trial()
    trial.lane.oracle.set_password(trial.first, "Known-to-1-nobody")
    trial.lane.service.retries = 0
    assert trial.lane.service.rotate(trial.arn).succeeded
    require_good_end(trial)


def test_password_policy(lane_on_own_server: LaneOnOwnServer) -> None:
    """A password that the server's policy refuses ends in an error that says so, and a way out."""
    lane, server = lane_on_own_server(Subject("mysql", "single-user", administrator=False))
    trial = lane.new_trial()
    server.execute("INSTALL COMPONENT 'file://component_validate_password'")
    lane.function.variables = {"EXCLUDE_NUMBERS": "true"}
    outcome = rotate(trial, retries=1)
    assert failure_of(outcome) == "PasswordRejected"
    assert "policy" in str(outcome.error)
    current = next(trial.stored())
    assert lane.oracle.logs_in(current.username, current.password)
    # The way out needs no access to the database.
    lane.function.variables = {}
    assert rotate(trial, retries=0, token=abandon(trial, outcome.token)).succeeded
    require_good_end(trial)

"""Whole rotations: killed, held and restarted at samples of boundaries, misled, delivered twice.

Which strategies a test is for, it says by what they are able to: not by their names.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar
from uuid import uuid4

import pytest

from local.secretsmanager import Outcome
from local.secretsmanager.rotation import STEPS, event_for
from shared.rotator import Rotator
from shared.session import Session
from tests.kit.boundaries import Boundary, Channel
from tests.kit.contract.session import failure_in
from tests.kit.contract.world import State, World, promised
from tests.kit.failure_modes import MATRIX, code_of, prove, prove_pauses
from tests.kit.function import Function, FunctionFailed
from tests.kit.lane import Lane, Trial
from tests.kit.matrix import abandon
from tests.kit.pairs import Subject
from tests.kit.window import ROTATIONS, measure

LaneOf = Callable[[Subject], Lane]

SPARSE, DENSE = 24, 10
"""Of the quick ones every 24th boundary: what a run has time for. Of the others every tenth,
beginning with another one for each; ``tests.kit.failure_modes`` takes all of all."""

SHOWN = 3

MOST_CALLS = {False: 10, True: 14}
"""Of Secrets Manager in one rotation; with an administrator's secret to read, more."""

LONGEST_ROTATION_SECONDS = 10.0
"""Of a healthy one: four steps, each of them a matter of milliseconds."""


def of(
    able: Callable[[Subject], bool] = lambda subject: True, *, always: bool = False
) -> pytest.MarkDecorator:
    """Say which strategies a test is for; ``always``, if it is quick enough for every run."""
    return pytest.mark.strategies(able, always)


def interrupts(subject: Subject) -> bool:
    """Say whether the user's only password is changed."""
    return subject.interrupts


def alternates(subject: Subject) -> bool:
    """Say whether two users take turns."""
    return subject.alternates


def by_the_user(subject: Subject) -> bool:
    """Say whether the user's own login is all that there is, and has to be found."""
    return not subject.administrator


def by_an_administrator(subject: Subject) -> bool:
    """Say whether somebody else mends what the user's own login cannot."""
    return subject.administrator


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


def edit(trial: Trial, **changes: object) -> None:
    """Store a new AWSCURRENT from outside, as an operator does."""
    document = json.loads(trial.lane.service.value(trial.arn)) | changes
    request = {"SecretId": trial.arn, "ClientRequestToken": str(uuid4())}
    trial.lane.service._operations.put_secret_value(
        request | {"SecretString": json.dumps(document)}
    )


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


class StrategyContract:
    """What is asked of each strategy that the engine declares."""

    world: ClassVar[type[World]]

    # Killed, held, restarted, watched

    @of()
    @pytest.mark.timeout(900)
    def test_sample_of_kills(self, on: World, tmp_path: Path, subject: Subject) -> None:
        """Killed at a sample of boundaries, and restarted, no password, right or key is lost."""
        proof = prove(
            on.server, subject, tmp_path, every=self._every(subject), storms=1, place=on.place
        )
        wrong = proof.report.wrong
        promised(not wrong, f"{subject.name}: {'; '.join(wrong[:SHOWN])}", Rotator)
        assert proof.report.kills > 0
        row = MATRIX.read().get(subject.name)
        if row is not None and row.code == code_of(subject):
            assert row.first == pytest.approx(proof.crash_row.first, rel=0.05)
            assert row.later == pytest.approx(proof.crash_row.later, rel=0.05)

    @of()
    @pytest.mark.timeout(900)
    def test_sample_of_holds(self, on: World, tmp_path: Path, subject: Subject) -> None:
        """A delivery that hangs somewhere changes nothing when it wakes up too late."""
        report = prove_pauses(
            on.server, subject, tmp_path, every=self._every(subject), place=on.place
        ).report
        promised(not report.wrong, f"{subject.name}: {'; '.join(report.wrong[:SHOWN])}", Rotator)
        assert report.holds > report.in_the_middle > 0

    @of()
    def test_window(self, lane_of: LaneOf, subject: Subject) -> None:
        """No login is refused; where one must be, for no longer than one login and one request."""
        window = measure(lane_of(subject))
        assert window.rotations == ROTATIONS
        assert window.logins > 2 * ROTATIONS
        found = (window.requests, window.connections)
        wanted = (1, 1) if subject.interrupts else (0, 0)
        promised(
            found == wanted and (subject.interrupts or not window.refused),
            f"{subject.name} shuts applications out for {found[0]} requests and {found[1]} logins, "
            f"and refuses {window.refused} logins; {wanted[0]} and {wanted[1]} are allowed.",
            Session.change_password,
        )

    @of(always=True)
    def test_healthy_rotations(self, on: World, lane_of: LaneOf, subject: Subject) -> None:
        """Healthy rotations refuse no login, are quick, and make few calls, each afresh."""
        trial = lane_of(subject).new_trial()
        refused = on.server.failed_logins()
        passwords = set()
        for _ in range(3):
            began = time.monotonic()
            outcome = rotate(trial, retries=0)
            took = time.monotonic() - began
            assert outcome.succeeded, outcome.error
            most = MOST_CALLS[subject.administrator]
            promised(
                took < LONGEST_ROTATION_SECONDS and len(outcome.calls) <= most,
                f"A healthy rotation took {took:.1f} seconds and {len(outcome.calls)} calls of "
                f"Secrets Manager; {LONGEST_ROTATION_SECONDS} and {most} are allowed.",
                Session,
            )
            passwords.add(next(trial.stored()).password)
        assert len(passwords) == 3
        promised(
            on.server.failed_logins() == refused,
            f"{on.server.failed_logins() - refused} logins were refused in healthy rotations.",
            Rotator.connect,
        )
        if subject.interrupts:
            old = list(trial.stored())[1]
            assert not trial.lane.oracle.logs_in(old.username, old.password)
        assert trial.wrong_at_end(taking_over=True) == []

    def _every(self, subject: Subject) -> int:
        quick = self.world.quick
        return SPARSE if quick is None or subject.name in quick else DENSE

    # A change that does not hold

    @of(interrupts, always=True)
    def test_roll_back(self, lane_of: LaneOf, subject: Subject) -> None:
        """When the new password is refused after the change, the old one is put back at once."""
        trial = lane_of(subject).new_trial()
        once_changed(
            trial, lambda: trial.lane.oracle.set_password(trial.first, "Another-1-entirely")
        )
        outcome = rotate(trial, retries=0)
        assert failure_of(outcome) == "ProofFailed"
        current = next(trial.stored())
        assert trial.lane.oracle.logs_in(current.username, current.password)
        assert trial.lane.service.labels(trial.arn)["AWSCURRENT"] != outcome.token
        assert rotate_again(trial, outcome).succeeded
        require_good_end(trial)

    @of(alternates, always=True)
    def test_refused_proof_of_the_idle_user(self, lane_of: LaneOf, subject: Subject) -> None:
        """When the idle user is refused after the change, AWSCURRENT has never been touched."""
        trial = lane_of(subject).new_trial()
        idle = trial.usernames[1]
        assert trial.rotate() + trial.rotate() == []
        once_changed(
            trial, lambda: trial.lane.oracle.set_password(idle, "Another-1-entirely"), idle
        )
        outcome = rotate(trial, retries=0)
        assert failure_of(outcome) == "ProofFailed"
        assert rotate_again(trial, outcome).succeeded
        require_good_end(trial)

    # Delivered twice

    @of()
    def test_every_step_delivered_twice(self, lane_of: LaneOf, subject: Subject) -> None:
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
    def twin_of(self) -> Iterator[Callable[[Lane], Function]]:
        """Return a second environment of a lane's function."""
        twins: list[Function] = []

        def twin(lane: Lane) -> Function:
            twins.append(Function(lane.handler_name, lane.environment, lane.log))
            return twins[-1].__enter__()

        yield twin
        for each in twins:
            each.__exit__(None, None, None)

    @of()
    def test_every_step_delivered_twice_at_the_same_time(
        self, lane_of: LaneOf, twin_of: Callable[[Lane], Function], subject: Subject
    ) -> None:
        """Twin deliveries both succeed, one waiting for the other's lock, and lose nothing."""
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

    @of(by_the_user, always=True)
    def test_throttling(self, lane_of: LaneOf, subject: Subject) -> None:
        """A rotation succeeds, with the service's retries, when 30 % of all calls are throttled."""
        trial = lane_of(subject).new_trial()
        trial.lane.service.throttle = 0.3
        for _ in range(2):
            assert rotate(trial, retries=3).succeeded
        trial.lane.service.throttle = 0
        require_good_end(trial)

    @of()
    def test_stale_reads(self, lane_of: LaneOf, subject: Subject) -> None:
        """Reads that do not see the last write yet end in a rotation that succeeds in the end."""
        trial = lane_of(subject).new_trial()
        trial.lane.service.stale_reads = 2
        for _ in range(3):
            assert rotate(trial, retries=3).succeeded
        trial.lane.service.stale_reads = 0
        assert rotate(trial, retries=3).succeeded  # may still read what was before
        require_good_end(trial)

    @of()
    def test_current_edited_before_the_change(self, lane_of: LaneOf, subject: Subject) -> None:
        """An AWSCURRENT that was edited midway is not undone: no change is made.

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

    @of(by_the_user, always=True)
    def test_current_edited_after_the_change(self, lane_of: LaneOf, subject: Subject) -> None:
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

    @of()
    def test_database_restarted(self, on: World, lane_of: LaneOf, subject: Subject) -> None:
        """A server that crashes in the middle and comes back costs no more than a repetition."""
        lane, server = lane_of(subject), on.server
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

    @of()
    def test_failover(self, on: World, lane_of: LaneOf, subject: Subject) -> None:
        """A read-only server behind the name is told as such; afterwards a retry succeeds."""
        lane, server = lane_of(subject), on.server
        trial = lane.new_trial()
        server.set_read_only(True)
        lane.oracle.open()
        outcome = rotate(trial, retries=0)
        assert failure_of(outcome) == "ServerReadOnly"
        server.set_read_only(False)
        lane.oracle.open()
        assert rotate_again(trial, outcome).succeeded
        require_good_end(trial)

    @of()
    def test_connections_refused(self, lane_of: LaneOf, subject: Subject) -> None:
        """A server that takes no connections after the change is unreachable; a retry succeeds."""
        trial = lane_of(subject).new_trial()
        changing = trial.usernames[-1]
        once_changed(trial, trial.lane.proxy.refuse, changing)
        outcome = rotate(trial, retries=0)
        assert failure_of(outcome) == "Unreachable"
        trial.lane.proxy.pass_through()
        assert rotate_again(trial, outcome).succeeded
        require_good_end(trial)

    @of()
    def test_network_cut(self, lane_of: LaneOf, subject: Subject) -> None:
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

    @of()
    def test_black_hole(self, lane_of: LaneOf, subject: Subject) -> None:
        """A server behind a black hole is reported in the function's time; a retry succeeds."""
        trial = lane_of(subject).new_trial()
        trial.lane.proxy.black_hole()
        token = str(uuid4())
        require_error_in_time(trial, token, seconds=5)
        trial.lane.proxy.pass_through()
        outcome = rotate(trial, retries=0, token=token)
        assert outcome.succeeded, outcome.error
        require_good_end(trial)

    @of()
    def test_black_hole_after_the_change(
        self, on: World, lane_of: LaneOf, subject: Subject
    ) -> None:
        """A black hole in the middle is reported in time, and the session in it loses its lock.

        The server never hears that its client is gone: it ends the session by itself when the
        function's time is over, or every retry would wait for the lock until TCP gives up.
        """
        trial = lane_of(subject).new_trial()
        once_changed(trial, trial.lane.proxy.black_hole, trial.usernames[-1])
        token = str(uuid4())
        require_error_in_time(trial, token, seconds=8)
        if State.LOCK not in on.lacking():
            with on.as_administrator() as session:
                error = failure_in(lambda: session.lock(trial.arn, 8))
            promised(
                error is None,
                "A session that the network has swallowed keeps its lock after the function's "
                "time is over.",
                Session.lock,
            )
        trial.lane.proxy.pass_through()
        outcome = rotate(trial, retries=0, token=token)
        assert outcome.succeeded, outcome.error
        require_good_end(trial)

    # Passwords that were lost from sight

    @of(by_the_user, always=True)
    def test_unlabelled_versions(self, lane_of: LaneOf, subject: Subject) -> None:
        """Where no labelled version logs in, unlabelled ones are tried, the newest first."""
        trial = lane_of(subject).new_trial()
        for number in range(6):
            store(trial, f"Abandoned-number-{number}")
        # AWSCURRENT and pending are refused, then numbers 5 and 4; five refusals are allowed.
        trial.lane.oracle.set_password(trial.first, "Abandoned-number-3")
        assert rotate(trial, retries=0).succeeded
        require_good_end(trial)

    @of(by_the_user, always=True)
    def test_refused_logins_are_bounded(self, on: World, lane_of: LaneOf, subject: Subject) -> None:
        """One attempt makes no more refused logins than the setting allows, and changes nothing."""
        lane, server = lane_of(subject), on.server
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

    @of(by_the_user, always=True)
    def test_applied_version_behind_many_stored_ones(
        self, lane_of: LaneOf, subject: Subject
    ) -> None:
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

    @of(by_the_user, always=True)
    def test_previous_is_no_json(self, lane_of: LaneOf, subject: Subject) -> None:
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

    @of(by_an_administrator, always=True)
    def test_broken_current_is_mended(self, on: World, lane_of: LaneOf, subject: Subject) -> None:
        """Where no stored password works the administrator sets a new one, after one guess."""
        trial = lane_of(subject).new_trial()
        trial.lane.oracle.set_password(trial.first, "Known-to-1-nobody")
        refused = on.server.failed_logins()
        trial.lane.service.retries = 0
        outcome = trial.lane.service.rotate(trial.arn)
        assert outcome.succeeded, outcome.error
        assert on.server.failed_logins() - refused <= 1
        require_good_end(trial)

"""`rotation recover`: after a failure, goes on by its cause, or says what a person must do first.

What may be done from outside is little and safe: AWSPENDING is taken off an attempt that has not
ended, and a rotation is begun. Each is one request, either may be the last: between the two the
secret is as if the attempt had ended itself, and whoever runs the command again goes on. AWSCURRENT
is never moved.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from console.account import Account
from console.attempts import NotComplete, begin, end_attempt
from console.condition import MENDABLE, Condition, Standing, kind_of, told_age
from console.examine import Unanswered, examine
from console.fleet import Secret, describe
from console.functions import Functions, Maker
from console.log import Log
from console.outcome import Exit, Stop
from console.rotate import Follow
from console.screen import STYLES, Screen, counted
from console.status import standings
from shared.examination.registry import CODES

RECENT = timedelta(minutes=15)
"""So young an attempt may be carried on by the service: `--all` leaves it alone."""


class Way(Enum):
    """How a secret is recovered."""

    WAIT = "the service may be repeating it"
    MEND = "to be mended first"
    UNKNOWN = "not examined"
    BEGIN = "begin a rotation"
    RESTART = "end the attempt, begin a rotation"


READY = frozenset({Way.BEGIN, Way.RESTART})


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is to be done about one secret.

    Attributes:
        standing: How it stands.
        way: How it is recovered.
        code: Of what is to be mended, or was; empty where nothing is known.
        seen: What was found.
        do: What a person does, where something has to be mended.
    """

    standing: Standing
    way: Way
    code: str = ""
    seen: str = ""
    do: str = ""

    @property
    def secret(self) -> Secret:
        """The secret."""
        return self.standing.secret


def diagnose(account: Account, standing: Standing, *, mended: bool, patient: bool) -> Diagnosis:
    """Say what is to be done about a secret, by asking its function.

    Args:
        account: Where it is.
        standing: How it stands: an attempt has failed, or not ended.
        mended: Whether a person says that the cause is mended: it is not looked for.
        patient: Whether an attempt that the service may be repeating is left alone.
    """
    secret = standing.secret
    if standing.function.maker is not Maker.OURS:
        return Diagnosis(standing, Way.UNKNOWN, seen="its function is not this framework's")
    young = standing.condition is Condition.UNFINISHED and standing.is_changed_within(RECENT)
    if patient and young:
        return Diagnosis(standing, Way.WAIT)
    ready = Way.RESTART if secret.pending is not None else Way.BEGIN
    if mended:
        return Diagnosis(standing, ready, standing.cause)
    try:
        failures = examine(account, standing.function, secret.arn).failures
    except Unanswered as unanswered:
        return _by_log(standing, ready, str(unanswered))
    if not failures:
        return Diagnosis(standing, ready, standing.cause, "the function finds nothing in the way")
    first = failures[0]
    return Diagnosis(standing, Way.MEND, first.code, first.seen, first.do)


def _by_log(standing: Standing, ready: Way, unanswered: str) -> Diagnosis:
    """Decide by what the log says, where the function does not examine the secret."""
    kind = kind_of(standing.cause)
    if not standing.cause or (kind is not None and kind.retry_cures):
        told = "what the log tells may have passed" if standing.cause else "the log has no error"
        return Diagnosis(standing, ready, standing.cause, f"{unanswered}; {told}")
    code = CODES.get(standing.cause)
    do = code.do if code else kind.hint if kind else ""
    mend = f"{do} When it is mended: `rotation recover {standing.secret.name} --mended`".strip()
    return Diagnosis(standing, Way.UNKNOWN, standing.cause, f"{unanswered}; {standing.why}", mend)


@dataclass(frozen=True, slots=True)
class Choices:
    """What was said on the command line.

    Attributes:
        yes: Nobody has to be asked.
        mended: The cause is mended, and is not looked for.
        patient: What the service may be repeating is left alone.
    """

    yes: bool = False
    mended: bool = False
    patient: bool = False


def recover(account: Account, screen: Screen, secrets: Sequence[Secret], choices: Choices) -> Exit:
    """Recover secrets, after a yes."""
    log = Log(account)
    found = standings(account, secrets, Functions(account), log)
    broken = [each for each in found if each.condition in MENDABLE]
    if not broken:
        screen.tell(secrets=[])
        return screen.verdict(Exit.WELL, f"{counted(len(found))}: nothing to recover.")
    diagnoses = sorted(
        (
            diagnosis
            for _, diagnosis in screen.each(
                "Asking the functions",
                broken,
                lambda each: diagnose(
                    account, each, mended=choices.mended, patient=choices.patient
                ),
            )
        ),
        key=lambda each: each.secret.name,
    )
    _show(screen, diagnoses)
    ready = [each for each in diagnoses if each.way in READY]
    question = f"Begin {'a rotation' if len(ready) == 1 else f'{len(ready)} rotations'}?"
    ended: dict[str, str] = {}
    if ready and screen.confirmed(question, yes=choices.yes):
        for diagnosis, told in screen.each(
            "Rotating", ready, lambda each: _go_on(account, each, log)
        ):
            ended[diagnosis.secret.arn] = told
            style = "" if told == ROTATED else STYLES[Exit.FAILURE]
            screen.say(f"{diagnosis.secret.name}: {told}", style)
    return _summed_up(screen, diagnoses, ended)


LEFT = {Way.WAIT: "left to the service, which may be repeating it", Way.UNKNOWN: "not examined"}
ROTATED = "rotated"


def _go_on(account: Account, diagnosis: Diagnosis, log: Log) -> str:
    """End the attempt that there is, begin a rotation, and say how it ended."""
    secret = describe(account, diagnosis.secret.arn)
    if secret.current != diagnosis.secret.current:
        return "was rotated or edited meanwhile"
    try:
        if secret.pending is not None:
            end_attempt(account, secret)
        begun = begin(account, secret)
    except NotComplete:
        return "another rotation has begun meanwhile"
    except Stop as stop:
        return stop.message
    follow = Follow(account, diagnosis.standing.function, begun, log, secret)
    for _ in follow.to_its_end():
        pass
    if follow.has_ended_well or follow.is_promoted:
        return ROTATED
    return f"not rotated: {follow.last.message if follow.last else 'the log has nothing yet'}"


def _show(screen: Screen, diagnoses: Sequence[Diagnosis]) -> None:
    rows = [
        (each.secret.name, each.standing.condition.value, each.code, each.way.value, _seen(each))
        for each in diagnoses
    ]
    screen.table(("SECRET", "STATE", "CAUSE", "WHAT TO DO", "SEEN"), rows, last="SEEN")
    for each in diagnoses:
        if each.do:
            screen.say(f"{each.secret.name}: {each.do}", STYLES[Exit.WARNINGS])


def _seen(each: Diagnosis) -> str:
    if each.way is Way.WAIT and each.standing.changed_ago is not None:
        return f"last changed {told_age(each.standing.changed_ago)} ago"
    return each.seen


def _summed_up(screen: Screen, diagnoses: Sequence[Diagnosis], ended: Mapping[str, str]) -> Exit:
    screen.tell(
        secrets=[
            {
                "arn": each.secret.arn,
                "name": each.secret.name,
                "state": each.standing.condition.value,
                "way": each.way.name.lower(),
                "code": each.code or None,
                "seen": each.seen or None,
                "do": each.do or None,
                "outcome": ended.get(each.secret.arn),
            }
            for each in diagnoses
        ]
    )
    rotated = sum(told == ROTATED for told in ended.values())
    left = Counter(each.code for each in diagnoses if each.code and each.way not in READY)
    ways = Counter(each.way for each in diagnoses if not each.code)
    parts = [f"{rotated} rotated"]
    if failed := len(ended) - rotated:
        parts.append(f"{failed} failed")
    if not ended and (ready := sum(each.way in READY for each in diagnoses)):
        parts.append(f"{ready} left as they were")
    parts += [f"{number} with {cause}" for cause, number in left.most_common()]
    parts += [f"{number} {LEFT[way]}" for way, number in ways.items() if way in LEFT]
    is_well = rotated == len(diagnoses)
    only_waiting = not is_well and len(diagnoses) == rotated + sum(
        each.way is Way.WAIT for each in diagnoses
    )
    status = Exit.WELL if is_well else Exit.WARNINGS if only_waiting else Exit.FAILURE
    return screen.verdict(status, f"{counted(len(diagnoses))} to recover: {', '.join(parts)}.")

"""`rotation rotate`: begins one rotation, and follows it step by step to its end."""

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from console.account import Account
from console.attempts import Begun, begin, end_attempt
from console.condition import kind_of, told_age
from console.fleet import Secret, describe
from console.functions import Function, Functions, Maker
from console.log import LOOK_BACK, Line, Log
from console.outcome import Exit, Stop
from console.screen import STYLES, Screen
from shared.model import Stage, Step

POLL_SECONDS = 1.0
PATIENCE_SECONDS = 120.0
"""How long nothing may happen before the command says so and ends; the rotation goes on."""
LOG_SECONDS = 15.0
"""How long the last line of a log is waited for: CloudWatch shows lines some seconds late."""
CLOCKS_APART = timedelta(minutes=5)
"""The log is read from so long before the beginning: clocks differ, and the token tells anyway."""


@dataclass
class Follow:
    """One rotation, followed by labels and log.

    Attributes:
        lines: What the function has said so far, oldest first.
        secret: As it was last described.
    """

    account: Account
    function: Function
    begun: Begun
    log: Log
    secret: Secret
    lines: list[Line] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def news(self) -> Iterator[Line]:
        """Look once more; yield what is new in the log."""
        self.secret = describe(self.account, self.begun.secret)
        if self.log.unread:
            return
        since = self.began - CLOCKS_APART
        found = self.log.of(self.function, self.begun.secret, since, self.begun.token)
        new = found[len(self.lines) :]
        self.lines = found
        yield from new

    def to_its_end(
        self,
        patience: float = PATIENCE_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> Iterator[Line]:
        """Yield the log's lines until the rotation has ended, or nothing happens any more."""
        quiet_since, looked_over = time.monotonic(), False
        while True:
            for line in self.news():
                quiet_since = time.monotonic()
                yield line
            waited = time.monotonic() - quiet_since
            is_over = self.is_hopeless or (self.is_over and (self.has_failed or looked_over))
            no_line = not self.lines and not self.log.unread
            if self.has_ended_well or waited > patience:
                return
            if is_over and not (no_line and waited < LOG_SECONDS):
                return
            # What was read may be older than what has just been written: once is not enough.
            looked_over = self.is_over
            sleep(POLL_SECONDS)

    @property
    def is_promoted(self) -> bool:
        """Whether the new version is AWSCURRENT."""
        return self.secret.current == self.begun.token

    @property
    def last(self) -> Line | None:
        """The last line of the log."""
        return self.lines[-1] if self.lines else None

    @property
    def has_failed(self) -> bool:
        """Whether the last step has failed, as far as the log tells."""
        return self.last is not None and self.last.failed

    @property
    def has_ended_well(self) -> bool:
        """Whether finishSecret has succeeded, or the service says that it was rotated."""
        rotated = self.secret.last_rotated
        finished = any(line.step == Step.FINISH and not line.failed for line in self.lines)
        return self.is_promoted and (finished or (rotated is not None and rotated >= self.began))

    @property
    def is_over(self) -> bool:
        """Whether the attempt has lost AWSPENDING without being promoted."""
        on = self.secret.labels.get(self.begun.token, frozenset())
        return not self.is_promoted and Stage.PENDING not in on

    @property
    def is_hopeless(self) -> bool:
        """Whether the last step has failed with what no repetition cures."""
        kind = kind_of(self.last.cause) if self.last and self.has_failed else None
        return kind is not None and not kind.retry_cures


def rotate(
    account: Account,
    screen: Screen,
    secret: Secret,
    *,
    yes: bool = False,
    patience: float = PATIENCE_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> Exit:
    """Rotate a secret now.

    Raises:
        Stop: It cannot be begun.
    """
    functions, log = Functions(account), Log(account)
    function = require_rotatable(secret, functions)
    if secret.pending is not None:
        tell_unfinished(screen, secret, function, log)
        if not screen.confirmed("End it, and begin afresh?", yes=yes):
            return screen.verdict(Exit.FAILURE, f"{secret.name}: left as it was.")
        end_attempt(account, secret)
        screen.say("Ended: AWSPENDING is off.")
    began = datetime.now(UTC)
    follow = Follow(account, function, begin(account, secret), log, secret, began=began)
    screen.say(f"Rotating {secret.name}, version {follow.begun.token}")
    return follow_to_its_end(screen, follow, patience, sleep)


def require_rotatable(secret: Secret, functions: Functions) -> Function:
    """Return the function that rotates a secret.

    Raises:
        Stop: Nothing does.
    """
    if secret.owner:
        raise Stop(f"{secret.name} is managed by {secret.owner}, which rotates it.")
    if not secret.is_attached:
        raise Stop(f"Nothing rotates {secret.name}: `rotation enable {secret.name}`.")
    function = functions.of(secret.function)
    if function.maker is Maker.MISSING:
        raise Stop(
            f"The function of {secret.name}, {secret.function}, does not exist: "
            f"`rotation enable {secret.name} --function <function's ARN>`."
        )
    return function


def tell_unfinished(screen: Screen, secret: Secret, function: Function, log: Log) -> None:
    """Say that an attempt has not ended, since when, and what its log has."""
    ago = told_age(datetime.now(UTC) - secret.changed) if secret.changed else "some time"
    screen.say(
        f"A rotation of {secret.name} has not ended: version {secret.pending}, "
        f"last changed {ago} ago.",
        STYLES[Exit.WARNINGS],
    )
    since = datetime.now(UTC) - LOOK_BACK
    lines = log.of(function, secret.arn, since, secret.pending or "")
    if lines:
        tell_line(screen, lines[-1])
    elif not log.unread:
        screen.say("Its log has nothing of it: the function was not called, or could not start.")


def tell_line(screen: Screen, line: Line) -> None:
    """Say what a step did."""
    took = line.document.get("milliseconds")
    what = line.cause if line.failed else str(line.document.get("action", ""))
    style = STYLES[Exit.FAILURE] if line.failed else ""
    screen.say(f"  {line.step:<13} {what}{'' if took is None else f'  {took} ms'}", style)
    if line.failed:
        for sentence in re.split(r"(?<=[.:]) (?=[A-Z`])", line.message):
            screen.say(f"    {sentence}")


def follow_to_its_end(
    screen: Screen, follow: Follow, patience: float, sleep: Callable[[float], None]
) -> Exit:
    """Show what happens until the rotation has ended, or nothing happens any more."""
    for line in follow.to_its_end(patience, sleep):
        tell_line(screen, line)
    for reason in follow.log.unread.items():
        screen.say(f"The log is not shown: {': '.join(reason)}.", STYLES[Exit.BLIND])
    return _ended(screen, follow)


def _ended(screen: Screen, follow: Follow) -> Exit:
    name, last = follow.secret.name, follow.last
    if not follow.is_over:
        # The function may have ended the attempt after the labels were read.
        follow.secret = describe(follow.account, follow.begun.secret)
    screen.tell(
        secret=follow.secret.arn,
        version=follow.begun.token,
        rotated=follow.has_ended_well,
        promoted=follow.is_promoted,
        steps=[dict(line.document) for line in follow.lines],
    )
    if follow.has_ended_well:
        seconds = (datetime.now(UTC) - follow.began).total_seconds()
        return screen.verdict(Exit.WELL, f"{name}: rotated, {seconds:.1f} s.")
    if follow.is_promoted:
        text = f"{name}: the new password is AWSCURRENT; finishSecret was not seen to end."
        return screen.verdict(Exit.WARNINGS, text)
    cause = last.cause if last and last.failed else ""
    ended = "ended" if follow.is_over else "not ended: Secrets Manager repeats it, or gives it up"
    advice = f"`rotation explain {cause}`, then " if cause else ""
    return screen.verdict(
        Exit.FAILURE,
        f"{name}: not rotated{f', {cause}' if cause else ''}; the attempt has {ended}. "
        f"AWSCURRENT is as it was. Next: {advice}`rotation recover {name}`",
    )

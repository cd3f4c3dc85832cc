"""Engine and strategy of each rotation, and what must hold. Nothing here does any I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from local.client import Report
from local.demo.logins import Logins


@dataclass(frozen=True, slots=True)
class Strategy:
    """What a strategy promises.

    Attributes:
        story: One sentence on who does what.
        by_administrator: Whether the secret names the administrator's.
        interruption_seconds: The longest interruption; 0.0 where there must be none.
        why_old_works: What the old password still works for; None where it must be refused.
        calls: Most calls to Secrets Manager; None where nothing is promised.
        logins: Most logins, likewise.
    """

    story: str
    by_administrator: bool
    interruption_seconds: float
    why_old_works: str | None
    calls: int | None = None
    logins: int | None = None


STRATEGIES: Mapping[str, Strategy] = {
    "single-user": Strategy(
        "The user changes its own password. Applications cannot log in until it is promoted.",
        by_administrator=False,
        interruption_seconds=1.0,
        why_old_works=None,
        calls=10,
        logins=3,
    ),
    "alternating-users": Strategy(
        "Two users of equal rights take turns; the administrator prepares the idle one.",
        by_administrator=True,
        interruption_seconds=0.0,
        why_old_works="until its next turn",
    ),
    "dual-password": Strategy(
        "The user has two passwords: the old one works until the next rotation.",
        by_administrator=True,
        interruption_seconds=0.0,
        why_old_works="until the next rotation",
    ),
}


@dataclass(frozen=True, slots=True)
class Scene:
    """One rotation to show.

    Attributes:
        engine: Such as `postgres`.
        strategy: A key of `STRATEGIES`.
        user: The database user that the secret is for.
        killed: Whether the function is killed between the change and the promotion.
    """

    engine: str
    strategy: str
    user: str
    killed: bool = False


SCENES = (
    Scene("postgres", "single-user", "shop"),
    Scene("postgres", "alternating-users", "billing"),
    Scene("mysql", "single-user", "shop"),
    Scene("mysql", "alternating-users", "billing"),
    Scene("mysql", "dual-password", "reports"),
    Scene("mariadb", "single-user", "shop"),
    Scene("mariadb", "alternating-users", "billing"),
    Scene("mariadb", "dual-password", "reports"),
    Scene("valkey", "dual-password", "reports"),
    Scene("postgres", "single-user", "orders", killed=True),
)

KILL_STORY = (
    "The function is killed right after the password changed, before AWSCURRENT is moved to it."
)

KILLED = "SIGKILL: the database has the new password, AWSCURRENT still the old one"

KILLED_INTERRUPTION_SECONDS = 10.0
"""A new process, and from createSecret again. (AWS waits before it tries again, this one not.)"""


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of one rotation.

    Attributes:
        succeeded: Whether Secrets Manager took the rotation for finished.
        attempts: How often it was started from createSecret.
        calls: The function's calls to Secrets Manager.
        logins: The function's logins.
        report: What the client saw.
        old_user: Whom AWSCURRENT named before.
        new_user: Whom it names now.
        changed: Whether AWSCURRENT has another password than before.
        old_works: Whether the old login still works.
        new_works: Whether AWSCURRENT logs in.
        old_works_later: Whether the old login still works after one more rotation; None where it
            was refused already, or there was no further rotation.
        other_keys: How many other keys the secret had.
        kept: Whether they are there, unchanged and in their order.
    """

    succeeded: bool
    attempts: int
    calls: int
    logins: Logins
    report: Report
    old_user: str
    new_user: str
    changed: bool
    old_works: bool
    new_works: bool
    old_works_later: bool | None
    other_keys: int
    kept: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence, and whether it is true."""

    text: str
    held: bool


def claims(scene: Scene, seen: Observation) -> Iterator[Claim]:
    """Yield what must hold after the scene, in the order in which it is told."""
    strategy = STRATEGIES[scene.strategy]
    if scene.killed:
        yield Claim(
            f"The service's {'retry' if seen.succeeded else 'retries'} with the same version: "
            f"{'ended well' if seen.succeeded else 'no success'} in attempt {seen.attempts}.",
            seen.succeeded and seen.attempts == 2,  # noqa: PLR2004 - killed once
        )
        yield Claim(
            f"{counted(seen.logins.refused, 'refused login')} told it that the change was made.",
            seen.logins.refused == 1,
        )
    else:
        yield _economy(strategy, seen)
    yield _interruption(scene, seen.report)
    yield _passwords(strategy, seen)
    if strategy.why_old_works:
        fate = {False: "refused", True: "accepted", None: "not tried"}[seen.old_works_later]
        yield Claim(
            f"After one more rotation that old password is {fate}.", seen.old_works_later is False
        )
    yield Claim(f"The secret's {seen.other_keys} other keys are as they were.", seen.kept)


def _economy(strategy: Strategy, seen: Observation) -> Claim:
    within = all(
        most is None or number <= most
        for number, most in ((seen.calls, strategy.calls), (seen.logins.all, strategy.logins))
    )
    return Claim(
        f"{counted(seen.calls, 'call')} to Secrets Manager{_at_most(strategy.calls)}, "
        f"{counted(seen.logins.all, 'login')}{_at_most(strategy.logins)}, "
        f"{seen.logins.refused} of them refused.",
        within and seen.succeeded and seen.attempts == 1 and seen.logins.refused == 0,
    )


def _interruption(scene: Scene, report: Report) -> Claim:
    longest = STRATEGIES[scene.strategy].interruption_seconds
    if scene.killed:
        longest = KILLED_INTERRUPTION_SECONDS
    told = "no interruption"
    if report.interruption:
        refused = counted(report.refused, "refused login")
        told = f"interrupted for {milliseconds(report.interruption)} ({refused})"
    if report.errors:
        told += f", errors: {', '.join(sorted(set(report.errors)))}"
    return Claim(
        f"The client logged in {counted(report.accepted, 'time')}: {told}.",
        report.recovered and not report.errors and report.interruption <= longest,
    )


def _passwords(strategy: Strategy, seen: Observation) -> Claim:
    fate = "accepted" if seen.old_works else "refused"
    if seen.old_works and strategy.why_old_works:
        fate += f" ({strategy.why_old_works})"
    new = "accepted" if seen.new_works else "refused"
    of_old, of_new = "", ""
    if seen.old_user != seen.new_user:
        of_old, of_new = f" of {seen.old_user}", f" of {seen.new_user}"
    return Claim(
        f"Old password{of_old} {fate}, new password{of_new} {new}.",
        seen.new_works and seen.changed and seen.old_works == (strategy.why_old_works is not None),
    )


def _at_most(most: int | None) -> str:
    return "" if most is None else f" (at most {most})"


def counted(number: int, noun: str) -> str:
    """Return the number with its noun, in the plural where that is due."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def milliseconds(seconds: float) -> str:
    """Return a duration as it is told."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


EXPLANATIONS: Mapping[tuple[str, str], str] = {
    ("STORE", ""): "a new password is stored as AWSPENDING",
    ("APPLY", "single-user"): "changed, proven by a login, promoted to AWSCURRENT",
    ("APPLY", "alternating-users"): "the idle user is prepared, and proven by a login",
    ("APPLY", "dual-password"): "set beside the old one, and proven by a login",
    ("VERIFY", ""): "AWSCURRENT logs in",
    ("VERIFY", "alternating-users"): "logs in, with the same rights as the other user",
    ("VERIFY", "dual-password"): "logs in",
    ("PROMOTE", ""): "logs in, promoted to AWSCURRENT",
    ("DONE", ""): "nothing left to do",
}
"""What a step did, by the action and the strategy that it logs."""

RECOVERED = "AWSPENDING logs in already: promoted to AWSCURRENT"


def explanation(entry: Mapping[str, object]) -> str:
    """Say what a step did.

    Args:
        entry: The line that the function has logged.
    """
    action, strategy = str(entry.get("action", "")), str(entry.get("strategy", ""))
    if action == "APPLY" and entry.get("logged_in_with") == "PENDING":
        return RECOVERED
    return EXPLANATIONS.get((action, strategy)) or EXPLANATIONS.get((action, "")) or action.lower()

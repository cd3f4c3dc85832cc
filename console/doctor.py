"""`rotation doctor`: what a rotation will need, looked at without changing anything.

The function looks where it is attached: in its own network, with its own role. The rest is seen
from outside, with the credentials of whoever asks.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from console.account import Account
from console.examine import Unanswered, examine
from console.fleet import Secret
from console.functions import Function, Functions, Maker
from console.here import examine_here
from console.outcome import Exit
from console.outside import NOT_TOLD, Outside
from console.screen import STYLES, Screen, counted
from shared.examination.finding import Examination, Finding, Level

FEW = 3
"""So many secrets are told of one by one; more are summed up by cause."""
LEVELS: Mapping[Level, Exit] = {
    Level.FAILURE: Exit.FAILURE,
    Level.WARNING: Exit.WARNINGS,
    Level.NOT_LOOKED_AT: Exit.BLIND,
    Level.NOTE: Exit.WELL,
}
"""The worst first."""
BY_FUNCTION = "by the function"


@dataclass(frozen=True, slots=True)
class Report:
    """What was found about one secret.

    Attributes:
        secret: The secret.
        examination: The function's and the outside's findings together.
    """

    secret: Secret
    examination: Examination

    @property
    def level(self) -> Level:
        """The worst level of its findings."""
        levels = {each.level for each in self.examination.findings}
        return next((each for each in LEVELS if each in levels), Level.NOTE)

    @property
    def is_well(self) -> bool:
        """Whether nothing but notes was found."""
        return LEVELS[self.level] is Exit.WELL


def doctor(
    account: Account,
    screen: Screen,
    secrets: Sequence[Secret],
    function: str = "",
    *,
    here: bool = False,
) -> Exit:
    """Examine secrets, and say what was found.

    Args:
        account: Where they are.
        screen: Where it is told.
        secrets: Which.
        function: What would rotate those that nothing rotates yet; found where there is one.
        here: Let this machine look at what no function may read yet.
    """
    functions, outside = Functions(account), Outside(account)
    candidate = functions.named(function) if function else _only(functions, secrets)
    reports = [
        report
        for _, report in screen.each(
            "Examining",
            secrets,
            lambda each: report_on(account, each, functions, outside, candidate, here=here),
        )
    ]
    reports.sort(key=lambda each: ([*LEVELS].index(each.level), each.secret.name))
    screen.tell(
        secrets=[each.examination.to_dict() | {"Name": each.secret.name} for each in reports]
    )
    if len(reports) <= FEW:
        for report in reports:
            _tell(screen, report)
    else:
        _by_cause(screen, reports)
    return _verdict(screen, reports)


def _only(functions: Functions, secrets: Sequence[Secret]) -> Function | None:
    """Return the one function that there is, if a secret needs one."""
    if all(each.is_attached for each in secrets):
        return None
    ours = functions.ours()
    return ours[0] if len(ours) == 1 else None


def report_on(
    account: Account,
    secret: Secret,
    functions: Functions,
    outside: Outside,
    candidate: Function | None,
    *,
    here: bool = False,
) -> Report:
    """Examine one secret."""
    own = functions.of(secret.function)
    function = own if secret.is_attached else candidate or own
    checks, findings = outside.examine(secret, function)
    examination = Examination(secret.arn, tuple(checks), tuple(findings))
    if secret.is_attached and own.maker not in {Maker.OURS, Maker.UNKNOWN}:
        return Report(secret, examination)
    if not secret.is_attached and not here:
        seen = f"{BY_FUNCTION} it is once attached; from this machine with --here"
        return Report(secret, _blind(examination, "RotationNotEnabled", seen))
    try:
        if secret.is_attached:
            inner = examine(account, own, secret.arn)
        else:
            inner = examine_here(account, secret.arn, candidate.folder if candidate else "")
    except Unanswered as unanswered:
        return Report(secret, _blind(examination, NOT_TOLD, str(unanswered)))
    return Report(secret, _together(inner, examination))


def _together(inner: Examination, outer: Examination) -> Examination:
    """Return both; what both have found is told once, as the milder of the two has it."""
    milder = {each.code for each in outer.findings if each.level is Level.NOTE}
    told = tuple(each for each in inner.findings if each.code not in milder)
    twice = {each.code for each in told if each.level is not Level.NOT_LOOKED_AT}
    return replace(
        inner,
        checks=(*inner.checks, *outer.checks),
        findings=(*told, *(each for each in outer.findings if each.code not in twice)),
    )


def _blind(examination: Examination, code: str, seen: str) -> Examination:
    """Say that the function has not looked."""
    finding = Finding(BY_FUNCTION, code, Level.NOT_LOOKED_AT, seen)
    return replace(
        examination,
        checks=(*examination.checks, BY_FUNCTION),
        findings=(*examination.findings, finding),
    )


def _tell(screen: Screen, report: Report) -> None:
    examination = report.examination
    what = ", ".join(filter(None, (examination.server, examination.strategy)))
    screen.say(f"{report.secret.name}{f': {what}' if what else ''}", "bold")
    shown = sorted(
        (each for each in examination.findings if each.level is not Level.NOT_LOOKED_AT),
        key=lambda each: [*LEVELS].index(each.level),
    )
    for each in shown:
        screen.say(f"  {each.level:<8} {each.code}: {each.seen}", STYLES[LEVELS[each.level]])
        if each.do:
            screen.say(f"           {each.do}")
    blind = [each for each in examination.findings if each.level is Level.NOT_LOOKED_AT]
    for code in dict.fromkeys(each.code for each in blind):
        checks = ", ".join(each.check for each in blind if each.code == code)
        seen = next((each.seen for each in blind if each.code == code and each.seen), "")
        text = f"  not looked at, because of {code}: {checks}{f' ({seen})' if seen else ''}"
        screen.say(text, STYLES[Exit.BLIND])
    found = {each.check for each in examination.findings}
    well = [each for each in examination.checks if each not in found]
    screen.say(f"  well: {len(well)} of {len(examination.checks)} checks", STYLES[Exit.WELL])


def _by_cause(screen: Screen, reports: Sequence[Report]) -> None:
    """Sum many secrets up: one line for each code, the worst and most frequent first."""
    seen: dict[tuple[Level, str], list[str]] = {}
    for report in reports:
        told = {each.code for each in report.examination.failures}
        for each in report.examination.findings:
            if each.level is Level.NOT_LOOKED_AT and each.code in told:
                continue
            names = seen.setdefault((each.level, each.code), [])
            if report.secret.name not in names:
                names.append(report.secret.name)
    order = sorted(seen.items(), key=lambda each: ([*LEVELS].index(each[0][0]), -len(each[1])))
    rows = [
        (level.replace("-", " "), code, len(names), _some(names), STYLES[LEVELS[level]])
        for (level, code), names in order
    ]
    screen.table(("LEVEL", "CODE", "SECRETS", "WHICH"), rows, last="WHICH")
    if rows:
        screen.say("`rotation doctor SECRET` says what to do; `rotation explain CODE` what it is.")


def _some(names: Sequence[str]) -> str:
    more = len(names) - FEW
    return ", ".join(names[:FEW]) + (f" and {more} more" if more > 0 else "")


def _verdict(screen: Screen, reports: Sequence[Report]) -> Exit:
    levels = [each.level for each in reports]
    worst = next((each for each in LEVELS if each in levels), Level.NOTE)
    counts = Counter(levels)
    words = {
        Level.FAILURE: "would fail",
        Level.WARNING: "with warnings",
        Level.NOT_LOOKED_AT: "not looked at in full",
        Level.NOTE: "well",
    }
    parts = [f"{counts[each]} {words[each]}" for each in LEVELS if counts[each]]
    first = next((each for each in reports if each.level is Level.FAILURE), None)
    code = first.examination.failures[0].code if first else ""
    advice = f" Next: `rotation explain {code}`" if code else ""
    text = f"{counted(len(reports))}: {', '.join(parts) or 'none'}.{advice}"
    return screen.verdict(LEVELS[worst], text)

"""`rotation enable`: attaches secrets to their function, and says what stood in the way."""

from collections import Counter
from collections.abc import Sequence

from console.account import Account
from console.attach import Done, attach
from console.changes import Asked, Change, Planned, plan
from console.fleet import Secret
from console.functions import Functions
from console.log import Log
from console.moving import OWNED
from console.outcome import Exit
from console.screen import STYLES, Screen, counted
from shared.examination.finding import Level

SHOWN = 20
"""Lines of a table of changes that is to be said yes to."""

ATTACHING = 24
"""Secrets under way: enough to come to the service's quota while functions take half a second."""


def enable(
    account: Account,
    screen: Screen,
    wanted: Sequence[tuple[Secret, Asked]],
    *,
    dry_run: bool = False,
    yes: bool = False,
) -> Exit:
    """Attach secrets, after a yes."""
    functions = Functions(account)
    plans = [plan(secret, asked, functions, account.region) for secret, asked in wanted]
    plans.sort(key=lambda each: (each.change is not Change.REFUSED, each.secret.name))
    _show(screen, plans, everything=dry_run)
    screen.tell(changes=[_change(each) for each in plans])
    going = [each for each in plans if each.change is not Change.REFUSED]
    changing = sum(each.change is not Change.SAME for each in going)
    refused = len(plans) - len(going)
    if dry_run:
        text = f"{counted(len(plans))}: {changing} to change, {refused} refused. Nothing was done."
        return screen.verdict(Exit.FAILURE if refused else Exit.WELL, text)
    if changing and not screen.confirmed(f"Attach {counted(changing)}?", yes=yes):
        return screen.verdict(Exit.FAILURE, "Nothing was done.")
    log = Log(account)
    done = [
        result
        for _, result in screen.each(
            "Attaching", going, lambda each: attach(account, each, log), workers=ATTACHING
        )
    ]
    return _summed_up(screen, done, refused)


def _change(each: Planned) -> dict[str, object]:
    return {
        "arn": each.secret.arn,
        "name": each.secret.name,
        "change": each.change.name.lower(),
        "from": each.secret.function or None,
        "function": each.function.arn if each.function else None,
        "schedule": each.rules.get("ScheduleExpression"),
        "window": each.rules.get("Duration"),
        "reason": each.reason or None,
    }


def _show(screen: Screen, plans: Sequence[Planned], *, everything: bool) -> None:
    shown = plans if everything else plans[:SHOWN]
    rows = [
        (
            each.secret.name,
            each.change.value,
            each.function.name if each.function else "",
            each.rules.get("ScheduleExpression", ""),
            each.rules.get("Duration", ""),
            _note(each),
            STYLES[Exit.FAILURE] if each.change is Change.REFUSED else "",
        )
        for each in shown
    ]
    screen.table(("SECRET", "CHANGE", "FUNCTION", "SCHEDULE", "WINDOW", "NOTE"), rows, last="NOTE")
    if len(shown) < len(plans):
        screen.say(f"… and {len(plans) - len(shown)} more: --dry-run shows all.")


def _note(each: Planned) -> str:
    if each.change is Change.MOVE:
        return f"from {each.secret.function.rpartition(':')[2]}"
    return each.reason


def _summed_up(screen: Screen, done: Sequence[Done], refused: int) -> Exit:
    bad = sorted((each for each in done if each.code), key=lambda each: each.planned.secret.name)
    unknown = [each for each in done if not each.is_examined]
    for each in bad:
        where = _where(each)
        screen.say(f"{each.planned.secret.name}: {each.code}: {each.seen}", STYLES[Exit.FAILURE])
        screen.say(f"  {where}. {each.do}".rstrip())
    for each in unknown:
        screen.say(f"{each.planned.secret.name}: {each.seen}", STYLES[Exit.BLIND])
    warnings = [
        (each.planned.secret.name, finding)
        for each in done
        for finding in each.findings
        if finding.level is Level.WARNING and not each.code
    ]
    for name, finding in warnings:
        screen.say(f"{name}: {finding.code}: {finding.seen} {finding.do}", STYLES[Exit.WARNINGS])
    for each in done:
        if each.planned.adopts and not each.code and each.planned.function:
            name, folder = each.planned.secret.name, each.planned.function.folder
            screen.say(f"{name}: what its second user owns or was granted, a DBA looks at:")
            for statement in OWNED.get(folder, ()):
                screen.say(f"  {statement}")
    screen.tell(
        secrets=[
            {
                "arn": each.planned.secret.arn,
                "name": each.planned.secret.name,
                "attached": each.is_attached,
                "examined": each.is_examined,
                "code": each.code or None,
                "findings": [finding.to_dict() for finding in each.findings],
            }
            for each in done
        ]
    )
    causes = Counter(each.code for each in bad)
    parts = [f"{len(done) - len(bad) - len(unknown)} attached, nothing in the way"]
    parts += [f"{len(unknown)} attached and not examined"] * bool(unknown)
    parts += [f"{number} with {code}" for code, number in causes.most_common()]
    parts += [f"{refused} refused"] * bool(refused)
    status = Exit.WELL
    if bad or refused:
        status = Exit.FAILURE
    elif unknown:
        status = Exit.BLIND
    elif warnings:
        status = Exit.WARNINGS
    return screen.verdict(status, f"{counted(len(done) + refused)}: {', '.join(parts)}.")


def _where(each: Done) -> str:
    if not each.is_attached:
        return "Detached again: nothing was left behind"
    if each.planned.former:
        return f"Given back to {each.planned.former.rpartition(':')[2]}"
    return "Attached, as it was before"

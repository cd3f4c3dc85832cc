"""`rotation disable`: detaches secrets, and says what stays."""

from collections.abc import Mapping, Sequence

from console.account import Account
from console.attempts import detach, end_attempt
from console.changes import CAME_FROM
from console.fleet import Secret, describe
from console.functions import Functions
from console.moving import give_back
from console.outcome import Exit, Stop
from console.screen import STYLES, Screen, counted

SHOWN = 20
REMOVAL: Mapping[str, Sequence[str]] = {
    "postgres": (
        'REASSIGN OWNED BY "{idle}" TO "{current}"; DROP OWNED BY "{idle}";  -- in each database',
        'DROP ROLE "{idle}";',
    ),
    "mysql": ("DROP USER '{idle}'@'%';",),
}
"""By the rotator's folder: what a DBA types to remove the user of a pair that is not in use."""


def disable(
    account: Account,
    screen: Screen,
    secrets: Sequence[Secret],
    *,
    back: bool = False,
    dry_run: bool = False,
    yes: bool = False,
) -> Exit:
    """Detach secrets, after a yes.

    Args:
        account: Where they are.
        screen: Where it is told.
        secrets: Which.
        back: Give them back to the functions that rotated them before this framework's.
        dry_run: Only say what would be done.
        yes: Nobody has to be asked.
    """
    attached = [each for each in secrets if each.is_attached]
    word = "give back" if back else "detach"
    rows = [
        (each.name, word, _to(each, back=back)) for each in attached[: None if dry_run else SHOWN]
    ]
    screen.table(("SECRET", "CHANGE", "FUNCTION"), rows)
    if dry_run or not attached:
        text = f"{counted(len(attached))} to {word} of {len(secrets)}. Nothing was done."
        return screen.verdict(Exit.WELL, text)
    if not screen.confirmed(f"{word.capitalize()} {counted(len(attached))}?", yes=yes):
        return screen.verdict(Exit.FAILURE, "Nothing was done.")
    failed: dict[str, str] = {}
    for secret, told in screen.each("Detaching", attached, lambda each: _one(account, each, back)):
        if told:
            failed[secret.name] = told
    functions = Functions(account)
    for secret in attached:
        if secret.name in failed:
            screen.say(f"{secret.name}: {failed[secret.name]}", STYLES[Exit.FAILURE])
        elif not back:
            for line in what_stays(secret, functions.of(secret.function).folder):
                screen.say(f"{secret.name}: {line}")
    screen.tell(
        secrets=[
            {"arn": each.arn, "name": each.name, "failed": failed.get(each.name)}
            for each in attached
        ]
    )
    done = len(attached) - len(failed)
    text = f"{counted(done)} {'given back' if back else 'detached'}"
    return screen.verdict(
        Exit.FAILURE if failed else Exit.WELL, f"{text}{f', {len(failed)} not' if failed else ''}."
    )


def _to(secret: Secret, *, back: bool) -> str:
    name = secret.function.rpartition(":")[2]
    former = secret.tags.get(CAME_FROM, "").rpartition(":")[2]
    return f"{name} → {former or 'unknown'}" if back else name


def _one(account: Account, secret: Secret, back: bool) -> str:  # noqa: FBT001 (of `disable`)
    """Detach one secret; return why not, or nothing."""
    former = secret.tags.get(CAME_FROM, "")
    if back and not former:
        return f"its tag {CAME_FROM}, which names the function before, is missing"
    try:
        if back:
            give_back(account, secret, former)
            return ""
        detach(account, secret)
        # An attempt under way has nobody to carry it on; what it did, the next one finds.
        end_attempt(account, describe(account, secret.arn))
    except Stop as stop:
        return stop.message
    return ""


def what_stays(secret: Secret, folder: str) -> list[str]:
    """Say what a detached secret leaves in the database, and how it is removed."""
    plan = secret.plan
    if plan is None or plan.users is None:
        return []
    first, second = plan.users
    blanks = {"idle": second, "current": first}
    told = (
        f"users {first} and {second} stay, both with passwords that work; AWSCURRENT names one of "
        f"them. If that is {first}, a DBA removes the other one by"
    )
    return [told] + [f"  {text.format(**blanks)}" for text in REMOVAL.get(folder, ())]

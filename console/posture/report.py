"""`rotation posture`: what was seen, and for each finding why it matters and what mends it."""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from console.account import Account
from console.fleet import Secret
from console.outcome import Exit
from console.posture.controls import CONTROLS
from console.posture.look import Posture, Row, posture
from console.screen import STYLES, Screen, counted
from console.status import cell
from shared.examination.finding import Finding, Level
from shared.examination.registry import CODES

DAYS = 90
"""How old a password may be: what SecretsManager.4 asks for where nothing is said."""

HEAD = ("SECRET", "KEY", "ROTATION", "DATABASE", "STORAGE", "TLS", "FINDINGS")
EXITS: Mapping[Level, Exit] = {
    Level.FAILURE: Exit.FAILURE,
    Level.WARNING: Exit.WARNINGS,
    Level.NOT_LOOKED_AT: Exit.BLIND,
}
"""The worst first; a note is well."""
STYLE: Mapping[Level, Exit] = {**EXITS, Level.NOTE: Exit.WELL}

FACTS = (
    *("key", "key_manager", "key_state", "key_rotates", "key_policy", "secret_policy", "rotation"),
    *("schedule", "last_rotated", "age_days", "role", "host", "database", "storage_encrypted"),
    *("storage_key", "snapshots", "tls_parameter", "tls", "takes_clear", "iam_login", "public"),
)
"""What a row tells of a secret, in this order."""
COLUMNS = (
    *("name", "arn"),
    *FACTS,
    *("failures", "warnings", "notes", "not_looked_at", "controls"),
)
"""Of the CSV."""


def report(
    account: Account,
    screen: Screen,
    secrets: Sequence[Secret],
    *,
    days: int = DAYS,
    as_csv: bool = False,
    reads_values: bool = True,
) -> Exit:
    """Show how well secrets and what they rest on are protected."""
    found = posture(account, screen, secrets, days=days, reads_values=reads_values)
    status = worst(found.findings)
    if as_csv:
        screen.text(to_csv(found.secrets))
        return status
    screen.tell(
        days=days,
        secrets=[to_dict(row) for row in found.secrets],
        account=to_dict(found.account),
        buckets=[to_dict(row) for row in found.buckets],
    )
    screen.table(HEAD, map(_cells, found.secrets), last="FINDINGS")
    for group in grouped(found):
        _tell(screen, group)
    _tell_unseen(screen, found)
    return screen.verdict(status, summed_up(found))


def worst(findings: Iterable[Finding]) -> Exit:
    """Return the exit status: a failure counts before a warning, that before what was unseen."""
    levels = {each.level for each in findings}
    return next((status for level, status in EXITS.items() if level in levels), Exit.WELL)


@dataclass
class Group:
    """One code, where it was found, and what mends it there.

    Attributes:
        code: Its name.
        level: The worst that it was found at.
        seen: What was seen to the command that mends it, each once, with the rows' names.
    """

    code: str
    level: Level
    seen: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))


def grouped(found: Posture) -> list[Group]:
    """Return the findings by their code, the worst first, then in the registry's order."""
    groups: dict[str, Group] = {}
    order = [*Level]
    for row in found.rows:
        for finding in row.findings:
            if finding.level is Level.NOT_LOOKED_AT:
                continue
            group = groups.setdefault(finding.code, Group(finding.code, finding.level))
            group.level = min(group.level, finding.level, key=order.index)
            group.seen[finding.seen, finding.do].append(row.name)
    registered = [*CODES]
    return sorted(
        groups.values(),
        key=lambda group: (order.index(group.level), registered.index(group.code)),
    )


def _tell(screen: Screen, group: Group) -> None:
    code = CODES[group.code]
    controls = ", ".join(CONTROLS[group.code])
    screen.say()
    style = STYLES[STYLE[group.level]]
    screen.say(f"{group.level.value}: {code.name}: {code.title}", style)
    screen.say(f"  {code.meaning}")
    if controls:
        screen.say(f"  Controls: {controls}")
    for (seen, do), names in group.seen.items():
        named = names[0] if len(names) == 1 else counted(len(names))
        screen.say(f"  - {named}: {seen}")
        screen.say(f"    {do}")


def _tell_unseen(screen: Screen, found: Posture) -> None:
    reasons: defaultdict[str, set[str]] = defaultdict(set)
    checks: defaultdict[str, set[str]] = defaultdict(set)
    for row in found.rows:
        for finding in row.findings:
            if finding.level is Level.NOT_LOOKED_AT:
                reasons[finding.seen].add(row.name)
                checks[finding.seen].add(finding.check)
    if reasons:
        screen.say()
    for reason, names in sorted(reasons.items()):
        named = min(names) if len(names) == 1 else f"{len(names)} rows"
        told = f"Not looked at, {', '.join(sorted(checks[reason]))} of {named}: {reason}"
        screen.say(told, STYLES[Exit.BLIND])


def summed_up(found: Posture) -> str:
    """Count the findings, by their level."""
    counts = {level: sum(each.level is level for each in found.findings) for level in Level}
    names = {
        Level.FAILURE: "failure",
        Level.WARNING: "warning",
        Level.NOTE: "note",
        Level.NOT_LOOKED_AT: "not looked at",
    }
    told = [
        f"{number} {names[level]}{'s' if number > 1 and level is not Level.NOT_LOOKED_AT else ''}"
        for level, number in counts.items()
        if number
    ]
    return f"{counted(len(found.secrets))}: {', '.join(told) or 'all is well'}."


def _cells(row: Row) -> tuple[str, ...]:
    facts = row.facts
    key = facts.get("key")
    rotates = {True: ", rotated", False: ", not rotated"}.get(facts.get("key_rotates"), "")  # type: ignore[call-overload]
    database = facts.get("database") or ("not of RDS here" if facts.get("host") else "")
    encrypted = {True: "encrypted", False: "in clear"}.get(facts.get("storage_encrypted"), "")  # type: ignore[call-overload]
    level = worst(row.findings)
    codes = {each.code for each in row.findings if each.level is not Level.NOT_LOOKED_AT}
    unseen = any(each.level is Level.NOT_LOOKED_AT for each in row.findings)
    return (
        row.name,
        f"{str(key).rpartition('/')[2][:8]}{rotates}" if key else "",
        str(facts.get("rotation", "")),
        str(database),
        encrypted,
        str(facts.get("tls") or facts.get("tls_parameter") or ""),
        ", ".join([*sorted(codes), *(["not all seen"] if unseen else [])]),
        STYLES[level] if level is not Exit.WELL else "",
    )


def to_dict(row: Row) -> dict[str, object]:
    """Return what is known of a row, for a program."""
    return {
        "name": row.name,
        **({"arn": row.arn} if row.arn else {}),
        "level": worst(row.findings).name.lower(),
        "facts": dict(row.facts),
        "findings": [
            {
                "check": each.check,
                "code": each.code,
                "level": each.level.value,
                "seen": each.seen,
                "do": each.do or None,
                "why": None if each.level is Level.NOT_LOOKED_AT else CODES[each.code].meaning,
                "controls": _controls([each]),
            }
            for each in row.findings
        ],
    }


def _controls(findings: Iterable[Finding]) -> list[str]:
    """Return the controls that findings answer; none where nothing was looked at."""
    seen = [each.code for each in findings if each.level is not Level.NOT_LOOKED_AT]
    return [*dict.fromkeys(control for code in seen for control in CONTROLS[code])]


def to_csv(rows: Iterable[Row]) -> str:
    """Return one row for each secret, with a head."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        codes = {
            level: " ".join(sorted({e.code for e in row.findings if e.level is level}))
            for level in (Level.FAILURE, Level.WARNING, Level.NOTE)
        }
        unseen = {e.check for e in row.findings if e.level is Level.NOT_LOOKED_AT}
        told = [row.name, row.arn, *(row.facts.get(name) for name in FACTS)]
        told += [*codes.values(), " ".join(sorted(unseen)), " ".join(_controls(row.findings))]
        writer.writerow([cell(value) for value in told])
    return written.getvalue()

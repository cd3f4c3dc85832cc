"""What a rotation will need, looked at without changing anything.

A *check* is one line of the examination, a *finding* its value: a code of the registry
(:mod:`shared.examination.registry`), a level, what was seen and what to do. A check that is well
finds nothing. The examination runs on after a failure; what cannot be looked at because of it says
so, with the code of what stands in the way.

A rotation itself never imports it. An engine adds checks of its own in ``examination.py`` of its
folder, as ``CHECKS``.
"""

import importlib.util
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from shared.errors import RotationError
from shared.examination.check import ACTING, Check, Seen, Subject
from shared.examination.checks import CHECKS
from shared.examination.finding import Examination, Finding, Level
from shared.examination.registry import CODES

if TYPE_CHECKING:
    from shared.rotation import Rotation
    from shared.rotator import Rotator

SETTINGS = "settings"
"""The check of the function's own variables, without which nothing else can be looked at."""


def probe(rotator: "Rotator", rotation: "Rotation") -> None:
    """Examine, and raise the first failure: the test of a configuration.

    Raises:
        RotationError: What a rotation would fail with; its message names further ones.
    """
    errors: list[RotationError] = []
    examination = _examine(rotator, rotation, None, errors)
    if errors:
        first = errors[0]
        further = [f"{each.code}: {each.seen}" for each in examination.failures[1:]]
        besides = f" Besides: {' '.join(further)}" if further else ""
        raise type(first)(first.message + besides, hint=first.advice) from None


def answer(
    prepare: "Callable[[], tuple[Rotator, Rotation]]", secret: str, function_arn: str | None
) -> Examination:
    """Examine a secret, whatever happens.

    Args:
        prepare: Makes the rotator and the unit of work; raises RotationError.
        secret: The secret's ARN.
        function_arn: The function's own.
    """
    try:
        rotator, rotation = prepare()
    except RotationError as error:
        return Examination(secret, (SETTINGS,), (_failure(SETTINGS, error, secret),))
    return _examine(rotator, rotation, function_arn, [])


def checks_of(rotator: type["Rotator"]) -> tuple[Check, ...]:
    """Return all checks of a rotator's secrets: every engine's, then its own."""
    module = f"{rotator.__module__.rpartition('.')[0]}.examination"
    if importlib.util.find_spec(module) is None:
        return CHECKS
    return (*CHECKS, *importlib.import_module(module).CHECKS)


def _examine(
    rotator: "Rotator",
    rotation: "Rotation",
    function_arn: str | None,
    errors: list[RotationError],
) -> Examination:
    checks = checks_of(type(rotator))
    subject = Subject(rotator, rotator.databases, rotation, function_arn)
    try:
        findings = tuple(_findings(subject, checks, errors))
    finally:
        subject.close()
    return Examination(
        secret=rotation.secret_id,
        checks=tuple(check.name for check in checks),
        findings=findings,
        engine=subject.engine,
        server=subject.server,
        strategy=None if subject.plan is None else subject.plan.strategy.value,
    )


def _findings(
    subject: Subject, checks: Sequence[Check], errors: list[RotationError]
) -> Iterator[Finding]:
    """Look at one check after the other; failures are put into ``errors`` besides."""
    in_the_way: dict[str, str] = {}
    for check in checks:
        needs = (_acting(subject) if need == ACTING else need for need in check.needs)
        obstacle = next((in_the_way[need] for need in needs if need in in_the_way), None)
        if obstacle is not None:
            in_the_way[check.name] = obstacle
            yield Finding(check.name, obstacle, Level.NOT_LOOKED_AT)
            continue
        try:
            for seen in check.look(subject) or ():
                if seen.blocks:
                    in_the_way[check.name] = seen.code
                yield _finding(check.name, seen, subject.rotation.secret_id)
        except RotationError as error:
            errors.append(error)
            failure = _failure(check.name, error, subject.rotation.secret_id)
            in_the_way[check.name] = failure.code
            yield failure
        except Exception as error:  # noqa: BLE001 (a defect of one check must not hide the others)
            in_the_way[check.name] = "CheckFailed"
            place = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__} at {place.filename.rpartition('/')[2]}:{place.lineno}."
            yield _finding(check.name, Seen("CheckFailed", text), subject.rotation.secret_id)


def _acting(subject: Subject) -> str:
    return "administrators-login" if subject.acts_by_administrator else "login"


def _finding(check: str, seen: Seen, secret: str) -> Finding:
    code = CODES[seen.code]
    level = seen.level or code.level
    do = "" if level is Level.NOT_LOOKED_AT else (seen.do or code.do).replace("<ARN>", secret)
    return Finding(check, seen.code, level, seen.text, do)


def _failure(check: str, error: RotationError, secret: str) -> Finding:
    names = (kind.__name__ for kind in type(error).__mro__)
    code = next((name for name in names if name in CODES), "CheckFailed")
    return _finding(check, Seen(code, error.message, error.advice), secret)

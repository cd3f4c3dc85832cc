"""What an examination looks at on MySQL and MariaDB besides what every engine has."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping

from rotators.mysql.connection import quote_account
from rotators.mysql.mysql import MysqlSession
from rotators.mysql.pairs import PairSession
from rotators.mysql.session import MysqlFamilySession, lock_name
from shared.errors import PasswordRejected, PermissionDenied
from shared.examination.certificate import ends
from shared.examination.check import ACTING, Check, Seen, Subject
from shared.settings import StrategyName

GLOBAL_RIGHTS = re.compile(r"^GRANT (.+?) ON (?:\*\.\*|`mysql`\.\*) TO ")
"""A line of SHOW GRANTS; rights to the catalogue are as good for changing accounts."""

CHANGES_USERS = frozenset({"CREATE USER", "UPDATE", "ALL PRIVILEGES"})
MAKES_USERS = frozenset({"CREATE USER", "ALL PRIVILEGES"})
GRANTS_ROLES = frozenset({"ROLE_ADMIN", "SUPER", "ALL PRIVILEGES"})
"""One of each is enough.
https://dev.mysql.com/doc/refman/9.0/en/privileges-provided.html"""
KEEPS_PASSWORDS = frozenset({"APPLICATION_PASSWORD_ADMIN", "CREATE USER", "ALL PRIVILEGES"})

SAMPLES = 20
"""Passwords that are made to be judged, and used for nothing: what is drawn varies."""
ENOUGH = {"LOW": 50, "MEDIUM": 75, "STRONG": 100}
"""validate_password's policy to the strength that it asks for.
https://dev.mysql.com/doc/refman/9.0/en/encryption-functions.html#function_validate-password-strength"""


def _session(subject: Subject) -> MysqlFamilySession:
    session = subject.acting
    if not isinstance(session, MysqlFamilySession):
        raise TypeError(type(session).__name__)
    return session


def look_at_product(subject: Subject) -> None:
    """Which server is it?"""
    session = _session(subject)
    # MariaDB before 11 puts a version before its own, for clients that only knew MySQL's.
    version = session.connection.version.removeprefix("5.5.5-").partition("-")[0]
    subject.server = f"{session.engine.title} {version}"


def look_at_writer(subject: Subject) -> None:
    """Does the server take changes?"""
    _session(subject).require_writable()


def look_at_lock(subject: Subject) -> Iterator[Seen]:
    """Does another session hold the rotation's lock? It is looked at, not taken."""
    ((holder,),) = _session(subject).connection.run(
        "look at the rotation's lock",
        "SELECT IS_USED_LOCK(%s)",
        lock_name(subject.rotation.secret_id),
    )
    if holder is not None:
        yield Seen("LockHeld", f"The connection {holder} of the server holds the rotation's lock.")


def look_at_certificate(subject: Subject) -> Iterator[Seen]:
    """How long is the server's certificate valid?"""
    certificate = _session(subject).connection.certificate()
    if certificate:
        yield from ends(certificate, subject.login.host)


def look_at_rights(subject: Subject) -> None:
    """What does whoever changes the password lack for it?

    Raises:
        PermissionDenied: A right of his own.
        RightsDiffer: What he cannot pass on to the second user.
    """
    session, plan = _session(subject), subject.plan
    if plan is None:
        return
    if session is subject.session:
        if plan.strategy is StrategyName.DUAL_PASSWORD:
            _require(session, {"APPLICATION_PASSWORD_ADMIN": KEEPS_PASSWORDS})
        return
    if subject.pair is None or not plan.rights_are_managed:
        _require(session, {"CREATE USER": CHANGES_USERS})
        session.require_changeable(subject.login.username)
    elif isinstance(session, PairSession):
        roles = {"ROLE_ADMIN": GRANTS_ROLES} if isinstance(session, MysqlSession) else {}
        _require(session, {"CREATE USER": MAKES_USERS, **roles})
        session.require_preparable(subject.pair)


def _require(session: MysqlFamilySession, needed: Mapping[str, Iterable[str]]) -> None:
    has = _global_rights(session)
    missing = [right for right, any_of in needed.items() if not has & frozenset(any_of)]
    if missing:
        account, rights = session.connection.account, ", ".join(missing)
        raise PermissionDenied(
            f"{account} lacks {rights}.", hint=f"GRANT {rights} ON *.* TO {quote_account(account)}"
        )


def _global_rights(session: MysqlFamilySession) -> frozenset[str]:
    """Return the account's rights to the whole server, those of its active roles too."""
    purpose, run = "ask for its own rights", session.connection.run
    ((roles,),) = run(purpose, "SELECT CURRENT_ROLE()")
    lines = run(purpose, "SHOW GRANTS")
    if roles not in (None, "", "NONE"):
        using = f"SHOW GRANTS FOR CURRENT_USER() USING {roles}"
        lines += run(purpose, using if isinstance(session, MysqlSession) else SHOW_ROLE)
    found = (GLOBAL_RIGHTS.match(str(line)) for (line,) in lines)
    return frozenset(right for match in found if match for right in re.split(", ?", match[1]))


SHOW_ROLE = "SHOW GRANTS FOR CURRENT_ROLE"
SHOW_POLICY = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name LIKE 'validate_password%' "
    "OR Variable_name LIKE 'simple_password_check%'"
)


def look_at_password_policy(subject: Subject) -> None:
    """Does the server's password policy take what is generated?"""
    connection = _session(subject).connection
    settings = {
        str(name).replace(".", "_"): str(value)
        for name, value in connection.run("look at the password policy", SHOW_POLICY)
    }
    refuses = next((make for mark, make in POLICIES.items() if mark in settings), None)
    if refuses is None:
        return
    samples = [subject.wanted.password_policy.generate() for _ in range(SAMPLES)]
    refused = sum(refuses(_session(subject), settings, password) for password in samples)
    if refused:
        told = ", ".join(f"{name}={value}" for name, value in sorted(settings.items()) if value)
        msg = f"The server's policy refuses {refused} of {SAMPLES} generated passwords ({told})."
        raise PasswordRejected(msg)


def _refused_by_validate_password(
    session: MysqlFamilySession, settings: Mapping[str, str], password: str
) -> bool:
    ((strength,),) = session.connection.run(
        "ask how strong a password is", "SELECT VALIDATE_PASSWORD_STRENGTH(%s)", password
    )
    policy = settings["validate_password_policy"]
    return int(strength) < ENOUGH.get(policy, ENOUGH["STRONG"])


def _refused_by_simple_check(
    _session: MysqlFamilySession, settings: Mapping[str, str], password: str
) -> bool:
    """Count as the plugin does, which no function of the server asks.

    https://mariadb.com/kb/en/simple-password-check-plugin/
    """
    counted = {
        "minimal_length": len(password),
        "digits": sum(each.isdigit() for each in password),
        "letters_same_case": min(
            sum(each.isupper() for each in password), sum(each.islower() for each in password)
        ),
        "other_characters": sum(not each.isalnum() for each in password),
    }
    return any(
        count < int(settings.get(f"simple_password_check_{name}", 0))
        for name, count in counted.items()
    )


POLICIES: Mapping[str, Callable[[MysqlFamilySession, Mapping[str, str], str], bool]] = {
    "validate_password_policy": _refused_by_validate_password,
    "simple_password_check_digits": _refused_by_simple_check,
}
"""A variable that only a server with the policy has, to what says whether it refuses a password."""


CHECKS = (
    Check("product", look_at_product, (ACTING,)),
    Check("writer", look_at_writer, (ACTING,)),
    Check("lock", look_at_lock, (ACTING,)),
    Check("certificate", look_at_certificate, (ACTING,)),
    Check("rights", look_at_rights, (ACTING, "second-user")),
    Check("password-policy", look_at_password_policy, (ACTING, "tags")),
)

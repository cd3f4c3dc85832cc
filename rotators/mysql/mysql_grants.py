"""Reading the answers to SHOW GRANTS of MySQL."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from rotators.mysql.connection import Account, quote_name
from rotators.mysql.hosts import like

NAME = r"`(?:[^`]|``)*`"
ACCOUNT = rf"{NAME}@{NAME}"
_OBJECT = rf"(?:[A-Z]+ )*(?:\*|{NAME})\.(?:\*|{NAME})|{ACCOUNT}"
_PRIVILEGE = rf"[A-Z_]+(?: [A-Z_]+)*(?: \({NAME}(?:, ?{NAME})*\))?"
_PRIVILEGES = rf"{_PRIVILEGE}(?:, ?{_PRIVILEGE})*"

_RIGHTS = re.compile(
    rf"GRANT (?P<privileges>{_PRIVILEGES}) ON (?P<object>{_OBJECT}) TO {ACCOUNT}(?P<rest>.*)",
    re.DOTALL,
)
_REVOKED = re.compile(
    rf"REVOKE (?P<privileges>{_PRIVILEGES}) ON (?P<object>{_OBJECT}) FROM {ACCOUNT}", re.DOTALL
)
_ROLES = re.compile(
    rf"GRANT (?P<roles>{ACCOUNT}(?:,{ACCOUNT})*) TO {ACCOUNT}(?P<rest>.*)", re.DOTALL
)


@dataclass(frozen=True, slots=True, order=True)
class MysqlRight:
    """One thing that an account may do, or, under partial revokes, may not.

    Attributes:
        verb: GRANT or REVOKE.
        privilege: ``SELECT``, ``SELECT (`column`)``, ``GRANT OPTION``, or a role.
        target: ``*.*``, ```app`.*``, ``PROCEDURE `app`.`p```; empty for a role.
    """

    verb: str
    privilege: str
    target: str

    def statement(self, account: object, *, reverse: bool = False) -> str:
        """Return the statement that brings an account to this, or away from it."""
        grants = (self.verb == "GRANT") is not reverse
        on = f" ON {self.target}" if self.target else ""
        admin = " WITH ADMIN OPTION"
        role, with_admin = self.privilege.removesuffix(admin), self.privilege.endswith(admin)
        if self.privilege == "GRANT OPTION" and grants:
            return f"GRANT USAGE{on} TO {account} WITH GRANT OPTION"
        if not grants:
            return f"REVOKE {role}{on} FROM {account}"
        return f"GRANT {role}{on} TO {account}{admin if with_admin else ''}"

    def __str__(self) -> str:
        on = f" ON {self.target}" if self.target else ""
        return f"{'' if self.verb == 'GRANT' else 'revoked '}{self.privilege}{on}"


def read_grants(lines: Iterable[str]) -> set[MysqlRight]:
    """Return what SHOW GRANTS says of one account.

    Args:
        lines: The answer, with ``sql_quote_show_create``. A line of a form that is not known is
            kept whole, so that two accounts still compare.
    """
    rights: set[MysqlRight] = set()
    for line in lines:
        rights |= _read_line(line)
    return {right for right in rights if right.privilege != "USAGE"}


def _read_line(line: str) -> set[MysqlRight]:
    for pattern, verb in ((_RIGHTS, "GRANT"), (_REVOKED, "REVOKE")):
        match = pattern.fullmatch(line)
        if match:
            target = match["object"]
            found = {MysqlRight(verb, each, target) for each in _split(match["privileges"])}
            if verb == "GRANT" and "WITH GRANT OPTION" in match["rest"]:
                found.add(MysqlRight(verb, "GRANT OPTION", target))
            return found
    match = _ROLES.fullmatch(line)
    if match:
        rest = match["rest"].rstrip()
        return {
            MysqlRight("GRANT", role + rest, "") for role in re.findall(ACCOUNT, match["roles"])
        }
    return {MysqlRight("GRANT", re.sub(rf"(TO|FROM) {ACCOUNT}", "", line), "")}


def _split(privileges: str) -> list[str]:
    """Return single privileges: ``SELECT, INSERT (`a`, `b`)`` are three."""
    found = []
    for each in re.findall(_PRIVILEGE, privileges):
        name, _, columns = each.partition(" (")
        names = re.findall(NAME, columns)
        found += [f"{name} ({column})" for column in names] if names else [each]
    return found


def accounts_in(text: str) -> list[str]:
    """Return the accounts that a list such as CURRENT_ROLE() has, quoted as they are."""
    return re.findall(ACCOUNT, text)


def role_of(account: Account) -> MysqlRight:
    """Return the right of who has this account as a role, and may not pass it on."""
    return MysqlRight("GRANT", f"{quote_name(account.user)}@{quote_name(account.host)}", "")


def target(kind: str, database: str, name: str) -> str:
    """Return what a right to a routine is for, as SHOW GRANTS writes it."""
    return f"{kind} {quote_name(database)}.{quote_name(name)}"


def implied(right: MysqlRight, rights: Collection[MysqlRight]) -> bool:
    """Say whether a right to a routine is had through a wider one, or itself.

    Never where something was revoked in part: the wider right may not reach so far then.
    """
    if right in rights:
        return True
    match = re.fullmatch(rf"[A-Z]+ ({NAME})\.{NAME}", right.target)
    if match is None or any(each.verb == "REVOKE" for each in rights):
        return False
    database = _unquoted(match[1])
    return any(
        each.privilege in (right.privilege, "ALL PRIVILEGES") and _reaches(each.target, database)
        for each in rights
    )


def _reaches(wide: str, database: str) -> bool:
    """Say whether a right for ``wide`` holds in all of a database."""
    if wide == "*.*":
        return True
    match = re.fullmatch(rf"({NAME})\.\*", wide)
    if match is None:
        return False
    pattern = _unquoted(match[1])
    return pattern == database or like(pattern, database)


def _unquoted(name: str) -> str:
    return name[1:-1].replace("``", "`")

"""What the two MariaDB users of a pair may not do alike, and the statements that mend it."""

from collections.abc import Iterable

from rotators.mysql.connection import Account, quote_account
from rotators.mysql.mariadb_rights import (
    MariadbPairRights,
    MariadbRight,
    Possessions,
    covered,
    default_role_statement,
    grants,
    revocations,
)
from rotators.mysql.pairs import Twins


def lacking(twins: Twins, found: MariadbPairRights) -> list[str]:
    """List what the first of the two may do and the second may not."""
    second, has, twin_has = twins.second, found[twins.first.account], found[twins.second]
    lines = [
        f"{second} lacks rights of {twins.first.account}: {statement}"
        for statement in grants(has.rights - twin_has.rights, second)
    ]
    return lines + [
        f"{second} lacks the role {membership.role}: {membership.grant(second)}"
        for membership in has.memberships_beyond(twin_has)
    ]


def too_much(twins: Twins, found: MariadbPairRights) -> list[str]:
    """List what the second of the two may do and the first may not."""
    first, second = twins.first.account, twins.second
    has, twin_has = found[first], found[second]
    lines = [
        f"{second} has rights that {first} has not: {statement}"
        for statement in revocations(excess(has, twin_has), second)
    ]
    lines += [
        f"{second} has too much of a role: {statement}"
        for statement in memberships_taken(has, twin_has, second)
    ]
    if has.default_role != twin_has.default_role:
        lines.append(
            f"{second} has another default role than {first}: "
            + default_role_statement(has.default_role, second)
        )
    return lines + [
        f"{second} may act for {proxied}, {first} may not: "
        f"REVOKE PROXY ON {quote_account(proxied)} FROM {quote_account(second)}"
        for proxied in sorted(twin_has.proxies - has.proxies, key=str)
    ]


def excess(has: Possessions, twin_has: Possessions) -> set[MariadbRight]:
    """Return the rights that the second has and the first has not."""
    return {
        right
        for right in twin_has.rights - has.rights
        if not (right.scope.kind and covered(right, has.rights))
    }


def memberships_taken(has: Possessions, twin_has: Possessions, second: Account) -> Iterable[str]:
    """Return the statements that take from the second user what it has too much of roles."""
    roles = {membership.role for membership in has.memberships}
    return [
        membership.revocation(second, admin_only=membership.role in roles)
        for membership in sorted(twin_has.memberships - has.memberships)
        if membership.role not in roles or membership.with_admin
    ]

"""Names with wildcards: the hosts of accounts, and the databases of grants. No I/O.

Servers read ``%`` and ``_`` in both as LIKE does, with a backslash to mean them literally.
"""

import ipaddress
import re
from enum import Enum


def host_fits(pattern: str, host: str) -> bool:
    """Say whether an account for ``pattern`` is good for a client at ``host``.

    Args:
        pattern: An account's host: a name, an address, a network (``10.0.0.0/255.0.0.0``,
            ``10.0.0.0/8``), with ``%`` and ``_`` as in LIKE, or empty for any.
        host: The client's address or name.
    """
    if pattern in ("", "%"):
        return True
    if "/" in pattern:
        try:
            return ipaddress.ip_address(host) in ipaddress.ip_network(pattern)
        except ValueError:
            return False
    return like(pattern.lower(), host.lower())


def like(pattern: str, text: str) -> bool:
    """Match as LIKE does: ``%`` for any characters, ``_`` for one, a backslash to mean either."""
    parts = {"%": ".*", "_": "."}
    expression = "".join(
        re.escape(escaped) if escaped else parts.get(single, re.escape(single))
        for escaped, single in re.findall(r"\\(.)|(.)", pattern, re.DOTALL)
    )
    return re.fullmatch(expression, text, re.DOTALL) is not None


def specificity(pattern: str) -> tuple[bool, int]:
    """Return a key that sorts the hosts of accounts as the servers do, the narrowest first."""
    wildcards = [pattern.find(character) for character in "%_" if character in pattern]
    return bool(wildcards) or pattern == "", -min(wildcards, default=0)


def lends(wide: str, narrow: str) -> bool:
    """Say whether an account for the host ``wide`` lends its rights to one for ``narrow``."""
    if specificity(wide) <= specificity(narrow):
        return False
    return "/" in narrow or host_fits(wide, narrow) or patterns_overlap(wide, narrow)


def patterns_overlap(one: str, other: str) -> bool:
    r"""Say whether some database name fits both patterns.

    Args:
        one: A database as GRANT has it: ``%`` and ``_`` are wildcards unless after a backslash.
        other: Another.
    """
    ones, others = _tokens(one), _tokens(other)
    reachable = {(0, 0)}
    seen: set[tuple[int, int]] = set()
    while reachable:
        at = reachable.pop()
        if at in seen:
            continue
        seen.add(at)
        if at == (len(ones), len(others)):
            return True
        reachable |= _next(ones, others, *at)
    return False


def has_wildcard(pattern: str) -> bool:
    """Say whether a database pattern fits more than one name."""
    return any(isinstance(token, Wildcard) for token in _tokens(pattern))


class Wildcard(Enum):
    """What stands in a pattern for other characters."""

    ANY = "%"
    """For any number of them."""
    ONE = "_"
    """For one."""


Token = str | Wildcard | None
"""A character, a wildcard, or None behind the end of a pattern."""

_WILDCARDS = {each.value: each for each in Wildcard}


def _tokens(pattern: str) -> list[Token]:
    """Split a pattern into characters and wildcards."""
    return [
        escaped or _WILDCARDS.get(single, single)
        for escaped, single in re.findall(r"\\(.)|(.)", pattern, re.DOTALL)
    ]


def _next(ones: list[Token], others: list[Token], i: int, j: int) -> set[tuple[int, int]]:
    """Return where a matching of both patterns can go from a place in each."""
    one = ones[i] if i < len(ones) else None
    other = others[j] if j < len(others) else None
    found = set()
    # A wildcard for any number may stand for none, or for one more character of the other pattern.
    if one is Wildcard.ANY:
        found |= {(i + 1, j)} | ({(i, j + 1)} if other else set())
    if other is Wildcard.ANY:
        found |= {(i, j + 1)} | ({(i + 1, j)} if one else set())
    if not found and one and other and (one == other or Wildcard.ONE in (one, other)):
        found.add((i + 1, j + 1))
    return found

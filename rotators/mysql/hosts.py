"""Names with wildcards: the hosts of accounts, and the databases of grants. No I/O.

Servers read ``%`` and ``_`` in both as LIKE does, with a backslash to mean them literally.
"""

import ipaddress
import re


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
    return any(token is None or token == "" for token in _tokens(pattern))


def _tokens(pattern: str) -> list[str | None]:
    """Split a pattern into characters; ``_`` is an empty text, ``%`` is None."""
    tokens: list[str | None] = []
    for escaped, single in re.findall(r"\\(.)|(.)", pattern, re.DOTALL):
        tokens.append(escaped or {"%": None, "_": ""}.get(single, single))
    return tokens


def _next(ones: list[str | None], others: list[str | None], i: int, j: int) -> set[tuple[int, int]]:
    """Return where a matching of both patterns can go from a place in each."""
    one = ones[i] if i < len(ones) else "end"
    other = others[j] if j < len(others) else "end"
    found = set()
    if one is None:
        found.add((i + 1, j))
    if other is None:
        found.add((i, j + 1))
    if "end" in (one, other):
        return found
    if one is None and other is not None:
        found.add((i, j + 1))
    elif other is None and one is not None:
        found.add((i + 1, j))
    elif one is not None and other is not None and (one == other or "" in (one, other)):
        found.add((i + 1, j + 1))
    return found

"""What an entry of MariaDB's ``mysql.global_priv`` says, and how passwords get into it. No I/O."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rotators.mysql.connection import Account, Argument, quote_text
from rotators.mysql.password_hashes import NATIVE, native_hash
from rotators.mysql.session import AccountRecord

OTHERS_WITHOUT_PASSWORD = frozenset({"unix_socket", "gssapi", "named_pipe"})
"""Ways to log in that stand beside a password and are kept as they are."""

DEFAULT_LIFETIME = -1
REQUIREMENTS = {0: "NONE", 1: "SSL", 2: "X509"}


@dataclass(frozen=True, slots=True)
class Way:
    """One way for an account to log in: a plugin and what the plugin keeps for it."""

    plugin: str
    kept: str = ""


def ways(entry: Mapping[str, Any]) -> list[Way]:
    """Return the ways to log in, in the order in which the server tries them."""
    first = Way(entry.get("plugin", ""), entry.get("authentication_string", ""))
    # The list has an empty object in the place of the first.
    return [
        Way(each["plugin"], each.get("authentication_string", "")) if each else first
        for each in entry.get("auth_or", [{}])
    ]


def account_record(account: Account, entry: Mapping[str, Any]) -> AccountRecord:
    """Return the account of an entry.

    Args:
        account: Name and host.
        entry: The JSON object of ``mysql.global_priv``.
    """
    plugins = {way.plugin or NATIVE for way in ways(entry)}
    return AccountRecord(
        account=account,
        entry=entry,
        plugin=ways(entry)[0].plugin or NATIVE,
        has_password=NATIVE in plugins and plugins <= {NATIVE} | OTHERS_WITHOUT_PASSWORD,
        clauses=clauses(entry),
    )


def identified(
    ways: Sequence[Way], passwords: Sequence[str], *, clear: bool
) -> tuple[str, list[Argument]]:
    """Return the ``IDENTIFIED VIA`` clause that puts ``passwords`` in the place of all old ones.

    Args:
        ways: How the account logs in now.
        passwords: In the order in which the server is to try them.
        clear: Give the server the passwords instead of their hashes.

    Returns:
        The clause with ``%s`` for each argument, and the arguments.
    """
    kept = [way for way in ways if way.plugin in OTHERS_WITHOUT_PASSWORD]
    using = "%s USING PASSWORD(%s)" if clear else "%s USING %s"
    parts, arguments = [], list[Argument]()
    for password in passwords:
        parts.append(using)
        arguments += [NATIVE, password if clear else native_hash(password)]
    for way in kept:
        parts.append("%s USING %s" if way.kept else "%s")
        arguments += [way.plugin, way.kept] if way.kept else [way.plugin]
    return f"IDENTIFIED VIA {' OR '.join(parts)}", arguments


def count_passwords(statement: str) -> int:
    """Count the passwords in the answer to SHOW CREATE USER.

    Args:
        statement: ``CREATE USER `u`@`h` IDENTIFIED VIA mysql_native_password USING '*..' OR ...``.
    """
    # What is quoted could hold anything: a user name with the words, say.
    bare = re.sub(r"`(?:[^`]|``)*`|'(?:[^'\\]|''|\\.)*'", "''", statement)
    return len(re.findall(rf"\b{NATIVE}\b|\bIDENTIFIED BY PASSWORD\b", bare))


def clauses(entry: Mapping[str, Any]) -> dict[str, str]:
    """Return the clauses of CREATE USER that give an account the same conditions.

    Args:
        entry: The JSON object of ``mysql.global_priv``.
    """
    lock = "LOCK" if entry.get("account_locked") else "UNLOCK"
    return {
        "REQUIRE": _requirement(entry),
        "WITH": _limits(entry),
        "PASSWORD EXPIRE": _expiry(entry),
        "ACCOUNT": f"ACCOUNT {lock}",
    }


def _requirement(entry: Mapping[str, Any]) -> str:
    simple = REQUIREMENTS.get(entry.get("ssl_type", 0))
    if simple is not None:
        return f"REQUIRE {simple}"
    parts = {"CIPHER": "ssl_cipher", "ISSUER": "x509_issuer", "SUBJECT": "x509_subject"}
    return "REQUIRE " + " AND ".join(
        f"{word} {quote_text(entry[key])}" for word, key in parts.items() if entry.get(key)
    )


def _limits(entry: Mapping[str, Any]) -> str:
    limits = {
        "MAX_QUERIES_PER_HOUR": "max_questions",
        "MAX_UPDATES_PER_HOUR": "max_updates",
        "MAX_CONNECTIONS_PER_HOUR": "max_connections",
        "MAX_USER_CONNECTIONS": "max_user_connections",
        "MAX_STATEMENT_TIME": "max_statement_time",
    }
    return "WITH " + " ".join(f"{word} {entry.get(key, 0):g}" for word, key in limits.items())


def _expiry(entry: Mapping[str, Any]) -> str:
    days = entry.get("password_lifetime", DEFAULT_LIFETIME)
    if days == DEFAULT_LIFETIME:
        return "PASSWORD EXPIRE DEFAULT"
    return f"PASSWORD EXPIRE INTERVAL {days} DAY" if days else "PASSWORD EXPIRE NEVER"

"""What a row of MySQL's ``mysql.user`` says. No I/O."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from rotators.mysql.connection import Account, quote_text
from rotators.mysql.session import AccountRecord
from shared.session import Pair

MARK = "secret-rotation"
"""The key of our mark in an account's ATTRIBUTE, beside whatever else is kept there."""
CONDITIONS = "conditions"
"""The key, in the mark, of a digest of the conditions under which the account was left."""

PASSWORD_PLUGINS = frozenset({"caching_sha2_password", "sha256_password", "mysql_native_password"})
"""Under any other plugin ``IDENTIFIED BY`` succeeds and changes nothing."""

YES = "Y"
REQUIREMENTS = {"": "NONE", "ANY": "SSL", "X509": "X509"}
UNBOUNDED = -1


def version_numbers(version: str) -> tuple[int, ...]:
    """Read ``8.0.36``, ``8.0.mysql_aurora.3.05.2`` or ``9.7.4-2`` up to what is no number.

    Aurora's own number says nothing about MySQL's patch level; Aurora 3 has all that 8.0.23 has.
    """
    if "mysql_aurora.3" in version:
        return (8, 0, 23)
    numbers: list[int] = []
    for part in version.replace("-", ".").split(".")[:3]:
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)


def account_record(row: Mapping[str, Any]) -> AccountRecord:
    """Return the account of a row.

    Args:
        row: Of ``mysql.user``, by column name.
    """
    return AccountRecord(
        account=Account(row["User"], row["Host"]),
        entry=row,
        plugin=row["plugin"],
        has_password=row["plugin"] in PASSWORD_PLUGINS,
        clauses=clauses(row),
    )


def attributes(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what MySQL keeps beside the columns, a JSON object; none before 8.0.14."""
    text = row.get("User_attributes")
    return json.loads(text) if text else {}


def kept_passwords(row: Mapping[str, Any]) -> list[bytes]:
    """Return the hashes of the account's first password and, if there is one, of the second."""
    first = row["authentication_string"] or ""
    second = attributes(row).get("additional_password")
    return [text.encode() if isinstance(text, str) else text for text in (first, second) if text]


def marking(pair: Pair, conditions: str = "") -> str:
    """Return the ATTRIBUTE that marks the second user of a pair as made for its secret.

    Args:
        pair: The users.
        conditions: Under which it works from now on, to tell later whether somebody else has
            changed them; empty where that is not known. ATTRIBUTE is merged into what is there.
    """
    mark = {"secret": pair.owner, "first": pair.first}
    if conditions:
        mark[CONDITIONS] = _digest(conditions)
    return json.dumps({MARK: mark})


def has_conditions(row: Mapping[str, Any], conditions: str) -> bool:
    """Say whether these are the conditions that an account was marked with."""
    mark = attributes(row).get("metadata", {}).get(MARK)
    return isinstance(mark, dict) and mark.get(CONDITIONS) == _digest(conditions)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def mark_of(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the (secret's ARN, first user) that an account is marked with."""
    return mark_in(attributes(row).get("metadata", {}))


def mark_in(attribute: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the (secret's ARN, first user) of the mark in an account's ATTRIBUTE."""
    mark = attribute.get(MARK)
    if not isinstance(mark, dict):
        return None
    return str(mark.get("secret")), str(mark.get("first"))


def clauses(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the clauses of CREATE USER that give an account the same conditions.

    Args:
        row: Of ``mysql.user``, by column name.
    """
    return {keyword: clause(row) for keyword, clause in _CLAUSES.items()}


def _requirement(row: Mapping[str, Any]) -> str:
    simple = REQUIREMENTS.get(_text(row["ssl_type"]))
    if simple is not None:
        return f"REQUIRE {simple}"
    parts = {"CIPHER": "ssl_cipher", "ISSUER": "x509_issuer", "SUBJECT": "x509_subject"}
    return "REQUIRE " + " AND ".join(
        f"{word} {quote_text(_text(row[column]))}"
        for word, column in parts.items()
        if _text(row[column])
    )


def _limits(row: Mapping[str, Any]) -> str:
    return (
        f"WITH MAX_QUERIES_PER_HOUR {row['max_questions']} "
        f"MAX_UPDATES_PER_HOUR {row['max_updates']} "
        f"MAX_CONNECTIONS_PER_HOUR {row['max_connections']} "
        f"MAX_USER_CONNECTIONS {row['max_user_connections']}"
    )


def _expiry(row: Mapping[str, Any]) -> str:
    days = row["password_lifetime"]
    if days is None:
        return "PASSWORD EXPIRE DEFAULT"
    return f"PASSWORD EXPIRE INTERVAL {days} DAY" if days else "PASSWORD EXPIRE NEVER"


def _history(row: Mapping[str, Any]) -> str:
    return f"PASSWORD HISTORY {_or_default(row.get('Password_reuse_history'))}"


def _reuse(row: Mapping[str, Any]) -> str:
    days = row.get("Password_reuse_time")
    return f"PASSWORD REUSE INTERVAL {'DEFAULT' if days is None else f'{days} DAY'}"


def _current(row: Mapping[str, Any]) -> str:
    words = {"Y": "", "N": " OPTIONAL", None: " DEFAULT"}
    return f"PASSWORD REQUIRE CURRENT{words[row.get('Password_require_current')]}"


def _attempts(row: Mapping[str, Any]) -> str:
    locking = attributes(row).get("Password_locking", {})
    days = locking.get("password_lock_time_days", 0)
    return (
        f"FAILED_LOGIN_ATTEMPTS {locking.get('failed_login_attempts', 0)} "
        f"PASSWORD_LOCK_TIME {'UNBOUNDED' if days == UNBOUNDED else days}"
    )


def _lock(row: Mapping[str, Any]) -> str:
    return f"ACCOUNT {'LOCK' if row['account_locked'] == YES else 'UNLOCK'}"


def _or_default(value: int | None) -> str:
    return "DEFAULT" if value is None else str(value)


def _text(value: str | bytes | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


_CLAUSES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "REQUIRE": _requirement,
    "WITH": _limits,
    "PASSWORD EXPIRE": _expiry,
    "PASSWORD HISTORY": _history,
    "PASSWORD REUSE INTERVAL": _reuse,
    "PASSWORD REQUIRE CURRENT": _current,
    "FAILED_LOGIN_ATTEMPTS": _attempts,
    "ACCOUNT": _lock,
}

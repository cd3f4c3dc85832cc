"""What an examination looks at on PostgreSQL besides what every engine has."""

import socket
import struct
from collections.abc import Iterator
from datetime import UTC, datetime

from rotators.postgres.connection import quoted
from rotators.postgres.roles import (
    ATTRIBUTES,
    MISSING_RIGHTS,
    MORE_POWERFUL,
    SET_GRANTED_SINCE,
    Difference,
    compare,
    describe,
    foreseen_pair,
    grant_of,
    read_pair,
    shortened,
    useless,
)
from rotators.postgres.session import PostgresSession, lock_key
from shared.errors import PermissionDenied, Pooler, RightsDiffer, ServerReadOnly, Unreachable
from shared.examination.certificate import ENDS_SOON_DAYS, ends
from shared.examination.check import ACTING, Check, Seen, Subject
from shared.network import resolve
from shared.session import Ownership, Pair

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
"""https://www.postgresql.org/docs/current/protocol-message-formats.html"""
SECONDS = 10.0
"""Longest wait for an answer, where a login has just been answered."""

ATTRIBUTES_GIVEN_BY_WHO_HAS_THEM_SINCE = 160_000
"""https://www.postgresql.org/docs/16/sql-alterrole.html; before, CREATEDB could be given by whoever
makes roles, the others by superusers alone."""

LOCK_HOLDERS = """
SELECT coalesce(usename::text, '?') FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
 WHERE locktype = 'advisory' AND granted AND objsubid = 1
   AND (classid::bigint << 32) | objid::bigint = %s
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
OWN_ATTRIBUTES = """
SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
  FROM pg_roles WHERE rolname = current_user
"""
"""The columns of ATTRIBUTES, in its order."""

SETTABLE_BY_SUPERUSERS = """
SELECT context LIKE 'superuser%%' FROM pg_settings WHERE name = %s
"""
MAY_SET = "SELECT has_parameter_privilege(%s, 'SET')"

ENDING = """
SELECT rolvaliduntil FROM pg_roles WHERE rolname = %s
   AND rolvaliduntil BETWEEN now() AND now() + make_interval(days => %s)
"""


def _session(subject: Subject) -> PostgresSession:
    session = subject.acting
    if not isinstance(session, PostgresSession):
        raise TypeError(type(session).__name__)
    return session


def look_at_product(subject: Subject) -> None:
    """Which server is it?"""
    session = _session(subject)
    subject.server = f"{session.engine.title} {session.info.parameter_status('server_version')}"


def look_at_pooler(subject: Subject) -> None:
    """Does the database itself answer? A pooler gives its clients process ids of its own."""
    session = _session(subject)
    ((process,),) = session.ask("SELECT pg_backend_pid()")
    if process != session.info.backend_pid:
        raise Pooler(f"A pooler answers at {subject.login.host} in place of the database.")


def look_at_writer(subject: Subject) -> None:
    """Does the server take changes?"""
    ((standby,),) = _session(subject).ask("SELECT pg_is_in_recovery()")
    if standby:
        raise ServerReadOnly(f"The server at {subject.login.host} is a standby: it only reads.")


def look_at_lock(subject: Subject) -> Iterator[Seen]:
    """Does another session hold the rotation's lock? It is looked at, not taken."""
    rows = _session(subject).ask(LOCK_HOLDERS, lock_key(subject.rotation.secret_id))
    if rows:
        names = ", ".join(str(name) for (name,) in rows)
        yield Seen("LockHeld", f"A session of {names} holds the rotation's lock.")


def look_at_certificate(subject: Subject) -> Iterator[Seen]:
    """How long is the server's certificate valid? Asked for as libpq does, without a login."""
    login, rotator = subject.login, subject.rotator
    if not login.tls:
        return
    seconds = subject.rotation.deadline.seconds(SECONDS, "look at the certificate")
    port = login.port or rotator.default_port()
    address = resolve(login.host, port, seconds)[0][4]
    try:
        with socket.create_connection(address[:2], seconds) as plain:
            plain.sendall(SSL_REQUEST)
            plain.recv(1)
            context = rotator.trust.context_for(login.host)
            with context.wrap_socket(plain, server_hostname=login.host) as over_tls:
                certificate = over_tls.getpeercert() or {}
    except OSError as error:
        msg = f"The certificate of {login.host} could not be asked for: {type(error).__name__}."
        raise Unreachable(msg) from None
    yield from ends(certificate, login.host)


def look_at_expiry(subject: Subject) -> Iterator[Seen]:
    """Does the role's time end soon?"""
    name = subject.login.username if subject.pair is None else subject.pair.first
    for (until,) in _session(subject).ask(ENDING, name, ENDS_SOON_DAYS):
        days = (until - datetime.now(UTC)).days
        statement = f"Set a later date: ALTER ROLE {quoted(name)} VALID UNTIL 'infinity'"
        yield Seen("AccountEndsSoon", f"Role {name} ends in {days} days.", statement)


def look_at_rights(subject: Subject) -> Iterator[Seen]:
    """What does the administrator lack for what the next rotation does?

    Raises:
        PermissionDenied: A right of his own; with the statements that a more powerful role runs.
        RightsDiffer: What he cannot pass on to the second user.
    """
    keeper, pair, plan = subject.keeper, subject.pair, subject.plan
    if plan is None or not isinstance(keeper, PostgresSession):
        return
    if pair is None:
        _require_may_change(keeper, subject.administrator.username, subject.login.username)
        return
    exists = keeper.ownership(pair) is not Ownership.MISSING
    _require_may_change(keeper, subject.administrator.username, *(pair if exists else [pair.first]))
    if plan.rights_are_managed:
        yield from _look_at_pair(keeper, subject.administrator.username, pair, exists=exists)


def _require_may_change(keeper: PostgresSession, administrator: str, *usernames: str) -> None:
    names = list(usernames)
    missing = [str(row[0]) for row in keeper.ask(MISSING_RIGHTS, names, names)]
    if missing:
        msg = f"{administrator} may not set the password of {' and '.join(names)}."
        raise PermissionDenied(msg, hint=f"{MORE_POWERFUL}{'; '.join(missing)}")


def _look_at_pair(
    keeper: PostgresSession, administrator: str, pair: Pair, *, exists: bool
) -> Iterator[Seen]:
    version = keeper.info.server_version
    found = (read_pair if exists else foreseen_pair)(pair, keeper.ask_all, version)
    refused = [each for each in compare(found) if not _may_mend(keeper, each)]
    if refused:
        told = "; ".join(shortened(map(describe, refused)))
        hint = grant_of(refused[0], administrator, version)
        raise RightsDiffer(f"{administrator} may not pass this on: {told}.", hint=hint)
    for each in useless(found):
        yield Seen("UselessRights", describe(each))


def _may_mend(keeper: PostgresSession, difference: Difference) -> bool:
    """Say whether the server would let the session's user run what mends a difference."""
    has = dict(zip(ATTRIBUTES, keeper.ask(OWN_ATTRIBUTES)[0], strict=True))
    if not difference.mended_by_us or has["rolsuper"]:
        return difference.mended_by_us
    version = keeper.info.server_version
    if difference.attribute is not None:
        if version >= ATTRIBUTES_GIVEN_BY_WHO_HAS_THEM_SINCE:
            return bool(has[difference.attribute])
        return difference.attribute in ("rolcreatedb", "rolcreaterole")
    setting = difference.setting
    if setting is None or keeper.ask(SETTABLE_BY_SUPERUSERS, setting) != [(True,)]:
        return True
    return version >= SET_GRANTED_SINCE and keeper.ask(MAY_SET, setting) == [(True,)]


CHECKS = (
    Check("product", look_at_product, (ACTING,)),
    Check("pooler", look_at_pooler, (ACTING,)),
    Check("writer", look_at_writer, (ACTING,)),
    Check("lock", look_at_lock, (ACTING,)),
    Check("certificate", look_at_certificate, ("server",)),
    Check("expiry", look_at_expiry, (ACTING, "account")),
    Check("rights", look_at_rights, ("administrators-login", "second-user")),
)

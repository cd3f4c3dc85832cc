"""The checks that every engine has, in the order in which a rotation comes to need things."""

from collections.abc import Iterator

from shared.databases import ADMINISTRATOR_HINT
from shared.errors import (
    AccountMissing,
    AnotherFunction,
    DatabaseError,
    ForeignPending,
    IdleUserInUse,
    LoginRefused,
    NotOurUser,
    PasswordExpired,
    ReaderBehind,
    ReplicaBehind,
    ServerBusy,
    TlsFailed,
    TooManyLabels,
    Unreachable,
)
from shared.examination.check import ACTING, Check, Seen, Subject
from shared.examination.finding import Level
from shared.model import Stage, require_replicas_in_sync, require_rotatable
from shared.network import resolve
from shared.options import Tag
from shared.plan import Plan
from shared.session import Ownership, SecondUser, Session
from shared.settings import InUse, SecretSettings, StrategyName
from shared.strategies.alternating_users import second_user
from shared.strategies.dual_password import own_two_passwords, two_passwords

MOST_LABELS = 20
"""https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html"""
LABELS_OF_A_ROTATION = 3
"""AWSPENDING, the plan, and the fence of a secret's first rotation."""

RESOLVE_SECONDS = 10.0

LOGINS, CALLS = 6, 12
"""Of a step, at most, where nothing has to be recovered: setSecret of two users that take turns."""
SHARE = 0.25
"""Of the function's time, which these may take: slow today may be slower at night."""


def look_at_secret(subject: Subject) -> None:
    """Read labels and tags."""
    with subject.timed("call"):
        subject.reading = subject.rotation.read()


def look_at_kind(subject: Subject) -> None:
    """Is it a secret that this function may rotate?"""
    description, own = subject.description, subject.function_arn
    require_rotatable(description)
    attached = description.function_arn
    if own and attached and not f"{own}:".startswith(f"{attached}:"):
        raise AnotherFunction(f"Secret {description.arn} is attached to {attached}.")


def look_at_tags(subject: Subject) -> None:
    """Are the tags that begin with ``rotation:`` understood?"""
    subject.wanted = SecretSettings.of(subject.description, subject.rotation.settings)


def look_at_attempts(subject: Subject) -> Iterator[Seen]:
    """Is an attempt stuck, or would the labels of another one not fit?"""
    reading, stages = subject.reading, subject.description.stages
    pending = subject.description.holder(Stage.PENDING)
    if pending not in (None, reading.current, subject.rotation.token):
        version = subject.rotation.version(pending or "")
        if version is not None and Plan.read(stages[pending or ""]) is None:
            msg = f"AWSPENDING is on version {pending}, whose value this function did not store."
            raise ForeignPending(msg, hint=_afresh(subject, pending))
        text = f"AWSPENDING is on version {pending}, and AWSCURRENT on another."
        yield Seen("AttemptUnfinished", text, _afresh(subject, pending))
    labels = sum(map(len, stages.values()))
    if labels > MOST_LABELS - LABELS_OF_A_ROTATION:
        msg = f"Secret {subject.description.arn} has {labels} staging labels of {MOST_LABELS}."
        raise TooManyLabels(msg)


def _afresh(subject: Subject, pending: str | None) -> str:
    """Return the command that rotates anew; RotateSecret alone is refused while an attempt hangs.

    https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_RotateSecret.html
    """
    secret = subject.rotation.secret_id
    if pending in (None, subject.reading.current, subject.rotation.token):
        return f"`aws secretsmanager rotate-secret --secret-id {secret}`"
    return (
        f"`aws secretsmanager update-secret-version-stage --secret-id {secret} --version-stage "
        f"AWSPENDING --remove-from-version-id {pending} && aws secretsmanager rotate-secret "
        f"--secret-id {secret}`"
    )


def look_at_value(subject: Subject) -> None:
    """Can AWSCURRENT be read, decrypted and understood?"""
    with subject.timed("call"):
        version = subject.rotation.current_version()
    subject.login = subject.rotation.login_of(version, "AWSCURRENT")
    subject.engine = subject.login.engine or None


def look_at_engine(subject: Subject) -> None:
    """Is the secret for this function's engine?"""
    engines = subject.rotator.engines_of(subject.login, subject.rotation)
    if len(engines) == 1:
        subject.engine = engines[0].name


def look_at_address(subject: Subject) -> None:
    """Does ``host`` mean the database itself?"""
    subject.login.require_own_address(f"AWSCURRENT of secret {subject.rotation.secret_id}")


def look_at_strategy(subject: Subject) -> None:
    """Can the next rotation be planned: strategy, users, readers?"""
    login, rotation = subject.login, subject.rotation
    subject.wanted.require_related_readers(login.host)
    engines = subject.rotator.engines_of(login, rotation)
    current = rotation.current_version()
    plan = Plan.choose(engines, current, login, subject.description, subject.wanted)
    if plan.users is not None:
        subject.rotator.require_name(plan.users[1])
    subject.plan = plan


def look_at_replicas(subject: Subject) -> Iterator[Seen]:
    """Does every Region hand out what this one does?"""
    try:
        require_replicas_in_sync(subject.description)
    except ReplicaBehind as behind:
        if subject.pair is not None:
            raise
        yield Seen("ReplicaBehind", behind.message, behind.advice, Level.WARNING)


def look_at_name(subject: Subject) -> None:
    """Does DNS know the host?"""
    login, deadline = subject.login, subject.rotation.deadline
    port = login.port or subject.rotator.default_port()
    resolve(login.host, port, deadline.seconds(RESOLVE_SECONDS, "resolve the host's name"))


def look_at_server(subject: Subject) -> Iterator[Seen]:
    """Is there a route, a server of this engine, and TLS that can be verified?

    The login shows it. Whether it was let in is the next check's.
    """
    try:
        with subject.timed("login"):
            subject.session = subject.open(subject.login)
        _learn(subject, subject.session)
    except DatabaseError as error:
        busy = isinstance(error, ServerBusy) and not error.proves_password
        if busy or isinstance(error, Unreachable | TlsFailed):
            raise
        subject.refused = error
    if not subject.login.tls:
        yield Seen("Plaintext", f'The secret says "ssl": false, and {subject.login.host} takes it.')


def _learn(subject: Subject, session: Session) -> None:
    """Take down what the server has turned out to be."""
    subject.engine, subject.server = session.engine.name, session.engine.title


MENDED = (LoginRefused, PasswordExpired, ServerBusy)
"""What keeps a user out, and an administrator, or the password of an unfinished attempt, mends."""


def look_at_login(subject: Subject) -> Iterator[Seen]:
    """Does AWSCURRENT log in?"""
    refused, login = subject.refused, subject.login
    if refused is None:
        return
    if subject.problem is not None:
        # It is why, and is told already.
        code = type(subject.problem).__name__
        yield Seen(code, "", level=Level.NOT_LOOKED_AT, blocks=True)
    elif isinstance(refused, MENDED) and (login.administrator_arn or subject.reading.recovers):
        pending = subject.description.holder(Stage.PENDING)
        yield Seen("CurrentRefused", refused.message, _afresh(subject, pending), blocks=True)
    else:
        raise refused


def look_at_administrator(subject: Subject) -> None:
    """Can the administrator's secret be read, and does he belong to this database?"""
    if subject.login.administrator_arn is not None:
        users = (subject.login.username,) if subject.pair is None else tuple(subject.pair)
        subject.administrator = subject.databases.administrator(
            subject.rotation, subject.login, users
        )


def look_at_administrators_login(subject: Subject) -> None:
    """Does the administrator log in?"""
    if subject.login.administrator_arn is not None:
        try:
            subject.keeper = subject.open(subject.administrator)
            _learn(subject, subject.keeper)
        except LoginRefused as refused:
            msg = f"The administrator {subject.administrator.username} was refused"
            raise LoginRefused(f"{msg}: {refused.message}", hint=ADMINISTRATOR_HINT) from None


def look_at_capability(subject: Subject) -> None:
    """Can this very server do what the strategy needs?"""
    strategy = subject.plan and subject.plan.strategy
    if strategy is StrategyName.ALTERNATING_USERS:
        second_user(subject.rotation, subject.acting)
    elif strategy is StrategyName.DUAL_PASSWORD:
        require = two_passwords if subject.acts_by_administrator else own_two_passwords
        require(subject.rotation, subject.acting)


def look_at_account(subject: Subject) -> None:
    """Is the account that is rotated, or copied, locked or expired? Only an administrator sees."""
    if subject.keeper is not None:
        name = subject.login.username if subject.pair is None else subject.pair.first
        subject.problem = subject.keeper.account_problem(name)
    if subject.problem is not None:
        raise subject.problem


def look_at_second_user(subject: Subject) -> None:
    """Whose is the second user, if there is one?"""
    pair, keeper, plan = subject.pair, subject.keeper, subject.plan
    if pair is None or plan is None or not isinstance(keeper, SecondUser):
        return
    ownership = keeper.ownership(pair)
    if ownership is Ownership.FOREIGN:
        if subject.wanted.adopt != pair.second:
            msg = f"User {pair.second} exists, and secret {pair.owner} did not make it."
            hint = f"{NotOurUser.hint} To adopt it, a DBA runs: {keeper.adoption(pair)}"
            raise NotOurUser(msg, hint=hint)
        subject.databases.require_adoption_allowed(subject.rotation, subject.login, pair)
    absent = ownership is Ownership.MISSING and subject.idle == pair.second
    if absent and not plan.rights_are_managed:
        msg = f"User {pair.second} does not exist, and the tag {Tag.RIGHTS} says that a DBA makes"
        raise AccountMissing(f"{msg} it.")


def look_at_idle_user(subject: Subject) -> Iterator[Seen]:
    """Does anybody still use the user whose password changes next?"""
    if subject.pair is None or not isinstance(subject.keeper, SecondUser):
        return
    sessions = subject.keeper.sessions_of(subject.idle)
    if sessions:
        text = f"User {subject.idle}, whose turn it is, has {sessions} open sessions."
        if subject.wanted.in_use is InUse.REFUSE:
            raise IdleUserInUse(text)
        yield Seen("IdleUserHasSessions", text)


def look_at_readers(subject: Subject) -> None:
    """Do the readers that the tag lists let AWSCURRENT in? After the first refusal none is asked.

    Raises:
        DatabaseError: One does not; the message names the tag.
    """
    login = subject.login
    for host in subject.wanted.reader_hosts:
        where = f"Reader {host} of the tag {Tag.READER_HOSTS}"
        try:
            subject.databases.require_login(subject.rotation, login.at(host, login.port))
        except LoginRefused as refused:
            raise ReaderBehind(f"{where}: {refused.message}") from None
        except DatabaseError as error:
            raise type(error)(f"{where}: {error.message}", hint=error.advice) from None


def look_at_time(subject: Subject) -> Iterator[Seen]:
    """Is the function's time long enough for what a rotation does?"""
    allowed = subject.function_seconds * SHARE
    for what, times, code in (
        ("login", LOGINS, "DatabaseSlow"),
        ("call", CALLS, "SecretsManagerSlow"),
    ):
        took = subject.seconds.get(what, 0.0)
        if took * times > allowed:
            text = (
                f"One {what} took {took:.1f} s; a step makes up to {times}, and the function has "
                f"{subject.function_seconds:.0f} s."
            )
            yield Seen(code, text)


CHECKS: tuple[Check, ...] = (
    Check("secret", look_at_secret),
    Check("kind", look_at_kind, ("secret",)),
    Check("tags", look_at_tags, ("secret",)),
    Check("attempts", look_at_attempts, ("secret",)),
    Check("value", look_at_value, ("secret",)),
    Check("engine", look_at_engine, ("value",)),
    Check("address", look_at_address, ("value",)),
    Check("strategy", look_at_strategy, ("tags", "engine")),
    Check("replicas", look_at_replicas, ("strategy",)),
    Check("name", look_at_name, ("value", "address")),
    Check("server", look_at_server, ("name", "engine", "address")),
    Check("administrator", look_at_administrator, ("strategy",)),
    Check("administrators-login", look_at_administrators_login, ("server", "administrator")),
    Check("account", look_at_account, ("administrators-login",)),
    Check("login", look_at_login, ("server",)),
    Check("capability", look_at_capability, (ACTING,)),
    Check("second-user", look_at_second_user, ("administrators-login", "capability", "account")),
    Check("idle-user", look_at_idle_user, ("second-user",)),
    Check("readers", look_at_readers, ("tags", "login")),
    Check("time", look_at_time, ("server",)),
)

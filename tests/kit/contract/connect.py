"""Logging in: a table of what can be met, with the error that it must be and its time."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from local.proxy import Proxy
from local.servers import Authority
from shared.deadline import Deadline
from shared.errors import (
    AccountExpired,
    AccountLocked,
    AccountMissing,
    CertificateUntrusted,
    DatabaseError,
    HostNameMismatch,
    LoginRefused,
    NameNotResolved,
    NameTooLong,
    OutOfTime,
    PasswordExpired,
    PermissionDenied,
    RotationError,
    ServerBusy,
    TlsFailed,
    TlsNotOffered,
    TlsRequired,
    Unreachable,
)
from shared.model import Login
from shared.rotator import Rotator
from shared.tls import Trust
from tests.kit.contract.relay import Relay
from tests.kit.contract.world import PASSWORD, SECOND, Errors, State, World, needs, promised

WRONG = "incorrect zebra 9"

SHORT_SECONDS = 2.5
"""Of an invocation that meets silence."""


@dataclass(frozen=True)
class Attempt:
    """A login, and who may vouch for the server; None for the server's own authority."""

    login: Login
    trust: Trust | None = None


Arranging = Callable[[World, Path], AbstractContextManager[Attempt]]


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        name: What is met.
        arrange: Brings it about, for as long as the login is tried.
        errors: The classes, exactly, one of which must be raised; none: it is let in.
        seconds: Longest time that it may take.
        state: What the engine must have for it.
        has: The time that the invocation has.
    """

    name: str
    arrange: Arranging
    errors: Errors = ()
    seconds: float = 5.0
    state: State | None = None
    has: float = 20.0

    def __str__(self) -> str:
        return self.name


@contextmanager
def offered(world: World, folder: Path, *, password: str = PASSWORD) -> Iterator[Attempt]:
    """Offer a password for a user whose password is PASSWORD."""
    yield Attempt(world.login(world.new_user()).replacing(password=password))


@contextmanager
def nobody(world: World, folder: Path) -> Iterator[Attempt]:
    """Name a user that does not exist."""
    yield Attempt(world.login(world.new_name()))


@contextmanager
def unusable(
    world: World, folder: Path, *, make: Callable[[World, str], object], password: str = PASSWORD
) -> Iterator[Attempt]:
    """Bring a user into a state."""
    name = world.new_user()
    made = make(world, name)
    login = made if isinstance(made, Login) else world.login(name)
    yield Attempt(login.replacing(password=password))


@contextmanager
def full(world: World, folder: Path) -> Iterator[Attempt]:
    """Let the server have no connection to spare."""
    login = world.login(world.new_user())
    with world.filled():
        yield Attempt(login)


@contextmanager
def at(
    world: World, folder: Path, *, listening: Callable[[], AbstractContextManager[int]]
) -> Iterator[Attempt]:
    """Lead to something else than a server."""
    with listening() as port:
        yield Attempt(world.login("somebody", host="localhost", port=port))


@contextmanager
def at_host(world: World, folder: Path, *, host: str) -> Iterator[Attempt]:
    """Name another host."""
    yield Attempt(world.login("somebody", host=host))


@contextmanager
def under_another_name(world: World, folder: Path) -> Iterator[Attempt]:
    """Reach the server under an address that its certificate does not name."""
    with Relay(world.server, address="127.0.0.2") as relay:
        login = world.login(world.new_user(), host=relay.host, port=relay.port)
        yield Attempt(login)


@contextmanager
def by_another_authority(world: World, folder: Path) -> Iterator[Attempt]:
    """Trust another authority, of the same name."""
    path = folder / "authority.pem"
    path.write_bytes(Authority().certificate)
    yield Attempt(world.login(world.new_user()), Trust(path))


@contextmanager
def by_built_in_authorities(world: World, folder: Path) -> Iterator[Attempt]:
    """Trust the authorities of RDS alone."""
    yield Attempt(world.login(world.new_user()), Trust())


@contextmanager
def without_tls(world: World, folder: Path, *, ssl: bool) -> Iterator[Attempt]:
    """Lead to a server that speaks no TLS; ``ssl`` is the secret's."""
    server = world.plaintext
    name = world.new_user(server)
    yield Attempt(world.login(name, server=server, ssl=ssl))


@contextmanager
def plaintext_to_tls(world: World, folder: Path) -> Iterator[Attempt]:
    """Speak plaintext with a server that wants TLS."""
    yield Attempt(world.login(world.new_user(), ssl=False))


@contextmanager
def closed() -> Iterator[int]:
    """Give a port where nothing listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def silent() -> Iterator[int]:
    """Give a port that accepts and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def swallowing() -> Iterator[int]:
    """Give a port whose queue is full: the kernel drops the first packet of each client."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        clients = [socket.socket() for _ in range(3)]
        for client in clients:
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for client in clients:
            client.close()


@contextmanager
def answering(words: bytes) -> Iterator[int]:
    """Give a port that says something of no protocol, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client, suppress(OSError):
                    client.settimeout(1)
                    client.sendall(words)
                    client.recv(4096)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _locked(world: World, name: str) -> None:
    world.lock_user(name)


def _expired(world: World, name: str) -> None:
    world.expire_user(name)


def _shut_out(world: World, name: str) -> Login:
    return world.shut_out(name)


NO_SERVER: Errors = (Unreachable, ServerBusy, TlsFailed, TlsNotOffered)
"""What answers otherwise than the engine does, is this, and never a refusal."""

ROWS = (
    Row("right password", offered),
    Row("wrong password", partial(offered, password=WRONG), (LoginRefused,)),
    Row("nearly right password", partial(offered, password=PASSWORD.upper()), (LoginRefused,)),
    Row("longer password", partial(offered, password=PASSWORD + "x"), (LoginRefused,)),
    Row("missing user", nobody, (LoginRefused, AccountMissing)),
    Row(
        "locked user",
        partial(unusable, make=_locked),
        (AccountLocked,),
        state=State.LOCKED_USER,
    ),
    Row(
        "locked user, wrong password",
        partial(unusable, make=_locked, password=WRONG),
        (LoginRefused, AccountLocked),
        state=State.LOCKED_USER,
    ),
    Row(
        "expired user",
        partial(unusable, make=_expired),
        (AccountExpired, PasswordExpired),
        state=State.EXPIRED_USER,
    ),
    Row(
        "no right to come in",
        partial(unusable, make=_shut_out),
        (PermissionDenied,),
        state=State.SHUT_OUT_USER,
    ),
    Row("full server", full, (ServerBusy,), state=State.FULL_SERVER),
    Row("closed port", partial(at, listening=closed), (Unreachable,)),
    Row(
        "silent host",
        partial(at, listening=silent),
        (Unreachable,),
        seconds=SHORT_SECONDS,
        has=SHORT_SECONDS,
    ),
    Row(
        "host that swallows packets",
        partial(at, listening=swallowing),
        (Unreachable,),
        seconds=SHORT_SECONDS,
        has=SHORT_SECONDS,
    ),
    Row("unknown host name", partial(at_host, host="no-such-host.invalid"), (NameNotResolved,)),
    Row("other authority", by_another_authority, (CertificateUntrusted,)),
    Row("built-in authorities", by_built_in_authorities, (CertificateUntrusted,)),
    Row("other host name", under_another_name, (HostNameMismatch,)),
    Row(
        "plaintext server",
        partial(without_tls, ssl=True),
        (TlsNotOffered,),
    ),
    Row(
        "plaintext that the secret allows",
        partial(without_tls, ssl=False),
        state=State.PLAINTEXT_ALLOWED,
    ),
    Row(
        "plaintext where the server wants TLS",
        plaintext_to_tls,
        (TlsRequired,),
        state=State.TLS_DEMANDED,
    ),
    Row(
        "a web server",
        partial(at, listening=partial(answering, b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        NO_SERVER,
    ),
    Row("a server of zeros", partial(at, listening=partial(answering, b"\0" * 64)), NO_SERVER),
    Row("a server that hangs up", partial(at, listening=partial(answering, b"")), NO_SERVER),
)

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
AWKWARD_PASSWORDS = {
    "every printable character": PRINTABLE,
    "non-ASCII": "pässwörd € ⚿ 密码 пароль 🔑",
    "composed and not": "\u00e9 e\u0301 ﬁ Å ½",
    "placeholders": "%s %(x)s {} {0} $1 :name ? # -- /*",
    "quotes": "'; DROP USER x; -- \" ` \\ \\' ''",
    "one backslash": "\\",
    "one quote": "'",
    "spaces around": " leading and trailing ",
    "control characters": "tab\tnewline\nreturn\r\x01\x7f",
}
AWKWARD_NAMES = {
    "quotes": 'o\'neil "the" `x`',
    "placeholders": "%s{0}$1",
    "non-ASCII": "üñï用户",
    "backslash": "back\\slash",
    "at sign and dots": "first.last@example.com",
    "capitals": "UPPER-lower",
}


def failure_of(world: World, attempt: Attempt, has: float = 20.0) -> RotationError | None:
    """Log in and return the error; None where it was let in."""
    try:
        world.connect(attempt.login, trust=attempt.trust, deadline=Deadline(has)).close()
    except RotationError as error:
        return error
    except Exception as error:  # noqa: BLE001 - a driver's own, perhaps
        promised(
            holds=False,
            wrong=f"connect() raises {type(error).__name__}, which is none of shared.errors.",
            promise=Rotator.connect,
        )
    return None


def require_no_password(error: BaseException, *passwords: str) -> None:
    """Fail if a password stands in an error, or hangs on it."""
    texts = (str(error), repr(error), str(getattr(error, "advice", "")))
    shown = any(password in text for text in texts for password in passwords if password)
    promised(not shown, f"The message of {type(error).__name__} holds a password.", DatabaseError)
    chained = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    promised(
        chained is None,
        f"{type(error).__name__} is chained to {type(chained).__name__}, whose text and frames may "
        "hold a password: raise it `from None`.",
        DatabaseError,
    )


def failure_in_naming(rotator: type[Rotator], name: str) -> NameTooLong | None:
    """Return the error for a name that is too long; None where it is not."""
    try:
        rotator.require_name(name)
    except NameTooLong as error:
        return error
    return None


class ConnectContract:
    """What is asked of ``connect``."""

    world: ClassVar[type[World]]

    @pytest.mark.parametrize(
        "row",
        [pytest.param(row, marks=needs(row.state) if row.state else ()) for row in ROWS],
        ids=str,
    )
    def test_login(self, on: World, tmp_path: Path, row: Row) -> None:
        """What a login meets has an error of its own, in its time, with no password in it."""
        errors = row.errors
        if row.state is not None and row.state in on.instead:
            errors, _ = on.instead[row.state]
        wanted = " or ".join(each.__name__ for each in errors) or "a session"
        with row.arrange(on, tmp_path) as attempt:
            began = time.monotonic()
            error = failure_of(on, attempt, row.has)
            took = time.monotonic() - began
            wrong = None
            if isinstance(error, DatabaseError) and error.proves_password:
                login = attempt.login.replacing(password="not the password")
                wrong = failure_of(on, Attempt(login, attempt.trust))
        found = "a session" if error is None else f"{type(error).__name__} ({error.args[0]})"
        promised(
            type(error) in errors if errors else error is None,
            f"{row.name}: connect() must end in {wanted}, and ended in {found}.",
            Rotator.connect,
        )
        promised(
            took <= row.seconds,
            f"{row.name}: connect() took {took:.1f} seconds of {row.has - 1:.1f} that there were; "
            f"{row.seconds:.1f} are allowed.",
            Rotator.connect,
        )
        if error is not None:
            require_no_password(error, attempt.login.password)
        if isinstance(error, DatabaseError) and error.proves_password:
            promised(
                type(wrong) is LoginRefused,
                f"{row.name}: {type(error).__name__} says proves_password, but a wrong password "
                f"ends in {type(wrong).__name__}.",
                DatabaseError,
            )

    @pytest.mark.parametrize("word", AWKWARD_PASSWORDS)
    def test_awkward_password(self, on: World, word: str) -> None:
        """A password of any characters logs in once it is set, and it alone."""
        password = AWKWARD_PASSWORDS[word]
        name = on.new_user()
        with on.changing(name) as session:
            session.change_password(name, password)
        promised(
            on.accepts(name, password),
            f"A password of {word}, set by change_password(), is not what the server has.",
            on.rotator.connect,
        )
        error = failure_of(on, Attempt(on.login(name, password)))
        promised(
            error is None,
            f"A password of {word} is right, and connect() says {type(error).__name__}.",
            Rotator.connect,
        )
        old = failure_of(on, Attempt(on.login(name)))
        promised(
            type(old) is LoginRefused,
            f"After a password of {word} the old one still is no LoginRefused.",
            Rotator.connect,
        )

    @pytest.mark.parametrize(
        "word",
        [
            pytest.param(word, marks=needs(State.SPACED_NAME) if " " in name else ())
            for word, name in AWKWARD_NAMES.items()
        ],
    )
    def test_awkward_name(self, on: World, word: str) -> None:
        """A user of any name logs in, changes its own password, and nobody else's."""
        name = AWKWARD_NAMES[word] + on.new_name()
        on.server.create_user(name, PASSWORD)
        error = failure_of(on, Attempt(on.login(name)))
        promised(
            error is None,
            f"A user whose name has {word} must be let in, and connect() says "
            f"{type(error).__name__}.",
            Rotator.connect,
        )
        with on.changing(name) as session:
            session.change_password(name, SECOND)
        with on.as_administrator() as session:
            promised(
                session.account_problem(name) is None,
                f"A user whose name has {word} is well, and account_problem() finds something.",
                type(session).account_problem,
            )
        promised(
            on.accepts(name, SECOND),
            f"A user whose name has {word} has not got the password that it set.",
            Rotator.connect,
        )

    def test_longest_password(self, on: World) -> None:
        """A password as long as the profile allows is set, logs in, and is not cut off."""
        profile = on.rotator.profile
        letters = [each for each in PRINTABLE if each not in profile.forbidden]
        password = "".join(letters[index % len(letters)] for index in range(profile.longest))
        name = on.new_user()
        with on.changing(name) as session:
            session.change_password(name, password)
        error = failure_of(on, Attempt(on.login(name, password)))
        promised(
            error is None and on.accepts(name, password),
            f"A password of {profile.longest} characters, as profile.longest allows, is set, and "
            f"connect() says {type(error).__name__}.",
            type(profile),
        )
        cut = failure_of(on, Attempt(on.login(name, password[:-1])))
        promised(
            type(cut) is LoginRefused,
            f"Without its last character a password of {profile.longest} is no LoginRefused.",
            type(profile),
        )

    def test_longest_name(self, on: World) -> None:
        """A user name as long as ``longest_name`` works; a longer one is NameTooLong."""
        rotator = on.rotator
        longest = rotator.longest_name
        error = failure_in_naming(rotator, "x" * (longest + 1))
        promised(
            error is not None and failure_in_naming(rotator, "x" * longest) is None,
            f"A name of {longest} is allowed, and one more must be NameTooLong.",
            Rotator.require_name,
        )
        for letter in "xü":
            most = min(on.longest_name or longest, LONGEST_TRIED)
            start = on.new_name()
            while failure_in_naming(rotator, start.ljust(most, letter)) is not None:
                most -= 1
            names = [start.ljust(most, letter)[:-1] + last for last in "yz"]
            let_in = []
            for name in names:
                with suppress(Exception):  # a driver's own: of the same name as the other one
                    on.server.create_user(name, PASSWORD)
                    let_in.append(failure_of(on, Attempt(on.login(name))))
            promised(
                let_in == [None, None],
                f"User names of {most} characters like {letter} are allowed, and the server does "
                "not tell two that differ in the last one apart: in which unit does it count?",
                Rotator.name_length,
            )

    def test_connection_cut_while_logging_in(self, on: World) -> None:
        """A connection that is cut in the middle of a login is no refusal, and proves nothing."""
        login = on.login(on.new_user())
        with Proxy(on.server.host, on.server.port) as proxy:
            for messages in range(1, 12):
                proxy.cut_after(messages)
                error = failure_of(on, Attempt(login.at(proxy.host, proxy.port)))
                if error is None:
                    break
                promised(
                    isinstance(error, Unreachable | ServerBusy | TlsFailed)
                    and not error.proves_password,
                    f"Cut after message {messages} of a login, connect() says "
                    f"{type(error).__name__}.",
                    Rotator.connect,
                )
            promised(messages > 1, "A login must meet a cut connection.", Rotator.connect)

    def test_no_time(self, on: World) -> None:
        """With the time over, no login is begun."""
        error = failure_of(on, Attempt(on.login(on.new_user())), has=0.5)
        promised(
            type(error) is OutOfTime,
            f"With no time left connect() must raise OutOfTime; it ended in {type(error).__name__}."
            " Ask deadline.seconds() before anything else.",
            Deadline.seconds,
        )


LONGEST_TRIED = 128
"""Engines that allow more need no proof of it."""

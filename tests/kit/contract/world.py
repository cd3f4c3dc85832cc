"""What the developer of an engine gives: a rotator, a server, an oracle, and some states."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from functools import cached_property
from itertools import count
from types import TracebackType
from typing import Any, ClassVar, Self

import pytest

from local.servers import Account, Server, start
from local.servers.certificates import LOOPBACK_NAMES
from shared.deadline import Deadline
from shared.engine import By, Engine
from shared.errors import RotationError
from shared.model import Login
from shared.rotator import Rotator
from shared.session import Session
from shared.settings import Settings, StrategyName
from shared.tls import Trust
from tests.kit.oracles import Oracle, Place
from tests.kit.pairs import Subject, subjects_of

PASSWORD = "correct horse Battery 1"
"""Of every user that a test makes."""
SECOND = "another horse Battery 2"
THIRD = "a third horse Battery 3"


class State(StrEnum):
    """What an engine may not have, or may call by another error."""

    LOCKED_USER = "a locked user"
    EXPIRED_USER = "an expired user"
    SHUT_OUT_USER = "a user with the right password who may not come in"
    FULL_SERVER = "a server that has no connection to spare"
    READ_ONLY = "a read-only server"
    PLAINTEXT_ALLOWED = "plaintext that a secret allows"
    TLS_DEMANDED = "a server that wants TLS"
    SPACED_NAME = "a user name with spaces"
    OWN_CHANGE = "a user that changes its own password"
    PASSWORD_POLICY = "a password policy of the server"
    UNSTORED = "a change that is in force before it is stored"
    HASH = "a hash that the server takes in place of a password"
    SERVER_LOG = "a log of the server that shows statements"
    ONLY_LOOKS = "a session that the server lets change nothing"
    LOCK = "an advisory lock"
    SECOND_USER = "a second user of equal rights"
    TWO_PASSWORDS = "two passwords of one user"
    OWN_TWO_PASSWORDS = "a second password that the user gives itself"


Errors = tuple[type[RotationError], ...]


class World:
    """One engine on one server. The object lives as long as the run; ``with`` starts and ends it.

    A subclass gives the class attributes and says how to bring about what goes wrong. A method that
    it does not give belongs to a :class:`State` that is in ``lacks``.

    Attributes:
        server: A running server with TLS, nobody else's.
        oracle: Looks at it; open while a test runs.
    """

    kind: ClassVar[str]
    """The server, as :func:`local.servers.start` knows it, or the developer's own."""
    rotator: ClassVar[type[Rotator]]
    handler: ClassVar[str] = ""
    """Of the function; ``handler`` in the rotator's module, unless it is another one."""
    oracle_class: ClassVar[Callable[[Place], Oracle]]
    lacks: ClassVar[Mapping[State, str]] = {}
    """What the engine does not have: the state to a sentence that says why."""
    instead: ClassVar[Mapping[State, tuple[Errors, str]]] = {}
    """Which errors a login ends in where the engine cannot tell better, and a sentence that says
    why."""
    longest_name: ClassVar[int | None] = None
    """Of a user on this server, where the rotator's own limit is for several engines."""
    quick: ClassVar[frozenset[str] | None] = None
    """The names of the subjects that every run proves; others have the mark ``matrix``. None: all
    of them."""

    _numbers: ClassVar[Iterator[int]] = count(1)

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.server = stack.enter_context(self.start())
            self.oracle = type(self).oracle_class(self.place)
            with self.oracle:
                self.oracle.prepare_server()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def share(self, other: "World") -> None:
        """Use the server and the oracle of another world, which lives for longer."""
        self.server, self.oracle, self._stack = other.server, other.oracle, other._stack

    @classmethod
    def start(cls, *, tls: bool = True, names: Sequence[str] = LOOPBACK_NAMES) -> Server:
        """Start a server of this kind."""
        return start(cls.kind, tls=tls, certificate_names=names)

    @classmethod
    def subjects(cls) -> tuple[Subject, ...]:
        """Return every strategy that the engine declares, by whom it can."""
        return tuple(subjects_of(cls.kind, cls.engine()))

    @classmethod
    def engine(cls) -> Engine:
        """Return the declaration of the engine, of all that the rotator has."""
        wanted = cls.kind.partition("-")[0]
        for engine in cls.rotator.engines:
            if engine.name == wanted:
                return engine
        msg = f"{cls.rotator.__name__} declares no engine of the name {wanted}."
        raise LookupError(msg)

    @classmethod
    def lacking(cls) -> Mapping[State, str]:
        """Return what the engine does not have, by its own word or by its declaration."""
        engine = cls.engine()
        declared = {
            State.SECOND_USER: (StrategyName.ALTERNATING_USERS, By.ADMINISTRATOR),
            State.TWO_PASSWORDS: (StrategyName.DUAL_PASSWORD, By.ADMINISTRATOR),
            State.OWN_TWO_PASSWORDS: (StrategyName.DUAL_PASSWORD, By.USER),
            State.OWN_CHANGE: (StrategyName.SINGLE_USER, By.USER),
        }
        return {
            state: f"The engine does not declare {strategy} by the {by}."
            for state, (strategy, by) in declared.items()
            if by not in engine.strategies.get(strategy, ())
        } | dict(cls.lacks)

    @property
    def place(self) -> Place:
        """Where the server is, as lanes and their processes are told."""
        handler = self.handler or f"{self.rotator.__module__}.handler"
        return Place.of(self.server, handler=handler, oracle=type(self).oracle_class)

    @cached_property
    def plaintext(self) -> Server:
        """A server without TLS, started when asked for."""
        return self._stack.enter_context(self.start(tls=False))

    @property
    def trust(self) -> Trust:
        """The authority of the server."""
        return Trust(self.server.ca_file)

    # Users and logins

    def new_user(self, server: Server | None = None, password: str = PASSWORD) -> str:
        """Make an application's user, without more rights than one needs, and return its name."""
        name = self.new_name()
        (server or self.server).create_user(name, password)
        return name

    def new_name(self) -> str:
        """Return the name of nobody."""
        return f"app{next(self._numbers)}"

    def login(
        self,
        username: str,
        password: str = PASSWORD,
        *,
        server: Server | None = None,
        **fields: Any,  # noqa: ANN401 - any JSON value
    ) -> Login:
        """Return the login that a secret holds; ``fields`` are other keys, or other values."""
        server = server or self.server
        document = {
            "engine": server.engine,
            "host": server.host,
            "port": server.port,
            "username": username,
            "password": password,
            "dbname": server.database,
        }
        return Login.parse(json.dumps(document | fields), where="the test's secret")

    @property
    def administrator(self) -> Account:
        """Who sets the passwords of others."""
        return self.server.administrator

    def connect(
        self, login: Login, *, trust: Trust | None = None, deadline: Deadline | None = None
    ) -> Session:
        """Log in as the function does, within 20 seconds unless ``deadline`` says otherwise."""
        return connect(self.rotator, login, trust or self.trust, deadline or Deadline(20))

    def as_user(self, username: str, password: str = PASSWORD) -> Session:
        """Open a session of a user."""
        return self.connect(self.login(username, password))

    def as_administrator(self, server: Server | None = None) -> Session:
        """Open a session of the administrator."""
        account = (server or self.server).administrator
        return self.connect(self.login(account.username, account.password, server=server))

    def changing(
        self,
        username: str,
        *,
        deadline: Deadline | None = None,
        **fields: Any,  # noqa: ANN401
    ) -> Session:
        """Open a session of whoever rotates the user: itself, or else the administrator."""
        return self.connect(self.changing_login(username, **fields), deadline=deadline)

    def changing_login(self, username: str, **fields: Any) -> Login:  # noqa: ANN401 - as login()
        """Return the login of whoever rotates the user."""
        account = Account(username, PASSWORD)
        if State.OWN_CHANGE in self.lacking():
            account = self.administrator
        return self.login(account.username, account.password, **fields)

    def accepts(self, username: str, password: str, server: Server | None = None) -> bool:
        """Ask the server itself whether it lets the user in."""
        return (server or self.server).logs_in(username, password)

    def restart_hard(self) -> None:
        """Kill the server and start it again, and the oracle's session with it."""
        self.server.stop_hard()
        self.server.restart()
        self.oracle.open()

    # States

    def lock_user(self, username: str) -> None:
        """Lock a user: the right password does not let it in any more."""
        raise self._missing(State.LOCKED_USER)

    def expire_user(self, username: str) -> None:
        """Let a user, or its password, be past its time."""
        raise self._missing(State.EXPIRED_USER)

    def shut_out(self, username: str) -> Login:
        """Make, of a user, a login that is right and for which a right is missing."""
        raise self._missing(State.SHUT_OUT_USER)

    def filled(self) -> AbstractContextManager[None]:
        """Keep every connection that the server has to spare, for a while."""
        raise self._missing(State.FULL_SERVER)

    def policy(self) -> AbstractContextManager[str]:
        """Let the server refuse a password for a while; give the password."""
        raise self._missing(State.PASSWORD_POLICY)

    def change_unstored(self, username: str, password: str) -> None:
        """Change a password so that it is in force and a crash of the server loses it."""
        raise self._missing(State.UNSTORED)

    def _missing(self, state: State) -> NotImplementedError:
        return NotImplementedError(
            f"{type(self).__name__} neither makes {state} nor says in `lacks` why there is none"
        )


def connect(rotator: type[Rotator], login: Login, trust: Trust, deadline: Deadline) -> Session:
    """Log in as a function with that rotator does."""
    settings = Settings.from_environment({}, rotator.profile)
    # A login asks neither Secrets Manager nor RDS.
    nobody: Any = None
    return rotator(nobody, settings, trust, nobody).connect(login, deadline)


def needs(*states: State) -> pytest.MarkDecorator:
    """Mark what is asked only of engines that have these states."""
    return pytest.mark.needs(*states)


def promised(holds: object, wrong: str, promise: object) -> None:
    """Fail with what is wrong with the rotator, and with where the promise is written.

    Args:
        holds: Whether it is kept.
        wrong: What is wrong, one sentence.
        promise: The class or method whose docstring makes it.
    """
    if not holds:
        where = f"{promise.__module__}.{getattr(promise, '__qualname__', '')}"
        pytest.fail(
            f"{wrong}\nPromised in the docstring of {where}; see docs/adding-a-rotator.md, too.",
            pytrace=False,
        )

"""One lane: service, proxy, function and oracle for one secret after another on one server.

Several lanes, each in a process of its own, share a server: users and secrets have names of their
own, so nothing has to be reset between two trials.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import count, product
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self
from uuid import uuid4

from local.engines import ENGINES
from local.proxy import Proxy
from local.secretsmanager import Outcome, SecretsManagerService
from tests.kit.boundaries import Boundary, Tripwire
from tests.kit.function import Function, FunctionKilled
from tests.kit.oracles import oracle_for
from tests.kit.oracles.oracle import Place, Rights
from tests.kit.pairs import Subject

SECOND_USER_SUFFIX = "_clone"
OTHER_KEYS: dict[str, Any] = {
    "note": "kept: ünïcode and all",
    "ключ ✓": "значение \U0001f511",
    "numbers": [1, 2.5, None, True, 1e-300, 12345678901234567890123],
    "nested": {"b": 1, "a": {"": "", " ": {"deep": [[[]]]}}},
    "control": "\u0000\u001f\u007f\u2028",
    "lone surrogate": "\ud800",
    "ssl": "true",
}
"""Keys of the secret that mean nothing to the rotation, and must stay as they are."""


class Stored(NamedTuple):
    """A login that some version of the secret holds."""

    version_id: str
    username: str
    password: str


class Lane:
    """Everything around the function; ``with`` starts and stops it.

    Args:
        place: The server.
        subject: What is proven on it.
        folder: For the function's log.
        handler_name: Another handler than the engine's.
    """

    variables: ClassVar[Mapping[str, str]] = {}
    """The function's variables besides."""

    def __init__(
        self, place: Place, subject: Subject, folder: Path, handler_name: str = ""
    ) -> None:
        self.place = place
        self.subject = subject
        # Users of several lanes are on one server.
        self._name = uuid4().hex[:6]
        self.log = folder / f"function-{self._name}.log"
        self.logs = [self.log]
        self.handler_name = handler_name or place.handler or ENGINES[subject.engine].handler
        self.service = SecretsManagerService()
        self.oracle = oracle_for(place)
        self._numbers = count(1)
        self._stack = ExitStack()
        self._checked: dict[Path, int] = {}
        self._wanted: dict[tuple[bool, bool], Rights] = {}
        self._administrator_arn: str | None = None

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.oracle)
            endpoint = stack.enter_context(self.service.endpoint())
            self.proxy = stack.enter_context(self._new_proxy())
            self.environment = {**endpoint.environment(), **self.variables}
            self.environment["DATABASE_CA_FILE"] = str(self.place.ca_file)
            self.function = stack.enter_context(
                Function(self.handler_name, self.environment, self.log)
            )
            self.tripwire = Tripwire(self.function.kill)
            self.service.on_request = self.tripwire.on_request
            self.proxy.on_message = self.tripwire.on_message
            self.function_arn = self.service.register("rotator", self.function)
            self._enter_more(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def _new_proxy(self) -> Proxy:
        return Proxy(self.place.host, self.place.port)

    def _enter_more(self, stack: ExitStack) -> None:
        """Start what a lane of another kind has besides."""

    def new_trial(self) -> "Trial":
        """Make a user and its secret, and say how it is to be rotated."""
        username = f"app_{self._name}_{next(self._numbers):04}x"
        password = f"first-Password-of-{username}"
        self.oracle.make_user(username, password, own_two_passwords=self._own_two_passwords)
        document = self._document(username, password)
        if self.subject.administrator:
            document["masterarn"] = self._administrator()
        document |= OTHER_KEYS
        tags = {"rotation:strategy": self.subject.strategy}
        arn = self.service.create_secret(username, document, tags=tags)
        self.service.enable_rotation(arn, self.function_arn)
        return Trial(self, arn, username)

    def wanted_rights(self, *, changed: bool, taking_over: bool) -> Rights:
        """Return what a user may do that was never rotated."""
        if not self._wanted:
            name = f"app_{self._name}_{0:04}x"
            password = f"first-Password-of-{name}"
            self.oracle.make_user(name, password, own_two_passwords=self._own_two_passwords)
            for state, over in product((False, True), repeat=2):
                if (state, over) == (True, False):
                    self.oracle.change_rights(name)
                found = self.oracle.rights(name, name, password, taking_over=over)
                self._wanted[state, over] = found
        return self._wanted[changed, taking_over]

    @property
    def _own_two_passwords(self) -> bool:
        return self.subject.strategy == "dual-password" and not self.subject.administrator

    def _document(self, username: str, password: str) -> dict[str, Any]:
        return {
            "engine": self.subject.engine,
            "host": self.proxy.host,
            "port": self.proxy.port,
            "username": username,
            "password": password,
            "dbname": self.place.database,
        }

    def _administrator(self) -> str:
        if self._administrator_arn is None:
            account = self.place.administrator
            document = self._document(account.username, account.password)
            self._administrator_arn = self.service.create_secret("administrator", document)
        return self._administrator_arn

    def passwords_in_log(self, passwords: set[str]) -> int:
        """Count the passwords in what the function has logged since this was last asked."""
        written = b""
        for path in self.logs:
            with path.open("rb") as log:
                log.seek(self._checked.get(path, 0))
                written += log.read()
                self._checked[path] = log.tell()
        return sum(password.encode() in written for password in passwords)


class Trial:
    """One secret and the user, or the pair of users, that it is for."""

    def __init__(self, lane: Lane, arn: str, username: str) -> None:
        self.lane = lane
        self.arn = arn
        self.first = username
        self.rights_changed = False
        self._document = json.loads(lane.service.value(arn))

    @property
    def usernames(self) -> tuple[str, ...]:
        """The users whose passwords this secret rotates."""
        if self.lane.subject.alternates:
            return (self.first, self.first + SECOND_USER_SUFFIX)
        return (self.first,)

    @property
    def passwords(self) -> set[str]:
        """Every password that the secret has ever held, and the administrator's."""
        stored = {login.password for login in self.stored()}
        return stored | {self.lane.place.administrator.password}

    def stored(self) -> Iterator[Stored]:
        """Yield every stored login, AWSCURRENT's first, then the newest."""
        service = self.lane.service
        current = service.labels(self.arn)["AWSCURRENT"]
        newest_first = service.versions(self.arn)[::-1]
        for version in sorted(newest_first, key=lambda each: each.version_id != current):
            if version.value is not None and version.value.string is not None:
                document = json.loads(version.value.string)
                yield Stored(version.version_id, document["username"], document["password"])

    def look(self) -> str | None:
        """Say what is wrong at this moment with the promise that is made for every moment.

        Some stored version logs in; under a strategy without an interruption, AWSCURRENT does.
        """
        for login in self.stored():
            if self.lane.oracle.accepts(login.username, login.password):
                return None
            if not self.lane.subject.interrupts:
                return f"AWSCURRENT does not log in as {login.username}"
        return "no stored version logs in"

    def attempt(
        self, token: str, *, kill_at: Boundary | None = None, looking: bool = False
    ) -> tuple[Outcome, list[str]]:
        """Let the service carry out the four steps once.

        Args:
            token: The rotation's; an unfinished one goes on.
            kill_at: Where the function is killed.
            looking: Whether the promise is checked at every boundary; it is at the end.

        Returns:
            How it went, and what was seen to be wrong.
        """
        lane = self.lane
        lane.service.retries = 0
        lane.tripwire.reset(kill_at, self.look if looking else None)
        outcome = lane.service.rotate(self.arn, token)
        # Before the database has seen the end of a killed session, it may still hold its lock.
        lane.proxy.settle()
        lane.tripwire.settle()
        wrong = list(lane.tripwire.seen_wrong)
        if (at_the_end := self.look()) is not None:
            wrong.append(f"after the attempt: {at_the_end}")
        if outcome.error is not None and not (
            kill_at is not None and isinstance(outcome.error, FunctionKilled)
        ):
            wrong.append(f"{outcome.steps[-1].step} failed: {outcome.error}")
        return outcome, wrong

    def rotate(self) -> list[str]:
        """Rotate under a new token; return what is wrong with the end."""
        _, wrong = self.attempt(str(uuid4()))
        return wrong + self.wrong_at_end(taking_over=True)

    def change_rights(self) -> None:
        """Change what the first user may do, as a DBA does between two rotations."""
        self.lane.oracle.change_rights(self.first)
        self.rights_changed = True

    def wrong_at_end(self, *, taking_over: bool = False) -> list[str]:
        """Say what is wrong after a rotation that has ended well.

        Args:
            taking_over: Whether the idle user is looked at, too, and each of the two alters and
                drops what the other has made.
        """
        wrong = []
        service, oracle = self.lane.service, self.lane.oracle
        current, *others = self.stored()
        pending = service.labels(self.arn).get("AWSPENDING", current.version_id)
        if pending != current.version_id:
            wrong.append("AWSPENDING was left on another version than AWSCURRENT")
        if not oracle.accepts(current.username, current.password):
            return [*wrong, f"AWSCURRENT does not log in as {current.username}"]
        wrong += self._wrong_keys() + self._wrong_rights(current, taking_over=taking_over)
        for username in self.usernames if taking_over else ():
            if username != current.username and oracle.state_of(username) is not None:
                found = [
                    login
                    for login in others
                    if login.username == username and oracle.accepts(username, login.password)
                ]
                wrong += (
                    self._wrong_rights(found[0], taking_over=taking_over)
                    if found
                    else [f"no stored version logs in as {username}, the idle user"]
                )
        return wrong

    def _wrong_keys(self) -> list[str]:
        document = json.loads(self.lane.service.value(self.arn))
        credentials = {"username": "", "password": ""}
        # As text: the order of keys, and 1 beside True, count too.
        now, before = (json.dumps(each | credentials) for each in (document, self._document))
        return [] if now == before else ["a key of the secret changed besides the credentials"]

    def _wrong_rights(self, login: Stored, *, taking_over: bool) -> list[str]:
        wanted = self.lane.wanted_rights(changed=self.rights_changed, taking_over=taking_over)
        found = self.lane.oracle.rights(
            self.first, login.username, login.password, taking_over=taking_over
        )
        return [
            f"{login.username}: {name}: {found.get(name)} instead of {wanted.get(name)}"
            for name in sorted(wanted.keys() | found.keys())
            if wanted.get(name) != found.get(name)
        ]

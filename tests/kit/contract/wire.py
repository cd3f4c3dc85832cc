"""What is on the wire and in logs: no password, but where the engine takes nothing else."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote

import pytest

from shared.errors import RotationError
from shared.session import Session
from tests.kit.contract.relay import ReadingRelay, Relay
from tests.kit.contract.session import CHANGERS, failure_in
from tests.kit.contract.world import PASSWORD, SECOND, THIRD, State, World, needs, promised


def shows(text: str | bytes, *passwords: str) -> bool:
    """Say whether a password stands in a text, as it is or in a usual disguise."""
    found = text if isinstance(text, bytes) else text.encode(errors="replace")
    return any(
        each in found
        for password in passwords
        for each in (
            password.encode(),
            repr(password)[1:-1].encode(),
            quote(password).encode(),
            password.encode().hex().encode(),
            password.encode().hex().upper().encode(),
        )
    )


class WireContract:
    """What is asked of all that leaves the function."""

    world: ClassVar[type[World]]

    @needs(State.HASH)
    @pytest.mark.parametrize("changer", CHANGERS)
    def test_hash_instead_of_password(self, on: World, tmp_path: Path, changer: str) -> None:
        """Where the engine takes a hash, no message that changes a password holds it in clear.

        Read on a server without TLS, or where TLS ends on the way, if the engine has no other.
        """
        plain = State.PLAINTEXT_ALLOWED not in on.lacking()
        server = on.plaintext if plain else on.server
        name = on.new_user(server)
        account = server.administrator
        who = (name, PASSWORD) if changer == "the user" else (account.username, account.password)
        with (Relay if plain else ReadingRelay).to(server) as relay:
            where: dict[str, Any] = {"host": relay.host, "port": relay.port, "ssl": not plain}
            login = on.login(*who, server=server, **where)
            with on.connect(login, trust=relay.trust(tmp_path)) as session:
                session.change_password(name, SECOND)
            told = bytes(relay.told)
        promised(name.encode() in told, "The relay heard nothing of the change.", Session)
        promised(
            not shows(told, SECOND),
            f"change_password() by {changer} sends the new password in clear, although the server "
            "takes a hash.",
            Session.change_password,
        )
        promised(
            on.accepts(name, SECOND, server),
            "The hash that was sent is not that of the password.",
            Session.change_password,
        )

    def test_nothing_readable_on_the_wire(self, on: World) -> None:
        """Between function and server neither password is to be read: all is inside TLS."""
        name = on.new_user()
        with Relay.to(on.server) as relay:
            with on.changing(name, host=relay.host, port=relay.port) as session:
                session.change_password(name, SECOND)
            on.connect(on.login(name, SECOND, host=relay.host, port=relay.port)).close()
            told = bytes(relay.told)
        promised(len(told) > len(SECOND), "The relay heard nothing.", Session)
        promised(
            not shows(told, PASSWORD, SECOND),
            "A password crosses the network in clear.",
            on.rotator.connect,
        )

    @needs(State.SERVER_LOG)
    def test_no_password_in_the_servers_log(self, on: World) -> None:
        """Neither a change that succeeded nor one that failed leaves a password in the log."""
        one, other = on.new_user(), on.new_user()
        began = len(on.server.log_text())
        with on.as_user(one) as session:
            failure_in(lambda: session.change_password(one, SECOND))
            failure_in(lambda: session.change_password(other, THIRD))
        with on.as_administrator() as session:
            session.change_password(other, THIRD)
            failure_in(lambda: session.change_password(on.new_name(), THIRD))
        log = on.server.log_text()[began:]
        promised(one in log, "The server's log says nothing of the change.", Session)
        promised(
            not shows(log, PASSWORD, SECOND, THIRD),
            "A password stands in the server's own log: send a hash, or keep the statement out.",
            Session.change_password,
        )

    def test_no_password_in_the_functions_log(
        self,
        on: World,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Whatever is done and whatever fails, nothing is printed or logged with a password."""
        name, other = on.new_user(), on.new_user()
        caplog.set_level(logging.DEBUG)
        acts: tuple[Callable[[], object], ...] = (
            lambda: on.as_user(name, "never seen 1").close(),
            lambda: on.as_user(on.new_name(), "never seen 1").close(),
        )
        for act in acts:
            failure_in(act)
        with on.as_user(name) as session:
            failure_in(lambda: session.change_password(name, SECOND))
            failure_in(lambda: session.change_password(other, THIRD))
            session.account_problem(name)
        with on.as_administrator() as session:
            session.change_password(name, SECOND)
            failure_in(lambda: session.change_password(on.new_name(), THIRD))
        printed = "".join(capfd.readouterr())
        passwords = (PASSWORD, SECOND, THIRD, "never seen 1", on.administrator.password)
        for text, where in ((caplog.text, "logged"), (printed, "printed")):
            promised(
                not shows(text, *passwords),
                f"A password is {where}: whoever may read the function's log can log in.",
                RotationError,
            )

"""What is on the wire and in logs: no password, but where the engine takes nothing else."""

import logging
from collections.abc import Callable
from typing import ClassVar
from urllib.parse import quote

import pytest

from shared.errors import RotationError
from shared.session import Session
from tests.kit.contract.relay import Relay
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

    @needs(State.HASH, State.PLAINTEXT)
    @pytest.mark.parametrize("changer", CHANGERS)
    def test_hash_instead_of_password(self, on: World, changer: str) -> None:
        """Where the engine takes a hash, no message that changes a password holds it in clear.

        Read on a server without TLS: what is told there, is told inside TLS elsewhere.
        """
        server = on.plaintext
        name = on.new_user(server)
        account = server.administrator
        who = (name, PASSWORD) if changer == "the user" else (account.username, account.password)
        with Relay(server.host, server.port) as relay:
            login = on.login(*who, server=server, ssl=False, host=relay.address, port=relay.port)
            with on.connect(login) as session:
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
        with Relay(on.server.host, on.server.port, address="127.0.0.1") as relay:
            login = on.login(name, host="localhost", port=relay.port)
            with on.connect(login) as session:
                session.change_password(name, SECOND)
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
            session.change_password(one, SECOND)
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
            session.change_password(name, SECOND)
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

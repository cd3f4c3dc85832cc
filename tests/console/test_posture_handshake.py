"""TLS of real servers, as posture sees it without a driver or a login."""

import os
import socket
from collections.abc import Iterator

import pytest

from console.posture.handshake import Handshake, shake
from console.posture.wire import Wire
from local.servers import Server, start

KINDS = ("postgres", "mysql", "mariadb")


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that forces TLS, with a certificate that its authority vouches for."""
    with start(request.param) as running:
        yield running


@pytest.fixture
def trusted(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The server, with its authority known."""
    monkeypatch.setenv("DATABASE_CA_FILE", str(server.ca_file))
    return server


def see(server: Server, host: str | None = None) -> Handshake:
    """Look at a server."""
    return shake(server.engine, host or server.host, server.port)


def test_a_server_that_forces_tls_is_well(trusted: Server) -> None:
    """TLS comes about and is verified; PostgreSQL is seen to refuse a login in clear.

    MySQL and MariaDB tell a stranger nothing about it, whatever `require_secure_transport` says.
    """
    found = see(trusted)
    assert (found.version, found.code) == ("TLSv1.3", "")
    assert found.takes_clear is (False if trusted.engine == "postgres" else None)


def test_a_certificate_of_an_unknown_authority_is_told(server: Server) -> None:
    """Without its authority the server's certificate is not trusted."""
    assert "DATABASE_CA_FILE" not in os.environ
    assert see(server).code == "CertificateUntrusted"


def test_a_certificate_for_another_name_is_told(
    trusted: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is reached under a name that its certificate lacks is told by that."""
    connect = socket.create_connection

    def resolved(_address: object, timeout: float) -> socket.socket:
        return connect((trusted.host, trusted.port), timeout)

    monkeypatch.setattr("console.posture.handshake.socket.create_connection", resolved)
    assert see(trusted, "db.example.com").code == "HostNameMismatch"


def test_nobody_listening_is_no_finding(server: Server) -> None:
    """Where nothing answers, TLS was not looked at."""
    found = shake(server.engine, server.host, 9)
    assert not found.reached
    assert found.why


@pytest.mark.parametrize("kind", KINDS[:2])
def test_a_server_without_tls_is_told(kind: str) -> None:
    """A server that does without TLS is told; PostgreSQL is seen to take a login in clear."""
    with start(kind, tls=False) as plain:
        found = see(plain)
    assert found.code == "TlsNotOffered"
    assert found.takes_clear is (True if kind == "postgres" else None)


def test_a_server_is_asked_once(trusted: Server) -> None:
    """Many secrets of one server cost one handshake."""
    wire = Wire()
    first = wire.at(trusted.engine, trusted.host, trusted.port)
    assert wire.at(trusted.engine, trusted.host, trusted.port) is first

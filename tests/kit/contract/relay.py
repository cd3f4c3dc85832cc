"""A TCP relay that keeps what went through it, and one that reads what is inside TLS."""

import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from local.servers import Authority, Server
from shared.tls import Trust


class Relay:
    """Passes everything on, from ``with`` until its end.

    Args:
        server: Where to.
        address: Where to listen.

    Attributes:
        host: The name that it is reached under.
        port: Its port.
        told: All that clients said.
    """

    def __init__(self, server: Server, address: str = "127.0.0.1") -> None:
        self.host = "localhost" if address == "127.0.0.1" else address
        self.told = bytearray()
        self._server = server
        self._listener = socket.create_server((address, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []

    @classmethod
    def to(cls, server: Server) -> Self:
        """Return a relay to a server, under the name that its certificate has."""
        return cls(server)

    def trust(self, folder: Path) -> Trust:
        """Return who vouches for what answers here."""
        del folder
        return Trust(self._server.ca_file)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._client_side(self._listener.accept()[0])
                self._open.append(client)
                server = self._server_side(
                    socket.create_connection((self._server.host, self._server.port))
                )
                self._open.append(server)
            except OSError:
                return
            for source, sink, kept in ((client, server, self.told), (server, client, bytearray())):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, kept), daemon=True
                ).start()

    def _client_side(self, accepted: socket.socket) -> socket.socket:
        return accepted

    def _server_side(self, opened: socket.socket) -> socket.socket:
        return opened

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                kept += part
                sink.sendall(part)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class ReadingRelay(Relay):
    """Ends TLS and begins it anew: for protocols that begin with it, and trust its authority."""

    def trust(self, folder: Path) -> Trust:
        """Make an authority and a certificate, and return the trust in it."""
        authority = Authority()
        credentials = authority.issue()
        for name, content in (
            ("authority", authority.certificate),
            ("relay", credentials.certificate + credentials.private_key),
        ):
            (folder / name).write_bytes(content)
        self._certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._certificate.load_cert_chain(folder / "relay")
        return Trust(folder / "authority")

    def _client_side(self, accepted: socket.socket) -> socket.socket:
        return self._certificate.wrap_socket(accepted, server_side=True)

    def _server_side(self, opened: socket.socket) -> socket.socket:
        context = ssl.create_default_context(cafile=str(self._server.ca_file))
        return context.wrap_socket(opened, server_hostname=self._server.host)

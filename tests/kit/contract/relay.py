"""A TCP relay that keeps what went through it, and listens on any address of loopback."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Relay:
    """Passes everything on, from ``with`` until its end.

    Args:
        host: Where to.
        port: Its port.
        address: Where to listen.

    Attributes:
        port: Where it listens.
        told: All that clients said.
    """

    def __init__(self, host: str, port: int, *, address: str = "127.0.0.1") -> None:
        self.address = address
        self.told = bytearray()
        self._target = (host, port)
        self._listener = socket.create_server((address, 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []

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
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            self._open += [client, server]
            for source, sink, kept in ((client, server, self.told), (server, client, bytearray())):
                threading.Thread(
                    target=self._pass_on, args=(source, sink, kept), daemon=True
                ).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        with suppress(OSError):
            while part := source.recv(65536):
                kept += part
                sink.sendall(part)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

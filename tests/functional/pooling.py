"""A stand-in for a connection pooler: it gives each client a process id of its own making."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.servers import Authority, Server

SSL_REQUEST_SIZE = 8
TOLD = b"K\0\0\0\x0c"
"""The beginning of PostgreSQL's message that tells process id and secret key."""


@contextmanager
def pooling(server: Server, ca_file: Path) -> Iterator[int]:
    """Pass clients on to a server without TLS, over TLS, as a pooler does that is in front of it.

    Args:
        server: Without TLS.
        ca_file: Where the pooler's authority is written to.

    Yields:
        The pooler's port.
    """
    authority, ended = Authority(), threading.Event()
    ca_file.write_bytes(authority.certificate)
    credentials = authority.issue()
    pair = ca_file.with_suffix(".pair")
    pair.write_bytes(credentials.certificate + credentials.private_key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            client.recv(SSL_REQUEST_SIZE)
            client.sendall(b"S")
            with (
                context.wrap_socket(client, server_side=True) as inside,
                socket.create_connection((server.host, server.port)) as database,
            ):
                threading.Thread(target=_back, args=(database, inside), daemon=True).start()
                while part := inside.recv(65536):
                    database.sendall(part)

    def accept() -> None:
        while not ended.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return  # shut down
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)
        listener.close()


def _back(database: socket.socket, client: ssl.SSLSocket) -> None:
    with contextlib.suppress(OSError):
        while part := database.recv(65536):
            at = part.find(TOLD)
            client.sendall(part if at < 0 else part[: at + 5] + b"\0\1\2\3" + part[at + 9 :])

"""A TCP proxy for tests that counts messages, and cuts, swallows or diverts them.

It understands just enough of PostgreSQL's and MySQL's protocols to find where messages end:

* before TLS, a message is one packet of the database's protocol;
* after it, one TLS record of application data, since nothing inside can be read. In TLS 1.3 the
  encrypted part of the handshake looks the same and is counted too; the plain part, and records of
  other types, pass uncounted.

A message is read whole before it is forwarded, however it arrived: a given conversation always has
the same messages. They are counted from 0 in each direction, over all connections, so that "the
fourth message from the database" means the same moment in every run; `reset` begins anew.

Sources: RFC 8446 section 5.1 (records); PostgreSQL's documentation, "Message Formats"; MySQL's
"Client/Server Protocol", sections "Packets" and "Connection Phase".
"""

import contextlib
import enum
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

HOST = "localhost"

_TLS_HANDSHAKE = 22
_TLS_APPLICATION_DATA = 23
_POSTGRES_ENCRYPTION_REQUESTS = frozenset({80877103, 80877104})  # SSLRequest, GSSENCRequest
_MYSQL_CLIENT_SSL = 0x0800
_CONNECT_SECONDS = 10.0
_JOIN_SECONDS = 10.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Direction(enum.StrEnum):
    """Which way a message goes."""

    TO_DATABASE = "to-database"
    FROM_DATABASE = "from-database"


Hook = Callable[[Direction, int], None]
"""Is told direction and index of each message before it is forwarded."""


class CutConnection(Exception):
    """Raised by a call-back to have the connection cut before the message is forwarded."""


class _Ended(Exception):
    """The other side closed the connection."""


class _Mode(enum.Enum):
    PASS = enum.auto()
    REFUSE = enum.auto()
    BLACK_HOLE = enum.auto()


@dataclass
class _Conversation:
    """What both directions of one connection must know to find where messages end.

    Whoever learns something writes it down *before* forwarding the message that tells it, and a
    reader looks only after the first byte of the next message has arrived: it cannot be late.
    """

    engine: str | None = None  # told by who speaks first: a MySQL server, a PostgreSQL client
    tls: bool = False
    handshake_begun: bool = False
    starting: bool = True  # PostgreSQL: until the start-up message; MySQL: until the first answer
    answer_is_one_byte: bool = False  # PostgreSQL's answer to a request for encryption


def _read(source: socket.socket, size: int) -> bytes:
    """Read exactly `size` bytes.

    Raises:
        _Ended: the other side closed before that.
    """
    parts = bytearray()
    while len(parts) < size:
        try:
            part = source.recv(size - len(parts))
        except OSError as error:  # a reset: whoever closes with something unread sends one
            raise _Ended from error
        if not part:
            raise _Ended
        parts += part
    return bytes(parts)


@dataclass(frozen=True)
class _Message:
    """One message as it goes over the wire."""

    content: bytes
    counted: bool = True


def _tls_record(source: socket.socket, first: bytes) -> _Message:
    header = first + _read(source, 4)
    content = header + _read(source, int.from_bytes(header[3:5]))
    return _Message(content, counted=first[0] == _TLS_APPLICATION_DATA)


def _mysql_packet(source: socket.socket, first: bytes) -> _Message:
    header = first + _read(source, 3)
    return _Message(header + _read(source, int.from_bytes(header[:3], "little")))


def _postgres_message(source: socket.socket, first: bytes) -> _Message:
    length = _read(source, 4)
    return _Message(first + length + _read(source, int.from_bytes(length) - 4))


def _postgres_start(source: socket.socket, first: bytes) -> _Message:
    length = first + _read(source, 3)
    return _Message(length + _read(source, int.from_bytes(length) - 4))


def _next_from_client(source: socket.socket, conversation: _Conversation) -> _Message:
    """Read the client's next message, and note what it tells about those to come."""
    first = _read(source, 1)
    if conversation.tls:
        conversation.handshake_begun = True
        return _tls_record(source, first)
    conversation.engine = conversation.engine or "postgres"
    if conversation.engine == "mysql":
        packet = _mysql_packet(source, first)
        if conversation.starting:
            conversation.starting = False
            capabilities = int.from_bytes(packet.content[4:8], "little")
            conversation.tls = bool(capabilities & _MYSQL_CLIENT_SSL)
        return packet
    if not conversation.starting:
        return _postgres_message(source, first)
    if first[0] == _TLS_HANDSHAKE:  # a start-up message begins with its length, so with zero
        conversation.tls = conversation.handshake_begun = True
        return _tls_record(source, first)
    message = _postgres_start(source, first)
    code = int.from_bytes(message.content[4:8])
    conversation.starting = code in _POSTGRES_ENCRYPTION_REQUESTS
    conversation.answer_is_one_byte = conversation.starting
    return message


def _next_from_database(source: socket.socket, conversation: _Conversation) -> _Message:
    """Read the database's next message, and note what it tells about those to come."""
    first = _read(source, 1)
    if conversation.tls:
        return _tls_record(source, first)
    conversation.engine = conversation.engine or "mysql"
    if conversation.engine == "mysql":
        return _mysql_packet(source, first)
    if conversation.answer_is_one_byte and first != b"E":
        conversation.answer_is_one_byte = False
        return _Message(first)
    return _postgres_message(source, first)


_NEXT = {Direction.TO_DATABASE: _next_from_client, Direction.FROM_DATABASE: _next_from_database}


@dataclass(eq=False)
class _Connection:
    """One client's connection and the proxy's own to the database."""

    client: socket.socket
    database: socket.socket | None = None
    conversation: _Conversation = field(default_factory=_Conversation)
    directions_open: int = 2

    def cut(self) -> None:
        """End both sides at once: the client sees a reset.

        The database's side is closed in order, so that what was forwarded before does arrive.
        """
        conversation = self.conversation
        # Between MySQL's request for TLS and the handshake, CPython's SSLSocket, if it finds the
        # connection reset, raises without closing itself, and warns of that when it is collected.
        if conversation.handshake_begun or not conversation.tls:
            with contextlib.suppress(OSError):
                self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close both sides, and wake the threads that read from them."""
        for side in (self.client, self.database):
            if side is not None:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RD)
                side.close()


class Proxy:
    """A proxy on a free port of loopback, from `with` until its end.

    It passes everything on until told otherwise:

    * `refuse`: new connections are refused; open ones go on;
    * `black_hole`: new connections are accepted, but nothing is forwarded any more, on none;
    * `cut_after(messages)`: so many messages more, then every open connection is cut;
    * `redirect(host, port)`: open connections are cut, new ones lead to another server, as after
      a failover;
    * `pass_through`: as in the beginning; connections that lost messages are cut.
    """

    host = "localhost"
    """The name that a local server's certificate is made out to: TLS is verified through here."""

    def __init__(
        self, target_host: str, target_port: int, *, on_message: Hook | None = None
    ) -> None:
        """Listen on a free port.

        Args:
            target_host: where the database is.
            target_port: its port.
            on_message: called before each message is forwarded, with its direction and its index
                in that direction: what it does until it returns happens before the message
                arrives. It may raise `CutConnection`. May be set later, as an attribute.
        """
        self.on_message = on_message
        self._target = (target_host, target_port)
        self._mode = _Mode.PASS
        self._lock = threading.Lock()
        self._all_ended = threading.Condition(self._lock)
        self._seen = dict.fromkeys(Direction, 0)
        self._cut_after: tuple[int, Direction | None] | None = None
        self._accepted = 0
        self._connections: set[_Connection] = set()
        self._threads: list[threading.Thread] = []
        self._failure: Exception | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._listen()

    @property
    def connections(self) -> int:
        """How many connections were accepted since the last `reset`."""
        return self._accepted

    def messages(self, direction: Direction) -> int:
        """Return how many messages there were in this direction since the last `reset`."""
        return self._seen[direction]

    def reset(self) -> None:
        """Count messages and connections from 0 again, and forget `cut_after`."""
        with self._lock:
            self._seen = dict.fromkeys(Direction, 0)
            self._cut_after = None
            self._accepted = 0

    def settle(self, seconds: float = 10.0) -> None:
        """Wait until every open connection has ended, its last messages counted.

        A client has closed its connection before the good-bye that it sent has gone through here.

        Raises:
            TimeoutError: some connection is still open after so many seconds.
        """
        with self._all_ended:
            if not self._all_ended.wait_for(lambda: not self._connections, seconds):
                raise TimeoutError(f"{len(self._connections)} connections are still open")

    def pass_through(self) -> None:
        """Forward everything; end any other mode."""
        self._change_mode(_Mode.PASS)

    def refuse(self) -> None:
        """Refuse new connections, as a machine does where nothing listens."""
        self._change_mode(_Mode.REFUSE)

    def black_hole(self) -> None:
        """Accept connections and swallow all that arrives on them, in both directions."""
        self._change_mode(_Mode.BLACK_HOLE)

    def cut_after(self, messages: int, direction: Direction | None = None) -> None:
        """Cut every open connection, once, after so many messages more.

        Args:
            messages: how many messages are still forwarded, at least 1.
            direction: count only those; both directions by default.
        """
        with self._lock:
            self._cut_after = (messages, direction)

    def redirect(self, host: str, port: int) -> None:
        """Cut open connections and lead new ones to another server."""
        with self._lock:
            self._target = (host, port)
        self._cut_all()

    def __enter__(self) -> Self:
        """Return the proxy."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cut everything; raise what a call-back raised, unless something else is being raised."""
        self.close()
        if self._failure is not None and error is None:
            raise self._failure

    def close(self) -> None:
        """Stop listening and cut every connection. May be called again."""
        self._stop_listening()
        self._cut_all()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(_JOIN_SECONDS)

    def _change_mode(self, mode: _Mode) -> None:
        before, self._mode = self._mode, mode
        if before is _Mode.BLACK_HOLE and mode is not _Mode.BLACK_HOLE:
            self._cut_all()  # what was swallowed is missing from these conversations
        if mode is _Mode.REFUSE and before is not _Mode.REFUSE:
            self._stop_listening()
            # Bound but not listening: the port stays ours, and connecting to it is refused.
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", self.port))
        elif before is _Mode.REFUSE and mode is not _Mode.REFUSE:
            self._listener.listen()
            self._listen()

    def _listen(self) -> None:
        self._start_thread(self._accept, self._listener)

    def _stop_listening(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()

    def _start_thread(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # closed
            connection = _Connection(client)
            with self._lock:
                self._accepted += 1
                self._connections.add(connection)
            self._start_thread(self._serve, connection)

    def _serve(self, connection: _Connection) -> None:
        """Connect to the database and forward both directions until both have ended."""
        if self._mode is _Mode.BLACK_HOLE:
            with contextlib.suppress(OSError):
                while connection.client.recv(65536):
                    pass
            self._cut(connection)
            return
        try:
            connection.database = socket.create_connection(self._target, _CONNECT_SECONDS)
        except OSError:
            self._cut(connection)
            return
        with self._lock:
            cut_meanwhile = connection not in self._connections
        if cut_meanwhile:
            connection.close()
            return
        for side in (connection.client, connection.database):
            side.settimeout(None)
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._start_thread(self._forward, connection, Direction.FROM_DATABASE)
        self._forward(connection, Direction.TO_DATABASE)

    def _forward(self, connection: _Connection, direction: Direction) -> None:
        assert connection.database is not None  # noqa: S101 - for the type checker
        source, sink = connection.client, connection.database
        if direction is Direction.FROM_DATABASE:
            source, sink = sink, source
        try:
            while True:
                message = _NEXT[direction](source, connection.conversation)
                if self._mode is _Mode.BLACK_HOLE:
                    continue
                if message.counted:
                    self._before(direction)
                # One side that is gone does not keep the other's last words from being counted:
                # whether they are sent before or after it is a matter of microseconds.
                with contextlib.suppress(OSError):
                    sink.sendall(message.content)
                if message.counted:
                    self._after(direction)
        except _Ended:
            self._end(connection, sink)
        except CutConnection:
            self._cut(connection)
        except Exception as error:  # noqa: BLE001 - a call-back's; raised where the test sees it
            self._failure = error
            self._cut(connection)

    def _before(self, direction: Direction) -> None:
        with self._lock:
            index = self._seen[direction]
            self._seen[direction] += 1
        if self.on_message is not None:
            self.on_message(direction, index)

    def _after(self, direction: Direction) -> None:
        with self._lock:
            if self._cut_after is None or self._cut_after[1] not in {None, direction}:
                return
            left = self._cut_after[0] - 1
            self._cut_after = (left, self._cut_after[1]) if left else None
        if not left:
            self._cut_all()

    def _end(self, connection: _Connection, sink: socket.socket) -> None:
        """Pass the end of one direction on; close the connection when both have ended."""
        if self._mode is _Mode.BLACK_HOLE:
            return
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
        with self._lock:
            connection.directions_open -= 1
            if connection.directions_open:
                return
        connection.close()
        self._forget(connection)

    def _cut(self, connection: _Connection) -> None:
        connection.cut()
        self._forget(connection)

    def _forget(self, connection: _Connection) -> None:
        with self._all_ended:
            self._connections.discard(connection)
            self._all_ended.notify_all()

    def _cut_all(self) -> None:
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            self._cut(connection)

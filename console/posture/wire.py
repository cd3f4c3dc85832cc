"""TLS of a secret's database, as it is seen from here."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from console.posture.databases import database_of
from console.posture.handshake import Handshake, shake
from console.posture.place import PORTS, Place
from console.posture.subject import Seen, Subject
from console.posture.view import Unseen


@dataclass
class Wire:
    """Handshakes, one for each server: many secrets may be of one."""

    known: dict[tuple[str, int], Handshake] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _locks: dict[tuple[str, int], threading.Lock] = field(default_factory=dict)

    def at(self, protocol: str, host: str, port: int) -> Handshake:
        """Return what a server shows."""
        with self._lock:
            lock = self._locks.setdefault((host, port), threading.Lock())
        with lock:
            if (host, port) not in self.known:
                self.known[host, port] = shake(protocol, host, port)
            return self.known[host, port]

    def check(self, subject: Subject) -> Iterator[Seen]:
        """Look at what a secret's database shows.

        Raises:
            Unseen: It cannot be reached from here.
        """
        place = _reached_by(subject)
        if place is None:
            return
        port = place.port or PORTS[place.protocol]
        found = self.at(place.protocol, place.host, port)
        if not found.reached:
            subject.facts["tls"] = "not reached from here"
            raise Unseen(f"{place.host}:{port} cannot be reached from here: {found.why}.")
        subject.facts |= {"tls": found.version or found.code, "takes_clear": found.takes_clear}
        if found.code:
            yield Seen(found.code, f"{place.host}:{port}: {found.why}")
        if found.takes_clear:
            text = f"{place.host}:{port} asked for a password on a connection in clear."
            yield Seen("PlaintextTaken", text)


def _reached_by(subject: Subject) -> Place | None:
    """Return where to connect to; None where it is not known, or no protocol of ours.

    Raises:
        Unseen: RDS does not tell.
    """
    place = subject.require_place()
    if place.host:
        return place if place.protocol else None
    database = database_of(subject)
    if database is None:
        return None
    told = database.told
    end = {"Address": told.get("Endpoint"), "Port": told.get("Port")}
    if not database.is_cluster:
        end = told.get("Endpoint", {})
    host = str(end.get("Address") or "")
    engine = database.engine.replace("postgresql", "postgres")
    found = Place(engine, host, int(end.get("Port") or 0))
    return found if host and found.protocol else None

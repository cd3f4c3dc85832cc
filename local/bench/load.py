"""Rotations while twenty clients are busy: what do these notice of it?

`python -m local.bench load` prints it. The clients are other users than the rotated ones: each
updates a row of its own, reads, and logs in anew now and then. The server itself is asked who
waited for a lock: PostgreSQL logs it, MySQL and MariaDB count it and show it in their list of
processes.
"""

import argparse
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from local.bench.measurements import ROOT, TURNS, Bench
from local.demo.terminal import Terminal
from local.engines import ENGINES
from local.isolation import forget_caller
from local.secretsmanager import SecretsManagerService
from local.servers import Server, start
from local.servers.server import random_password

CLIENTS = 20
ROTATIONS = TURNS
WAIT_MS = 50
"""A client that waited so long for a lock has noticed."""
LOOK_SECONDS = 0.01
GONE_SECONDS = 5.0
"""In which a server lets go of sessions that were closed."""

CLIENT = "bench_client"


@dataclass(slots=True)
class Noticed:
    """What the server and its clients saw.

    Attributes:
        rotations: How many were made meanwhile.
        transactions: How many the clients made.
        errors: What clients were answered instead, lost connections included.
        waits: Lock waits, as the server tells.
        longest_seconds: The longest time that a session of a rotation was at one statement, or in
            one transaction.
        left: Sessions of rotations that were there after all of them.
    """

    rotations: int = 0
    transactions: int = 0
    errors: list[str] = field(default_factory=list)
    waits: list[str] = field(default_factory=list)
    longest_seconds: float = 0.0
    left: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    parser.add_argument("--engine", choices=sorted(WATCHES), default="postgres")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Tell what was noticed.

    Returns:
        The exit status: 1 if anything was.
    """
    service = SecretsManagerService()
    with ExitStack() as stack:
        environment = stack.enter_context(service.endpoint()).environment()
        forget_caller(environment)
        server = stack.enter_context(start(arguments.engine))
        bench = Bench(ENGINES[arguments.engine], server, service, environment)
        noticed = notice(bench, server)
    terminal.line(
        f"  {noticed.rotations} rotations beside {noticed.transactions} transactions of "
        f"{CLIENTS} clients; longest at one statement or in one transaction: "
        f"{noticed.longest_seconds * 1000:.0f} ms"
    )
    held = not (noticed.errors or noticed.waits or noticed.left)
    seen = [*noticed.errors, *noticed.waits][:5]
    terminal.claim(
        "Nobody noticed." if held else f"Noticed: {noticed.left} left; {seen}", held=held
    )
    return 0 if held else 1


def notice(bench: Bench, server: Server) -> Noticed:
    """Rotate by every strategy while clients are busy, and return what they saw."""
    noticed = Noticed()
    secrets = [
        bench.secret(strategy, "load", administrator=by) for strategy, by in bench.strategies()
    ]
    users = [bench.username(secret) for secret in secrets]
    for secret in secrets:  # makes second users and warms up; nothing is looked at yet
        with bench.function() as function:
            function.rotate(secret, bench.new_version(secret))
    watch = WATCHES[server.engine](server, [*users, server.administrator.username])
    with watch.waits(noticed), clients(server, noticed), watch.sessions(noticed):
        for secret in secrets:
            with bench.function() as function:
                for _ in range(ROTATIONS):
                    function.rotate(secret, bench.new_version(secret))
                    noticed.rotations += 1
    end = time.monotonic() + GONE_SECONDS
    while (left := watch.left()) and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
    noticed.left = left
    return noticed


@contextmanager
def clients(server: Server, noticed: Noticed) -> Iterator[None]:
    """Keep clients busy, in a process of their own, until ``with`` ends."""
    password = random_password()
    server.create_user(CLIENT, password)
    server.execute("CREATE TABLE bench_load (id int PRIMARY KEY, n int)")
    for number in range(CLIENTS):
        server.execute("INSERT INTO bench_load VALUES (%s, 0)", (number,))
    server.execute(
        f"GRANT SELECT, UPDATE ON bench_load TO {CLIENT}"
        + ("" if server.engine == "postgres" else "@'%'")
    )
    login = {
        "engine": server.engine,
        "host": server.host,
        "port": server.port,
        "user": CLIENT,
        "password": password,
        "database": server.database,
        "ca_file": str(server.ca_file),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "local.bench.busy", json.dumps(login), str(CLIENTS), str(WAIT_MS)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("The clients have no standard output.")
        process.stdout.readline()  # nothing is noticed by clients that have not begun
        yield
    finally:
        told, _ = process.communicate()
    answer = json.loads(told)
    noticed.transactions, noticed.errors = answer["transactions"], answer["errors"]


WAITS = re.compile(r"Waiting for .*lock", re.IGNORECASE)
"""How MySQL and MariaDB call the state of who waits for a lock; "System lock" is none."""


class Watch:
    """Looks at a server on behalf of its clients.

    Args:
        server: The server.
        users: Whose sessions are those of rotations.
    """

    SESSIONS: str
    """Returns how long each session of a rotation is at its statement or transaction."""
    LEFT: str
    """Counts the sessions of rotations."""

    def __init__(self, server: Server, users: list[str]) -> None:
        self.server = server
        self.users = users

    def left(self) -> int:
        """Count the sessions of rotations that are there now."""
        ((count,),) = self.server.execute(self.LEFT, self.parameters())
        return int(str(count))

    def parameters(self) -> tuple[object, ...]:
        """Return what LEFT and SESSIONS ask for."""
        return ()

    def look(self, noticed: Noticed) -> None:
        """Note what is to be seen at this moment."""
        seconds = [float(str(row[0])) for row in self.server.execute(self.SESSIONS)]
        noticed.longest_seconds = max([noticed.longest_seconds, *seconds])

    @contextmanager
    def sessions(self, noticed: Noticed) -> Iterator[None]:
        """Look again and again until ``with`` ends."""
        over = threading.Event()

        def look_on() -> None:
            while not over.wait(LOOK_SECONDS):
                self.look(noticed)

        looking = threading.Thread(target=look_on)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()

    @contextmanager
    def waits(self, noticed: Noticed) -> Iterator[None]:
        """Note every lock wait until ``with`` ends."""
        raise NotImplementedError


class PostgresWatch(Watch):
    """PostgreSQL logs who waits longer than its deadlock_timeout."""

    SESSIONS = (
        "SELECT extract(epoch FROM clock_timestamp() - xact_start) FROM pg_stat_activity"
        " WHERE application_name = 'secret-rotation' AND xact_start IS NOT NULL"
    )
    LEFT = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'secret-rotation'"
    WAITING = re.compile(r"LOG:  (process \d+ still waiting for .*)")

    @contextmanager
    def waits(self, noticed: Noticed) -> Iterator[None]:
        """Read the log."""
        for setting in ("log_lock_waits = on", f"deadlock_timeout = '{WAIT_MS // 2}ms'"):
            self.server.execute(f"ALTER SYSTEM SET {setting}")
        self.server.execute("SELECT pg_reload_conf()")
        began = len(self.server.log_text())
        yield
        noticed.waits += self.WAITING.findall(self.server.log_text()[began:])


class MysqlWatch(Watch):
    """MySQL and MariaDB count waits for rows and tables, and show the others while they last."""

    LEFT = "SELECT count(*) FROM information_schema.processlist WHERE user IN %s"
    SESSIONS = "SELECT user, time, state FROM information_schema.processlist"
    COUNTERS = (
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('Innodb_row_lock_waits', 'Table_locks_waited')"
    )

    def parameters(self) -> tuple[object, ...]:
        """Return what LEFT asks for."""
        return (tuple(self.users),)

    def look(self, noticed: Noticed) -> None:
        """Note a client that waits for a lock, and how long a rotation's session is at its work."""
        for user, seconds, state in self.server.execute(self.SESSIONS):
            if user in self.users and state:
                noticed.longest_seconds = max(noticed.longest_seconds, float(str(seconds)))
            if user == CLIENT and WAITS.match(str(state)):
                noticed.waits.append(str(state))

    @contextmanager
    def waits(self, noticed: Noticed) -> Iterator[None]:
        """Read the counters."""
        before = self.server.execute(self.COUNTERS)
        yield
        after = self.server.execute(self.COUNTERS)
        noticed.waits += [f"{name} {count}" for name, count in after if (name, count) not in before]


WATCHES: Mapping[str, Callable[[Server, list[str]], Watch]] = {
    "postgres": PostgresWatch,
    "mysql": MysqlWatch,
    "mariadb": MysqlWatch,
}

"""Clients that are busy until standard input ends: `python -m local.bench.busy LOGIN CLIENTS MS`.

LOGIN is JSON. Each client has a thread and a connection; it updates a row of its own, reads, and
logs in anew after every hundred transactions. Writes a line as soon as every client has made a
transaction or has failed. At the end answers, in JSON, with the number of transactions and
with every error; to wait for a lock longer than MS is one, where the server can be told so.
"""

import json
import sys
import threading
from dataclasses import dataclass, field
from typing import Any

LOGIN_AFTER = 100


def connect(login: dict[str, Any], wait_ms: int) -> Any:  # noqa: ANN401 - either driver's
    """Log in over verified TLS."""
    who = {key: login[key] for key in ("host", "port", "user", "password")}
    if login["engine"] == "postgres":
        import psycopg  # noqa: PLC0415 - whichever is needed

        return psycopg.connect(
            **who,
            dbname=login["database"],
            sslmode="verify-full",
            sslrootcert=login["ca_file"],
            autocommit=True,
            options=f"-c lock_timeout={wait_ms}",
        )
    import pymysql  # noqa: PLC0415 - likewise

    connection = pymysql.connect(
        **who, database=login["database"], ssl={"ca": login["ca_file"]}, autocommit=True
    )
    with connection.cursor() as cursor:
        cursor.execute("SET SESSION innodb_lock_wait_timeout = 1, lock_wait_timeout = 1")
    return connection


@dataclass(slots=True)
class Told:
    """What the clients are told, and what they tell."""

    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    over: threading.Event = field(default_factory=threading.Event)
    transactions: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


def work(number: int, login: dict[str, Any], wait_ms: int, told: Told) -> None:
    """Be one client until it is over; tells that it has begun, its errors, its transactions."""
    done = 0
    try:
        while not told.over.is_set():
            connection = connect(login, wait_ms)
            cursor = connection.cursor()
            for _ in range(LOGIN_AFTER):
                if told.over.is_set():
                    break
                cursor.execute("UPDATE bench_load SET n = n + 1 WHERE id = %s", (number,))
                cursor.execute("SELECT n FROM bench_load WHERE id = %s", (number,))
                cursor.fetchall()
                done += 1
                if done == 1:
                    told.begun.release()
            connection.close()
    except Exception as error:  # noqa: BLE001 - whatever a client is answered
        told.errors.append(f"{type(error).__name__}: {error}")
        if not done:
            told.begun.release()
    told.transactions.append(done)


def main() -> None:
    """Keep all clients busy until standard input ends."""
    login, clients, wait_ms = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    told = Told()
    threads = [
        threading.Thread(target=work, args=(number, login, wait_ms, told))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        told.begun.acquire()
    sys.stdout.write("busy\n")
    sys.stdout.flush()
    sys.stdin.read()
    told.over.set()
    for thread in threads:
        thread.join()
    answer = {"transactions": sum(told.transactions), "errors": told.errors}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()

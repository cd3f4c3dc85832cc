"""Clients that are busy until standard input ends: `python -m local.bench.busy LOGIN CLIENTS MS`.

LOGIN is JSON. Each client has a thread and a connection; it updates a row of its own, reads, and
logs in anew after every hundred transactions. Answers, in JSON, with the number of transactions and
with every error; to wait for a lock longer than MS is one, where the server can be told so.
"""

import json
import sys
import threading
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


def work(
    number: int, login: dict[str, Any], wait_ms: int, over: threading.Event, told: list[Any]
) -> None:
    """Be one client until it is over; tells its errors and, last, its number of transactions."""
    done = 0
    try:
        while not over.is_set():
            connection = connect(login, wait_ms)
            cursor = connection.cursor()
            for _ in range(LOGIN_AFTER):
                if over.is_set():
                    break
                cursor.execute("UPDATE bench_load SET n = n + 1 WHERE id = %s", (number,))
                cursor.execute("SELECT n FROM bench_load WHERE id = %s", (number,))
                cursor.fetchall()
                done += 1
            connection.close()
    except Exception as error:  # noqa: BLE001 - whatever a client is answered
        told.append(f"{type(error).__name__}: {error}")
    told.append(done)


def main() -> None:
    """Keep all clients busy until standard input ends."""
    login, clients, wait_ms = json.loads(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    over, told = threading.Event(), list[Any]()
    threads = [
        threading.Thread(target=work, args=(number, login, wait_ms, over, told))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()
    errors = [each for each in told if isinstance(each, str)]
    transactions = sum(each for each in told if isinstance(each, int))
    sys.stdout.write(json.dumps({"transactions": transactions, "errors": errors}))


if __name__ == "__main__":
    main()

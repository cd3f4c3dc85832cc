"""A server with many users and grants, and what a rotation costs there.

`python -m local.bench crowd` prints it. The users are made as a superuser can, quickly: a thousand
of them in a statement, or as rows of the server's own tables.
"""
# ruff: noqa: S608 - statements are made of this module's own names and numbers

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from statistics import median

from local.bench.measurements import STEPS, TURNS, Bench
from local.demo.terminal import Terminal
from local.engines import ENGINES
from local.isolation import forget_caller
from local.secretsmanager import SecretsManagerService
from local.servers import Server, start
from shared.settings import StrategyName

SIZES = (0, 1_000, 10_000)
"""Users; each has five grants."""
GRANTS_OF_EACH = 5
TABLES = 50
ROTATIONS = 2 * TURNS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what can be asked for."""
    parser.add_argument("--engine", choices=sorted(FILLS), default="postgres")


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Tell what a setSecret of alternating-users takes at each size.

    Returns:
        The exit status.
    """
    forget_caller({})
    terminal.title(f"{'users':>10}{'grants':>10}{'setSecret':>14}")
    for size, seconds in costs(arguments.engine):
        grants = GRANTS_OF_EACH * size
        terminal.line(f"{size:>10,}{grants:>10,}{seconds * 1000:>11.0f} ms")
    return 0


def costs(engine: str) -> Iterator[tuple[int, float]]:
    """Yield each of SIZES with the median seconds of a warm setSecret of alternating-users."""
    service, declared = SecretsManagerService(), ENGINES[engine]
    with ExitStack() as stack:
        environment = stack.enter_context(service.endpoint()).environment()
        server = stack.enter_context(start(engine))
        bench = Bench(declared, server, service, environment)
        secret = bench.secret(StrategyName.ALTERNATING_USERS, "crowd", administrator=True)
        before = 0
        for size in SIZES:
            fill(server, before, size)
            before = size
            yield size, _set_secret_seconds(bench, secret)


def _set_secret_seconds(bench: Bench, secret: str) -> float:
    with bench.function() as function:
        for _ in range(TURNS):
            function.rotate(secret, bench.new_version(secret))
        answers = [
            [*function.steps(secret, bench.new_version(secret))][-1] for _ in range(ROTATIONS)
        ]
    seconds: list[float] = [answer["seconds"][STEPS.index("setSecret")] for answer in answers]
    return median(seconds)


def fill(server: Server, first: int, last: int) -> None:
    """Make the users of the numbers from ``first`` to before ``last``, each with its grants."""
    if last > first:
        FILLS[server.engine](server, first, last)


def _fill_postgres(server: Server, first: int, last: int) -> None:
    server.execute(
        f"""
        DO $$ BEGIN
          FOR t IN 0..{TABLES - 1} LOOP
            EXECUTE format('CREATE TABLE IF NOT EXISTS crowd_table_%s (id int)', t);
          END LOOP;
          FOR n IN {first}..{last - 1} LOOP
            EXECUTE format('CREATE ROLE crowd_%s LOGIN', n);
            COMMIT;
          END LOOP;
          FOR t IN 0..{TABLES - 1} LOOP
            EXECUTE (
              SELECT format(
                       'GRANT SELECT ON crowd_table_%s TO %s', t, string_agg('crowd_' || n, ','))
                FROM generate_series({first}, {last - 1}) AS n
               WHERE n % {TABLES // GRANTS_OF_EACH} = t % {TABLES // GRANTS_OF_EACH});
            COMMIT;
          END LOOP;
        END $$
        """
    )


def _fill_mysql(server: Server, first: int, last: int) -> None:
    server.execute("CREATE USER IF NOT EXISTS crowd@'%' IDENTIFIED BY 'Nobody-logs-in-1'")
    ((columns,),) = server.execute(
        "SELECT group_concat(concat('`', column_name, '`') ORDER BY ordinal_position)"
        " FROM information_schema.columns WHERE table_schema = 'mysql' AND table_name = 'user'"
    )
    names = str(columns)
    values = names.replace("`User`", "concat('crowd_', n)")
    server.execute(
        f"INSERT INTO mysql.user ({names}) {_numbers(first, last)}"
        f" SELECT {values} FROM mysql.user, numbers WHERE User = 'crowd'"
    )
    _fill_tables_priv(server, first, last)


def _fill_mariadb(server: Server, first: int, last: int) -> None:
    server.execute("CREATE USER IF NOT EXISTS crowd@'%' IDENTIFIED BY 'Nobody-logs-in-1'")
    server.execute(
        f"INSERT INTO mysql.global_priv (Host, User, Priv) {_numbers(first, last)}"
        " SELECT Host, concat('crowd_', n), Priv FROM mysql.global_priv, numbers"
        " WHERE User = 'crowd'"
    )
    _fill_tables_priv(server, first, last)


def _fill_tables_priv(server: Server, first: int, last: int) -> None:
    for table in range(TABLES):
        server.execute(f"CREATE TABLE IF NOT EXISTS crowd_table_{table} (id int)")
    server.execute(
        "INSERT INTO mysql.tables_priv (Host, Db, User, Table_name, Grantor, Table_priv)"
        f" {_numbers(first, last)} SELECT '%', '{server.database}', concat('crowd_', n),"
        f" concat('crowd_table_', (n * {GRANTS_OF_EACH} + k) % {TABLES}), 'crowd@%', 'Select'"
        f" FROM numbers, (SELECT d AS k FROM digits WHERE d < {GRANTS_OF_EACH}) AS grants"
    )
    server.execute("FLUSH PRIVILEGES")


def _numbers(first: int, last: int) -> str:
    digits = " UNION ALL ".join(f"SELECT {digit} AS d" for digit in range(10))
    return (
        f"WITH digits AS ({digits}), numbers AS ("
        " SELECT n FROM (SELECT a.d + 10 * b.d + 100 * c.d + 1000 * e.d AS n"
        " FROM digits AS a, digits AS b, digits AS c, digits AS e) AS every"
        f" WHERE n >= {first} AND n < {last})"
    )


FILLS: Mapping[str, Callable[[Server, int, int], None]] = {
    "postgres": _fill_postgres,
    "mysql": _fill_mysql,
    "mariadb": _fill_mariadb,
}

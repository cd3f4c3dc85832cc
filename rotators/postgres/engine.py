"""What PostgreSQL is declared to be; see :mod:`shared.engine`."""

from shared.engine import BY_ADMINISTRATOR, BY_USER, Engine
from shared.settings import StrategyName

POSTGRES = Engine(
    name="postgres",
    title="PostgreSQL",
    names=frozenset({"postgres", "postgresql", "aurora-postgresql"}),
    function="PostgresRotator",
    driver="psycopg",
    default_port=5432,
    strategies={
        StrategyName.SINGLE_USER: BY_USER,
        StrategyName.SINGLE_USER_BY_ADMINISTRATOR: BY_ADMINISTRATOR,
        StrategyName.ALTERNATING_USERS: BY_ADMINISTRATOR,
    },
)
ENGINES = (POSTGRES,)

"""What MySQL and MariaDB are declared to be; see :mod:`shared.engine`."""

from shared.engine import BY_ADMINISTRATOR, BY_EITHER, BY_USER, Engine
from shared.settings import StrategyName

FUNCTION = "MysqlRotator"
DRIVER = "pymysql"
DEFAULT_PORT = 3306
COMMON = {
    StrategyName.SINGLE_USER: BY_USER,
    StrategyName.SINGLE_USER_BY_ADMINISTRATOR: BY_ADMINISTRATOR,
    StrategyName.ALTERNATING_USERS: BY_ADMINISTRATOR,
}

MYSQL = Engine(
    name="mysql",
    title="MySQL",
    names=frozenset({"mysql", "aurora-mysql"}),
    function=FUNCTION,
    driver=DRIVER,
    default_port=DEFAULT_PORT,
    strategies={**COMMON, StrategyName.DUAL_PASSWORD: BY_EITHER},
)
MARIADB = Engine(
    name="mariadb",
    title="MariaDB",
    names=frozenset({"mariadb"}),
    function=FUNCTION,
    driver=DRIVER,
    default_port=DEFAULT_PORT,
    # A user may change no more than the first of its passwords.
    strategies={**COMMON, StrategyName.DUAL_PASSWORD: BY_ADMINISTRATOR},
)
ENGINES = (MYSQL, MARIADB)

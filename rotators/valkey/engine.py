"""What Valkey and Redis are declared to be; see :mod:`shared.engine`."""

from shared.engine import BY_ADMINISTRATOR, Engine
from shared.settings import StrategyName

VALKEY = Engine(
    name="valkey",
    title="Valkey",
    names=frozenset({"valkey", "redis"}),
    function="ValkeyRotator",
    driver="valkey",
    default_port=6379,
    # Who may change a password may change everybody's: applications' users may not.
    strategies={
        StrategyName.DUAL_PASSWORD: BY_ADMINISTRATOR,
        StrategyName.SINGLE_USER_BY_ADMINISTRATOR: BY_ADMINISTRATOR,
    },
)
ENGINES = (VALKEY,)

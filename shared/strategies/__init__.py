"""The ways to bring a new password into force, by the names that tags and settings use."""

from collections.abc import Mapping

from shared.settings import StrategyName
from shared.strategies.alternating_users import AlternatingUsers
from shared.strategies.dual_password import DualPassword
from shared.strategies.single_user import SingleUser, SingleUserByAdministrator
from shared.strategies.strategy import Strategy

__all__ = ["STRATEGIES", "Strategy"]

STRATEGIES: Mapping[StrategyName, type[Strategy]] = {
    strategy.name: strategy
    for strategy in (SingleUser, SingleUserByAdministrator, AlternatingUsers, DualPassword)
}

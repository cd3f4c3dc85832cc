"""A function with a defect that only a kill shows: it never tries the pending password."""

from unittest.mock import patch

from rotators.postgres.rotator import handler
from shared import strategies
from shared.lifecycle import SEARCH, Source

__all__ = ["handler"]

_CARELESS = tuple(each for each in SEARCH if each[0] is Source.CURRENT)

# In the function's own process, which ends with the test.
patch.object(strategies, "SEARCH", _CARELESS).start()

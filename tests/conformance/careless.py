"""A function with a defect that only a kill shows: it never tries the fence's password."""

from unittest.mock import patch

from rotators.postgres.rotator import handler
from shared.lifecycle import Source
from shared.strategies import search

__all__ = ["handler"]

# In the function's own process, which ends with the test.
patch.object(search, "SEARCH", (Source.CURRENT,)).start()

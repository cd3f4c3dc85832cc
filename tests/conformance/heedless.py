"""A function with a defect that only a hold shows: it does not look again under the lock."""

from unittest.mock import patch

from rotators.postgres.rotator import handler
from shared.holding import Hold
from shared.lifecycle import Verdict
from shared.reading import Reading

__all__ = ["handler"]

# In the function's own process, which ends with the test.
patch.object(Reading, "verdict", lambda self, plan: Verdict.SAME).start()
patch.object(Hold, "require_fence", lambda self: None).start()

"""One class of contract tests for each broken rotator; of its tests only one is run."""

from tests.kit.broken import abilities, connects, locks, sessions
from tests.kit.broken.defect import DEFECTS, Defect
from tests.kit.contract import Contract

__all__ = ["DEFECTS", "abilities", "connects", "locks", "sessions"]


def _class_of(defect: Defect) -> type:
    """Return a class of contract tests with this one alone, and what it needs besides."""
    test = defect.test.partition("[")[0]
    members = {
        name: member
        for base in reversed(Contract.__mro__)
        for name, member in vars(base).items()
        if name == test or not name.startswith(("test_", "__"))
    }
    return type(f"Test{defect.name}", (), members | {"world": defect.world})


for each in DEFECTS:
    globals()[f"Test{each.name}"] = _class_of(each)

"""What one code of the registry is."""

from dataclasses import dataclass
from enum import StrEnum

from shared.examination.finding import Level


class Examiner(StrEnum):
    """Who finds a code."""

    FUNCTION = "function"
    """The rotation function, in its own network and role."""
    OUTSIDE = "outside"
    """Whoever asks, with credentials of his own."""


@dataclass(frozen=True, slots=True)
class Code:
    """One thing that may be found.

    Attributes:
        name: Stable: never changed, never used for anything else.
        level: When found; a check may find it milder.
        title: What it is, in half a sentence.
        meaning: What it does to rotations or applications.
        do: What to do next, in general; a finding names host, account and secret.
        examiner: Who finds it.
    """

    name: str
    level: Level
    title: str
    meaning: str
    do: str
    examiner: Examiner = Examiner.FUNCTION

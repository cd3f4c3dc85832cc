"""What was read of a secret at one moment, and what it means for an attempt."""

from dataclasses import dataclass

from shared.lifecycle import VERDICTS, Verdict
from shared.model import Description, Label, Stage
from shared.plan import Plan


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer of DescribeSecret, as the attempt ``token`` sees it. It never changes.

    Attributes:
        token: The version that the attempt makes.
        description: Labels and tags.
    """

    token: str
    description: Description

    @property
    def current(self) -> str | None:
        """The version with AWSCURRENT."""
        return self.description.holder(Stage.CURRENT)

    @property
    def previous(self) -> str | None:
        """The version with AWSPREVIOUS."""
        return self.description.holder(Stage.PREVIOUS)

    @property
    def fence(self) -> str | None:
        """The version whose password was last about to be brought into force."""
        return self.description.holder(Label.FENCE)

    @property
    def labels(self) -> frozenset[str] | None:
        """The labels of the attempt's own version; None when it has none, or does not exist."""
        return self.description.stages.get(self.token)

    @property
    def carries_fence(self) -> bool:
        """Whether this attempt was the last that was about to change anything."""
        return self.fence == self.token

    @property
    def is_pending(self) -> bool:
        """Whether AWSPENDING is on the attempt's own version."""
        return Stage.PENDING in (self.labels or ())

    @property
    def recovers(self) -> bool:
        """Whether an attempt other than this one was left unfinished: its password may be in force.

        A rotation that has ended leaves the fence on AWSCURRENT.
        """
        return self.fence not in (None, self.current, self.token)

    def verdict(self, plan: Plan) -> Verdict:
        """Say what the attempt may still do."""
        promoted = self.current == self.token
        same = plan.is_made_from(self.current)
        return VERDICTS[self.is_pending, promoted, same]

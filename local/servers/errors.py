"""The one error of this package."""


class ServerUnavailable(Exception):
    """A database server cannot be had, or not what was asked of it.

    Never a reason to skip a test: the hint tells what to do.
    """

    def __init__(self, problem: str, *, hint: str) -> None:
        """Keep what went wrong and what the reader can do about it.

        Args:
            problem: one sentence on what is missing.
            hint: one sentence that tells what to do next.
        """
        super().__init__(f"{problem} {hint}")
        self.problem = problem
        self.hint = hint

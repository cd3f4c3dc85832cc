"""Two deliveries by turns: one is held before chosen messages, and let go before others' messages.

Each has a thread, but only one ever runs: they hand the turn over. So a history depends on nothing
but its plan, and can be repeated.
"""

from collections.abc import Mapping, Sequence
from threading import Lock as Baton
from threading import Thread
from typing import Any

from local.secretsmanager.versions import Versions
from tests.histories.world import Delivery, World, version_id

AT_THE_LOCK = -1
"""Instead of a message's number: let the held one go when the other waits for its lock."""


class Turns(World):
    """A world in which one delivery is held.

    The service's own deliveries run in the caller's thread.

    Attributes:
        let_go_before: The message before which the held one was let go last.
    """

    def begin_history(self, *, traced: bool = False) -> None:
        """Forget what was before: nobody is held."""
        super().begin_history(traced=traced)
        self._holds: list[int] = []
        self._releases: list[int] = []
        self._waits = self._dies = False
        self.let_go_before = 0
        self._hers, self._others = Baton(), Baton()
        self._hers.acquire()
        self._others.acquire()

    def hold(
        self,
        step: str,
        token: str,
        holds: Sequence[int],
        releases: Sequence[int],
        *,
        dies: bool = False,
    ) -> bool:
        """Begin a delivery, and hold it.

        Args:
            step: Which.
            token: Whose.
            holds: Before which of its messages it is held, in order.
            releases: Before which messages of the service's deliveries it is let go, in order;
                :data:`AT_THE_LOCK` for the moment at which one of them waits for its lock. What is
                not reached is left to :meth:`let_go`.
            dies: It dies where it is held; the request that it was about to make arrives later.

        Returns:
            False when it has ended before the first of them.
        """
        self.held = Delivery(f"{step}({token.rstrip('.-')})", step, token)
        self._holds, self._releases, self._dies = list(holds), list(releases), dies
        before = self.running
        Thread(target=self._run_held, args=(self.held,), daemon=True).start()
        self._others.acquire()
        self.running = before
        return not self.held.over

    def _run_held(self, delivery: Delivery) -> None:
        try:
            self.carry_out(delivery)
        finally:
            delivery.over = True
            self._others.release()

    def let_go(self) -> None:
        """Let the held one run on to its end, and its next hold: nobody else is at work."""
        while self.held is not None and not self.held.over:
            self._holds.clear()
            self._give_turn()

    def _give_turn(self) -> None:
        """Let the held one run until it is held again, waits for the lock, or is over."""
        before = self.running
        self._hers.release()
        self._others.acquire()
        self.running = before

    def _take_rest(self, delivery: Delivery) -> None:
        self._others.release()
        self._hers.acquire()
        self.running = delivery

    def turn(self, delivery: Delivery) -> None:
        """Hold the held one here, or let it go before a message of another."""
        if delivery is self.held:
            if self._holds and delivery.messages == self._holds[0]:
                self._holds.pop(0)
                self.say(f"--- {delivery.name} {'dies' if self._dies else 'is held'}")
                if self._dies:
                    self.die(delivery)
                self._take_rest(delivery)
                self.say(f"--- {delivery.name} goes on")
        elif self._releases and self.messages == self._releases[0]:
            self._releases.pop(0)
            self._wake()

    def _wake(self) -> None:
        self.let_go_before = self.messages
        if self.held is not None and not self.held.over and not self._waits:
            self._give_turn()

    def is_quiet(self) -> bool:
        """Say whether nothing is planned, and nobody is held."""
        return (self.held is None or self.held.over) and super().is_quiet()

    @property
    def all_used(self) -> bool:
        """Whether the history reached everything that it was to do."""
        return not self._holds and not self._releases

    def wait_for_lock(self) -> bool:
        """Wait for the lock: the held one until it is free, the others only if it is let go now."""
        delivery = self.running
        self.say(f"--- {delivery.name} waits for the lock")
        if delivery is self.held:
            self._waits = True
            self._take_rest(delivery)
            self._waits = False
            return True
        if self._releases and self._releases[0] == AT_THE_LOCK:
            self._releases.pop(0)
            self._wake()
            return True
        return False

    def unlocked(self) -> None:
        """Let the held one have the lock if it waits for it."""
        super().unlocked()
        if self._waits and self.running is not self.held:
            self._give_turn()


class OldReading(Turns):
    """A world in which the held one sees, under its lock, what it saw before it was held."""

    def begin_history(self, *, traced: bool = False) -> None:
        """Forget what was before."""
        super().begin_history(traced=traced)
        self._seen: Versions | None = None

    def read(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Show the held one something old, once."""
        delivery = self.running
        if delivery is self.held and parameters["SecretId"] == self.secret.arn:
            if not delivery.holds:
                self._seen = self.secret.versions
            elif self._seen is not None:
                self.blurred = True
                self.see_stale(self._seen, reads=1)
                self._seen = None
        return super().read(operation, parameters)


def token(name: str) -> str:
    """Return the token of a rotation."""
    return version_id(name)

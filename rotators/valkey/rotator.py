"""The rotator for Valkey and Redis."""

from typing import TYPE_CHECKING, ClassVar

from rotators.valkey.engine import ENGINES
from shared.deadline import Deadline
from shared.engine import Engine
from shared.model import Login
from shared.passwords import Profile
from shared.rotator import Rotator
from shared.runtime import handler_for

if TYPE_CHECKING:
    from rotators.valkey.session import ValkeySession


class ValkeyRotator(Rotator):
    """Opens sessions with servers that speak Valkey's protocol."""

    engines: ClassVar[tuple[Engine, ...]] = ENGINES
    profile: ClassVar[Profile] = Profile(longest=512)
    """What `requirepass` and a replica's `masterauth` take; a user's password knows no limit."""
    longest_name: ClassVar[int] = 512
    """The servers have no limit; no name is made here."""

    def connect(self, login: Login, deadline: Deadline) -> "ValkeySession":
        """Log in; see :func:`rotators.valkey.connection.log_in` for the errors."""
        # Here and nowhere later: createSecret needs no driver, and no change comes before a login.
        from rotators.valkey.connection import log_in  # noqa: PLC0415
        from rotators.valkey.session import ValkeySession  # noqa: PLC0415

        return ValkeySession(log_in(login, self.default_port(), self.trust, deadline))


handler = handler_for(ValkeyRotator)

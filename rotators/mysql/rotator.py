"""The rotator for MySQL, MariaDB and Aurora MySQL."""

from typing import TYPE_CHECKING, ClassVar

from rotators.mysql.engine import ENGINES
from shared.deadline import Deadline
from shared.engine import Engine
from shared.model import Login
from shared.passwords import Profile
from shared.rotator import Rotator
from shared.runtime import handler_for

if TYPE_CHECKING:
    from rotators.mysql.session import MysqlFamilySession


class MysqlRotator(Rotator):
    """Opens sessions with servers that speak MySQL's protocol; which one, the server tells."""

    engines: ClassVar[tuple[Engine, ...]] = ENGINES
    profile: ClassVar[Profile] = Profile(longest=128)
    longest_name: ClassVar[int] = 128

    def connect(self, login: Login, deadline: Deadline) -> "MysqlFamilySession":
        """Log in; see :func:`rotators.mysql.connection.open_connection` for the errors."""
        # Here and nowhere later: createSecret needs no driver, and no change comes before a login.
        from rotators.mysql.connection import open_connection  # noqa: PLC0415
        from rotators.mysql.mariadb import MariadbSession  # noqa: PLC0415
        from rotators.mysql.mysql import MysqlSession  # noqa: PLC0415

        connection = open_connection(login, self.default_port(), self.trust, deadline)
        return (MariadbSession if connection.is_mariadb else MysqlSession)(connection)


handler = handler_for(MysqlRotator)

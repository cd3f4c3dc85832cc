"""Rotators whose ``connect``, or what they say of names, is broken."""

import socket
import ssl
import time
from typing import ClassVar, cast

from rotators.mysql.rotator import MysqlRotator
from rotators.postgres.rotator import PostgresRotator
from rotators.postgres.session import PostgresSession
from rotators.valkey.rotator import ValkeyRotator
from rotators.valkey.session import ValkeySession
from shared.deadline import Deadline
from shared.errors import (
    AccountLocked,
    DatabaseError,
    LoginRefused,
    NameNotResolved,
    PermissionDenied,
    RotationError,
    ServerBusy,
    StatementFailed,
    TlsFailed,
    TlsNotOffered,
    Unreachable,
)
from shared.model import Login
from shared.passwords import Profile
from shared.rotator import Rotator
from shared.tls import Trust
from tests.kit.broken.defect import breaks
from tests.kit.worlds.mysql import MySQLWorld
from tests.kit.worlds.postgres import PostgresWorld


def refused(error: DatabaseError) -> LoginRefused:
    """Take any error for a refusal."""
    return LoginRefused(error.message)


class Mistaking(ValkeyRotator):
    """Takes some failures for a refusal."""

    mistaken: ClassVar[tuple[type[DatabaseError], ...]] = ()

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in, and mistake what went wrong."""
        try:
            return super().connect(login, deadline)
        except self.mistaken as error:
            raise refused(error) from None


@breaks(Rotator.connect, "test_login[closed port]")
class UnreachableIsRefused(Mistaking):
    """A server that is out of reach counts as a wrong password."""

    mistaken = (Unreachable,)


@breaks(Rotator.connect, "test_login[silent host]")
class SilenceIsRefused(Mistaking):
    """All but a closed port counts as a wrong password: here, a server that says nothing."""

    mistaken = (Unreachable, TlsFailed, ServerBusy)


@breaks(Rotator.connect, "test_login[other authority]")
class UntrustedIsRefused(Mistaking):
    """A certificate that cannot be trusted counts as a wrong password."""

    mistaken = (TlsFailed,)


@breaks(Rotator.connect, "test_login[unknown host name]")
class UnknownHostIsRefused(Mistaking):
    """A name that DNS does not know counts as a wrong password."""

    mistaken = (NameNotResolved,)


@breaks(Rotator.connect, "test_login[full server]")
class BusyIsRefused(Mistaking):
    """A server with no connection to spare counts as a wrong password."""

    mistaken = (ServerBusy,)


@breaks(Rotator.connect, "test_login[a web server]")
class OtherProtocolIsRefused(Mistaking):
    """An answer in another protocol counts as a wrong password."""

    mistaken = (TlsNotOffered, Unreachable, TlsFailed)


@breaks(Rotator.connect, "test_connection_cut_while_logging_in")
class CutIsRefused(Mistaking):
    """A connection that is cut in a login counts as a wrong password."""

    mistaken = (Unreachable, ServerBusy, TlsFailed)


@breaks(Rotator.connect, "test_login[missing user]")
class MissingIsUnreachable(ValkeyRotator):
    """A refusal counts as a server out of reach: the search never goes on."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in, and mistake a refusal."""
        try:
            return super().connect(login, deadline)
        except LoginRefused as error:
            raise Unreachable(error.message) from None


@breaks(Rotator.connect, "test_login[locked user]", good=PostgresWorld)
class LockedIsRefused(PostgresRotator):
    """A locked account counts as a wrong password, though the server tells them apart."""

    def connect(self, login: Login, deadline: Deadline) -> PostgresSession:
        """Log in, and mistake a lock."""
        try:
            return super().connect(login, deadline)
        except AccountLocked as error:
            raise refused(error) from None


@breaks(Rotator.connect, "test_login[no right to come in]", good=PostgresWorld)
class DeniedIsRefused(PostgresRotator):
    """A right that is missing counts as a wrong password."""

    def connect(self, login: Login, deadline: Deadline) -> PostgresSession:
        """Log in, and mistake a denial."""
        try:
            return super().connect(login, deadline)
        except PermissionDenied as error:
            raise refused(error) from None


@breaks(Rotator.connect, "test_login[expired user]", good=MySQLWorld)
class ExpiredIsUnknown(MysqlRotator):
    """A password that has expired is an error of no class of its own."""

    def connect(self, login: Login, deadline: Deadline):  # type: ignore[no-untyped-def]  # noqa: ANN201
        """Log in, and forget what went wrong."""
        try:
            return super().connect(login, deadline)
        except DatabaseError as error:
            raise StatementFailed(error.message) from None


class Unverified(Trust):
    """Trusts in parts."""

    def __init__(self, verify: ssl.VerifyMode, ca_file: Trust, host: str) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = verify
        self._context.load_verify_locations(cafile=ca_file.file_for(host))

    def context_for(self, host: str) -> ssl.SSLContext:
        """Return a context that does not look at the name."""
        return self._context


@breaks(Rotator.connect, "test_login[other authority]")
class AnyAuthority(ValkeyRotator):
    """TLS is not verified at all."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in over TLS of anybody's."""
        self.trust = Unverified(ssl.CERT_NONE, self.trust, login.host)
        return super().connect(login, deadline)


@breaks(Rotator.connect, "test_login[other host name]")
class AnyHostName(ValkeyRotator):
    """The certificate's host name is not looked at."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in to whoever has a certificate of the authority."""
        self.trust = Unverified(ssl.CERT_REQUIRED, self.trust, login.host)
        return super().connect(login, deadline)


@breaks(Rotator.connect, "test_login[plaintext server]", good=PostgresWorld)
class PlaintextInstead(PostgresRotator):
    """Where a server has no TLS, plaintext is tried."""

    def connect(self, login: Login, deadline: Deadline) -> PostgresSession:
        """Log in somehow."""
        try:
            return super().connect(login, deadline)
        except TlsNotOffered:
            plain = Login.parse(login.to_json().replace('"ssl": true', '"ssl": false'), where="it")
            return super().connect(plain, deadline)


@breaks(Rotator.connect, "test_login[silent host]")
class NoTimeout(ValkeyRotator):
    """The deadline does not bound a login."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Wait for longer than there is time."""
        return super().connect(login, Deadline(deadline.remaining() + 3))


@breaks(Deadline.seconds, "test_no_time")
class BeginsWithoutTime(ValkeyRotator):
    """A login is begun when time is over."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in, whatever the deadline says."""
        return super().connect(login, Deadline(20))


@breaks(DatabaseError, "test_login[full server]")
class ProvesTooMuch(ValkeyRotator):
    """An error says that it proves the password, and does not."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in, and believe in the password."""
        try:
            return super().connect(login, deadline)
        except ServerBusy as error:
            raise ServerBusy(error.message, proves_password=True) from None


@breaks(DatabaseError, "test_login[wrong password]")
class PasswordInMessage(ValkeyRotator):
    """The message quotes the password."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in, and tell too much."""
        try:
            return super().connect(login, deadline)
        except LoginRefused:
            raise LoginRefused(f"{login.username} is refused with {login.password}.") from None


@breaks(DatabaseError, "test_login[closed port]")
class Chained(ValkeyRotator):
    """The error hangs on the driver's, whose frames hold the password."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in, and tell where it comes from."""
        try:
            return super().connect(login, deadline)
        except Unreachable as error:
            raise Unreachable(error.message) from ConnectionError(login.password)


@breaks(Rotator.connect, "test_login[closed port]")
class DriversOwnError(ValkeyRotator):
    """A failure is an exception of the driver's."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in, and let through what comes."""
        try:
            return super().connect(login, deadline)
        except RotationError:
            raise ConnectionRefusedError from None


class Changing(ValkeyRotator):
    """Changes a login on its way."""

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in as somebody slightly else."""
        return super().connect(self.changed(login), deadline)

    def changed(self, login: Login) -> Login:
        """Return the other login."""
        raise NotImplementedError


@breaks(Rotator.connect, "test_login[longer password]")
class CutsPasswords(Changing):
    """What follows the right password does not matter."""

    def changed(self, login: Login) -> Login:
        """Cut the end off."""
        return login.replacing(password=login.password.removesuffix("x"))


@breaks(Rotator.connect, "test_login[nearly right password]")
class IgnoresCase(Changing):
    """Capitals in a password do not matter."""

    def changed(self, login: Login) -> Login:
        """Write it as the tests do."""
        return login.replacing(password=login.password.capitalize().replace(" battery", " Battery"))

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in with the password, or in other letters."""
        try:
            return ValkeyRotator.connect(self, login, deadline)
        except LoginRefused:
            lowered = login.password.lower().replace("battery", "Battery")
            return ValkeyRotator.connect(self, login.replacing(password=lowered), deadline)


@breaks(Rotator.connect, "test_awkward_password[non-ASCII]")
class Latin1(Changing):
    """The driver is given Latin-1."""

    def changed(self, login: Login) -> Login:
        """Lose what Latin-1 does not have."""
        password = login.password.encode("latin-1", "replace").decode("latin-1")
        return login.replacing(password=password)


@breaks(Rotator.connect, "test_awkward_password[spaces around]")
class StripsPasswords(Changing):
    """Spaces around a password are taken off."""

    def changed(self, login: Login) -> Login:
        """Strip it."""
        return login.replacing(password=login.password.strip())


@breaks(Rotator.connect, "test_awkward_name[capitals]")
class LowersNames(Changing):
    """User names are lowered."""

    def changed(self, login: Login) -> Login:
        """Lower it."""
        return login.replacing(password=login.password, username=login.username.lower())


@breaks(Profile, "test_longest_password")
class LongestIsCutOff(Changing):
    """Of a long password only the beginning counts."""

    def changed(self, login: Login) -> Login:
        """Cut it off where bcrypt does."""
        return login.replacing(password=login.password[:72])


@breaks(Rotator.require_name, "test_longest_name", good=PostgresWorld)
class AnyLength(PostgresRotator):
    """No name is too long."""

    @classmethod
    def require_name(cls, username: str) -> None:
        """Allow it."""


@breaks(Rotator.name_length, "test_longest_name", good=PostgresWorld)
class CountsCharacters(PostgresRotator):
    """The length of a name is counted in characters, and the engine counts bytes."""

    @classmethod
    def name_length(cls, username: str) -> int:
        """Count characters."""
        return len(username)


@breaks(Rotator.connect, "test_refused_login_leaves_no_connection")
class LeavesConnections(ValkeyRotator):
    """A login that was refused leaves its connection open."""

    left: ClassVar[list[socket.socket]] = []

    def connect(self, login: Login, deadline: Deadline) -> ValkeySession:
        """Log in, and forget a connection."""
        try:
            return super().connect(login, deadline)
        except LoginRefused:
            self.left.append(socket.create_connection((login.host, cast("int", login.port))))
            time.sleep(0.5)  # until it has been accepted, on a busy machine too
            raise

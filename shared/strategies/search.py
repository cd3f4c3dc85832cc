"""Which of the stored passwords is in force? The database is asked, in the order of the rules."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.databases import Databases
from shared.errors import (
    AccessDenied,
    BadSecret,
    LoginRefused,
    NoLoginWorks,
    PasswordExpired,
    RotationError,
    ServerBusy,
)
from shared.holding import Hold
from shared.lifecycle import SEARCH, SEARCH_WITHOUT_GUESSING, Source
from shared.model import Label, Login, Version
from shared.options import Variable
from shared.reading import Reading
from shared.rotation import Attempt, BeginAgain, Rotation
from shared.session import Session


@dataclass(frozen=True, slots=True)
class Found:
    """A stored password that the database has accepted.

    Attributes:
        source: Where it comes from.
        version_id: The version that holds it.
        login: The pending login with that password.
        session: Opened with it.
    """

    source: Source
    version_id: str
    login: Login
    session: Session


@dataclass(slots=True)
class Search:
    """One search for the password in force.

    Attributes:
        databases: The way in.
        rotation: The unit of work.
        attempt: Whose user is looked for.
        refused: The passwords that were refused.
        skipped: Why versions were not tried, a phrase each.
        last: What the database said at the last refusal.
    """

    databases: Databases
    rotation: Rotation
    attempt: Attempt
    refused: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    last: LoginRefused | None = None

    def run(self) -> Found | None:
        """Log in with the first stored password that the database accepts.

        Returns:
            None when none was accepted and the secret names an administrator, who can set one.

        Raises:
            NoLoginWorks: All were refused, and there is no administrator.
            BeginAgain: AWSCURRENT is the attempt's own version meanwhile.
        """
        by_administrator = self.attempt.pending.administrator_arn is not None
        sources = SEARCH_WITHOUT_GUESSING if by_administrator else SEARCH
        for source, version in self._versions(sources):
            login = self._login(source, version)
            if login is None or login.password in self.refused:
                continue
            if len(self.refused) >= self.rotation.settings.refused_logins:
                self.skipped.append("whatever is older: the bound is reached")
                break
            try:
                session = self.databases.open(self.rotation, login)
            except LoginRefused as refused:
                self.refused.append(login.password)
                self.last = refused
            except (PasswordExpired, ServerBusy) as error:
                # The password is right, and an administrator can do what its user cannot.
                right = error.proves_password or isinstance(error, PasswordExpired)
                if by_administrator and right:
                    return None
                raise
            else:
                self.rotation.facts.logged_in_with = source.name
                return Found(source, version.id, login, session)
        if by_administrator:
            return None
        raise self.in_vain()

    def _versions(self, sources: tuple[Source, ...]) -> Iterator[tuple[Source, Version]]:
        """Yield the versions to try; labels are read only when AWSCURRENT was refused."""
        current = self.rotation.current_version()
        if current.id == self.attempt.token:
            raise BeginAgain
        yield Source.CURRENT, current
        reading = self.rotation.read()
        if Label.SEARCHED in (reading.labels or ()):
            sources = SEARCH_WITHOUT_GUESSING
        tried = {current.id}
        for source in sources:
            for version_id in self._ids(source, reading):
                if version_id in tried:
                    continue
                tried.add(version_id)
                try:
                    version = self.rotation.version(version_id)
                except AccessDenied as denied:
                    # Labels of the service's apart, versions stay under the key of their time.
                    self.skipped.append(f"{source.name} cannot be decrypted: {denied.message}")
                    continue
                if version is not None:
                    yield source, version

    def _ids(self, source: Source, reading: Reading) -> list[str]:
        if source is Source.REST:
            # What has AWSPENDING without the fence was never about to be brought into force.
            ids = self.rotation.store.version_ids(self.rotation.secret_id)
            return [each for each in ids if each != self.attempt.token]
        holders = {
            Source.CURRENT: reading.current,
            Source.FENCE: reading.fence,
            Source.PREVIOUS: reading.previous,
        }
        return [holder] if (holder := holders[source]) else []

    def _login(self, source: Source, version: Version) -> Login | None:
        """Return the pending login with that version's password, if it may be tried."""
        pending = self.attempt.pending
        if version.id == self.attempt.token:
            return pending
        try:
            login = self.rotation.login_of(version, source.name)
        except BadSecret:
            self.skipped.append(f"{source.name} is not usable")
            return None
        if login.username != pending.username:
            self.skipped.append(f"{source.name} is of user {login.username}")
            return None
        if not self.databases.belongs(login, pending):
            self.skipped.append(f"{source.name} is for another host, port or TLS option")
            return None
        return pending.replacing(password=login.password)

    def in_vain(self) -> RotationError:
        """Remember the search on the attempt, and return the error that tells of it.

        The service repeats the rotation, and each refused login counts against the account.
        """
        rotation, pending = self.rotation, self.attempt.pending
        holder = rotation.read().description.holder(Label.SEARCHED)
        rotation.store.move_label(rotation.secret_id, Label.SEARCHED, rotation.token, holder)
        told = "; ".join(sorted(set(self.skipped)))
        msg = (
            f"No stored version of {rotation.secret_id} logs in as {pending.username} at "
            f"{pending.host}: {len(self.refused)} passwords were refused, of the "
            f"{rotation.settings.refused_logins} that {Variable.REFUSED_LOGINS} allows"
            + (f"; not tried: {told}" if told else "")
            + (f". The last refusal: {self.last}" if self.last else ".")
        )
        return NoLoginWorks(msg)


def find_login(databases: Databases, rotation: Rotation, attempt: Attempt) -> Found | None:
    """Log in with the first stored password that the database accepts; see :meth:`Search.run`."""
    return Search(databases, rotation, attempt).run()


def find_own_login(databases: Databases, rotation: Rotation, attempt: Attempt) -> Found:
    """Do the same where there is no administrator to turn to."""
    search = Search(databases, rotation, attempt)
    found = search.run()
    if found is None:
        raise search.in_vain()
    return found


def confirm(databases: Databases, hold: Hold, found: Found) -> None:
    """Make sure, under the lock, that what logged in before it still does, and is what it was.

    Only AWSCURRENT needs no second look, where no attempt was left unfinished: whoever changes a
    password moves the fence first.

    Raises:
        BeginAgain: It does not.
    """
    reading = hold.reading
    if found.source is Source.CURRENT and found.version_id != reading.current:
        raise BeginAgain
    if found.version_id == reading.current and reading.fence in (None, reading.current):
        return
    if found.version_id == hold.attempt.token and not reading.carries_fence:
        raise BeginAgain
    if not databases.accepts(hold.rotation, found.login):
        raise BeginAgain

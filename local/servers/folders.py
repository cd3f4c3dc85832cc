"""Temporary folders of running servers, the cache, and the user who runs the servers.

A server never runs as root: PostgreSQL and MySQL refuse to, and a test must not need it. Started
by root, servers run as `nobody` (or the user named in ROTATION_SERVERS_USER) through `setpriv`;
started by anyone else, they run as that user.

A run's folder holds a marker with the process that owns it, so that a later start can remove what
a dead run left behind.
"""

import contextlib
import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local.servers.errors import ServerUnavailable

RUN_PREFIX = "rotation-server-"
_OWNER_MARKER = "owner"


def give(path: Path, user_id: int, group_id: int) -> None:
    """Make a user the owner of `path` and of all below it."""
    os.chown(path, user_id, group_id)
    for folder, folders, files in os.walk(path):
        for name in [*folders, *files]:
            inside = os.path.join(folder, name)  # noqa: PTH118 - there are thousands
            os.chown(inside, user_id, group_id, follow_symlinks=False)


@dataclass(frozen=True)
class Unprivileged:
    """The user who runs the servers."""

    user_id: int
    group_id: int
    name: str

    @property
    def is_another(self) -> bool:
        """True if this is not the user who runs this program, so that ownership must be given."""
        return self.user_id != os.geteuid()

    def command(self, command: list[str], *, until_parent_dies: bool = False) -> list[str]:
        """Return the command line that runs `command` as this user.

        Args:
            command: a program's command line.
            until_parent_dies: the kernel is to kill the program when its parent dies. The signal
                is requested after the user id was set, since setting it clears the request.
        """
        options = []
        if self.is_another:
            options += [f"--reuid={self.user_id}", f"--regid={self.group_id}", "--clear-groups"]
        if until_parent_dies:
            options += ["--pdeathsig=KILL"]
        return ["setpriv", *options, "--", *command] if options else command

    def own(self, path: Path) -> None:
        """Give `path`, with all below it, to this user."""
        if self.is_another:
            give(path, self.user_id, self.group_id)

    def assert_can_read(self, path: Path) -> None:
        """Check that this user reaches `path`.

        Raises:
            ServerUnavailable: a folder above it is closed, or another user cannot be had at all.
        """
        if not self.is_another:
            return
        trial = subprocess.run(
            self.command(["test", "-r", str(path)]), capture_output=True, text=True, check=False
        )
        if trial.returncode:
            raise ServerUnavailable(
                f"The user {self.name!r}, who is to run the database server, cannot read {path}"
                f" {trial.stderr.strip()}".rstrip()
                + ".",
                hint="Run as an ordinary user, name another user in ROTATION_SERVERS_USER, or set"
                " TMPDIR and ROTATION_SERVERS_CACHE to folders that this user can reach.",
            )


def unprivileged() -> Unprivileged:
    """Return the user who runs the servers: the current one, or another if that is root.

    Raises:
        ServerUnavailable: the user named in ROTATION_SERVERS_USER does not exist or is root.
    """
    user_id = os.geteuid()
    if user_id != 0:
        return Unprivileged(user_id, os.getegid(), str(user_id))
    name = os.environ.get("ROTATION_SERVERS_USER", "nobody")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ServerUnavailable(
            f"There is no user {name!r} to run the database server.",
            hint="Name an unprivileged user of this machine in ROTATION_SERVERS_USER.",
        ) from None
    if entry.pw_uid == 0:
        raise ServerUnavailable(
            "ROTATION_SERVERS_USER names root, and database servers do not run as root.",
            hint="Name an unprivileged user of this machine in ROTATION_SERVERS_USER.",
        )
    return Unprivileged(entry.pw_uid, entry.pw_gid, entry.pw_name)


def _started_at(process_id: int) -> str | None:
    """Return when the process started, in clock ticks since boot, or None if it is not running.

    Source: proc(5), field 22 of /proc/<pid>/stat. It tells a process from a later one that was
    given the same number.
    """
    try:
        status = Path(f"/proc/{process_id}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may itself contain spaces and parentheses.
    return status.rpartition(")")[2].split()[19]


def _remove_dead_runs(parent: Path) -> None:
    """Remove the folders of runs whose owner is gone, as far as they are ours."""
    for folder in parent.glob(f"{RUN_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            if folder.lstat().st_uid != os.geteuid() or not folder.is_dir():
                continue
            process_id, started_at = (folder / _OWNER_MARKER).read_text().split()
            if _started_at(int(process_id)) != started_at:
                shutil.rmtree(folder, ignore_errors=True)


def new_run_folder() -> Path:
    """Make the folder of one running server, after removing those of dead runs.

    Returns:
        A folder that everyone may pass through and only this program may write to.
    """
    parent = Path(tempfile.gettempdir())
    _remove_dead_runs(parent)
    folder = Path(tempfile.mkdtemp(prefix=RUN_PREFIX, dir=parent))
    (folder / _OWNER_MARKER).write_text(f"{os.getpid()} {_started_at(os.getpid())}")
    folder.chmod(0o711)
    return folder


def _may_pass(folder: Path) -> bool:
    """Tell whether everyone may pass through `folder` and all folders above it."""
    existing = [each for each in (folder, *folder.parents) if each.exists()]
    return all(each.stat().st_mode & stat.S_IXOTH for each in existing)


def cache_folder() -> Path:
    """Return the folder that keeps downloaded servers, made if need be.

    ROTATION_SERVERS_CACHE, else `secret-rotation/servers` below XDG_CACHE_HOME or `~/.cache`.
    Root's home is usually closed to others, and the servers run as another user: then it is
    `/var/tmp/secret-rotation-<uid>/servers`, which survives a restart as a cache should.

    Raises:
        ServerUnavailable: the folder belongs to someone else, who could change what we run.
    """
    chosen = os.environ.get("ROTATION_SERVERS_CACHE")
    if chosen:
        folder = Path(chosen).absolute()
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = base / "secret-rotation" / "servers"
        if unprivileged().is_another and not _may_pass(folder):
            folder = Path(f"/var/tmp/secret-rotation-{os.geteuid()}/servers")  # noqa: S108 - owner checked below
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(mode=0o755, exist_ok=True)
    for each in (folder, folder.parent):
        status = each.lstat()
        open_to_others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if each == folder and (status.st_uid != os.geteuid() or open_to_others):
            raise ServerUnavailable(
                f"The cache {each} belongs to another user or is open to others' changes.",
                hint="Remove it, or set ROTATION_SERVERS_CACHE to a folder of your own.",
            )
    return folder


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file at `path`; the kernel releases it if this process dies.

    Args:
        path: the lock file, made if need be and never removed.
    """
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

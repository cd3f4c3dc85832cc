"""Finds the programs of a database server: on this machine, else in the archive's cache."""

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.servers import archive

_SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/usr/libexec"


@dataclass(frozen=True)
class Installation:
    """One installed server.

    Attributes:
        kind: what was asked for, such as `mysql`.
        program: the server's program.
        version: as the program tells it, such as `9.7.4`.
        tree: the folder that it was unpacked into, laid out like a root file system; None if the
            machine itself has it, and everything lies where the program expects it.
    """

    kind: str
    program: Path
    version: str
    tree: Path | None


def _version(program: Path) -> tuple[str, bool]:
    """Return the version that a server's program tells, and whether it calls itself MariaDB."""
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    # PostgreSQL writes its name in parentheses before the number, MySQL "Ver", Valkey "v=".
    found = re.search(r"(?:Ver |\(PostgreSQL\) |v=)(\d+(?:\.\d+)*)", told)
    return (found.group(1) if found else told.strip()), "MariaDB" in told


def _newest_first(folder: Path) -> tuple[int, ...]:
    return tuple(-int(number) for number in re.findall(r"\d+", folder.parts[-3]))


def _postgres_candidates() -> list[Path]:
    """Return the machine's PostgreSQL programs: PATH's first, then Debian's, newest first.

    A program on PATH that does not have `initdb` beside it is a wrapper or a link: where it
    leads counts.
    """
    on_path = shutil.which("postgres")
    packaged = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_newest_first)
    return [*([Path(on_path).resolve()] if on_path else []), *packaged]


def _path_candidates(*names: str) -> list[Path]:
    found = [shutil.which(name) or shutil.which(name, path=_SYSTEM_FOLDERS) for name in names]
    return [Path(each).resolve() for each in found if each]


def _mysql_candidates() -> list[Path]:
    return _path_candidates("mysqld")


def _mariadb_candidates() -> list[Path]:
    return _path_candidates("mariadbd", "mysqld")


def _valkey_candidates() -> list[Path]:
    # As it is called, not where a link leads: of one program it is the name that says what to be.
    return [Path(each) for each in [shutil.which("valkey-server")] if each]


_CANDIDATES: dict[str, Callable[[], list[Path]]] = {
    "postgres": _postgres_candidates,
    "mysql": _mysql_candidates,
    "mariadb": _mariadb_candidates,
    "valkey": _valkey_candidates,
}


def _on_this_machine(kind: str) -> Installation | None:
    """Return the machine's own server of this kind, or None."""
    engine, _, wanted = kind.partition("-")
    for program in _CANDIDATES[engine]():
        if engine == "postgres" and not (program.parent / "initdb").exists():
            continue
        version, calls_itself_mariadb = _version(program)
        if calls_itself_mariadb != (engine == "mariadb"):
            continue
        if not wanted or version == wanted or version.startswith(f"{wanted}."):
            return Installation(kind, program, version, tree=None)
    return None


def installation(kind: str) -> Installation:
    """Return the server of this kind, brought from Debian's archive if the machine has none.

    Args:
        kind: a key of `archive.RECIPES`.

    Raises:
        ServerUnavailable: it is not on the machine and cannot be brought.
    """
    found = _on_this_machine(kind)
    if found:
        return found
    tree = archive.fetch(kind)
    name = archive.RECIPES[kind].programs[0]
    program = next(each for each in tree.glob(f"usr/**/{name}") if each.is_file())
    return Installation(kind, program, _version(program)[0], tree)

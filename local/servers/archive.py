"""Database servers out of Debian's package archive, unpacked into a private folder.

Without root and without changing the system: apt works on its own sources, lists, cache and an
empty list of installed packages, so that it downloads a server with everything it depends on, its
C library included; `dpkg-deb -x` only unpacks, no package's script runs. The programs are then
pointed at the loader and the libraries of the folder by `patchelf`, and run as they are. apt
verifies the archive's signature with the keyring of the machine.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from local.servers.errors import ServerUnavailable
from local.servers.folders import Unprivileged, cache_folder, give, locked, unprivileged

MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_DESCRIPTION = "installation.json"
# Rises when the layout of an unpacked folder changes, so that older caches are not taken for it.
_LAYOUT = 1
# What servers on loopback never read, and most of the space.
_SUPERFLUOUS = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/i18n",
    "usr/share/perl",
    "usr/lib/systemd",
    "usr/lib/locale",
)


@dataclass(frozen=True)
class Recipe:
    """Where a server comes from.

    Attributes:
        suite: Debian's release.
        packages: what to bring; dependencies come along.
        programs: file names of the programs to be made runnable from where they are.
    """

    suite: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]


_POSTGRES_PROGRAMS = ("postgres", "initdb")
_MARIADB_PACKAGES = ("mariadb-server-core", "mariadb-client-core")
_MARIADB_PROGRAMS = ("mariadbd", "my_print_defaults", "resolveip")

RECIPES = {
    "postgres": Recipe("bookworm", ("postgresql-15",), _POSTGRES_PROGRAMS),
    "postgres-17": Recipe("trixie", ("postgresql-17",), _POSTGRES_PROGRAMS),
    "postgres-18": Recipe("sid", ("postgresql-18",), _POSTGRES_PROGRAMS),
    "mysql": Recipe("sid", ("mysql-server-core",), ("mysqld",)),
    "mariadb": Recipe("bookworm", _MARIADB_PACKAGES, _MARIADB_PROGRAMS),
    "mariadb-11.8": Recipe("trixie", _MARIADB_PACKAGES, _MARIADB_PROGRAMS),
    "valkey": Recipe("trixie", ("valkey-server",), ("valkey-server",)),
    "valkey-redis": Recipe("bookworm", ("redis-server",), ("redis-server",)),
}
"""The kinds of server that the archive has."""


def _progress(kind: str, message: str) -> None:
    print(f"{kind}: {message}", file=sys.stderr, flush=True)


def _run(command: list[str], work: Path, user: Unprivileged, kind: str) -> str:
    """Run a program as the unprivileged user and return what it printed.

    Raises:
        ServerUnavailable: the program is missing or failed.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "HOME": str(work)}
    environment |= {name: os.environ[name] for name in os.environ if name.endswith("_proxy")}
    try:
        done = subprocess.run(
            user.command(command),
            capture_output=True,
            text=True,
            check=False,
            cwd=work,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    except OSError as error:
        raise ServerUnavailable(
            f"Bringing {kind} needs {command[0]}, which does not run: {error}.",
            hint=f"Put {kind} on PATH, or use a Debian-like machine with apt and util-linux.",
        ) from error
    if done.returncode:
        last_lines = " / ".join((done.stdout + done.stderr).strip().splitlines()[-4:])
        raise ServerUnavailable(
            f"Bringing {kind} from Debian's archive failed at {command[0]}: {last_lines}.",
            hint=f"Check the network, put {kind} on PATH, or name a server of your own in"
            " the environment (see local/servers).",
        )
    return done.stdout


def _download(kind: str, recipe: Recipe, work: Path, user: Unprivileged) -> list[Path]:
    """Download the recipe's packages and all they depend on; return the package files."""
    if not KEYRING.exists():
        raise ServerUnavailable(
            f"{KEYRING} is missing, so that packages of Debian cannot be verified.",
            hint=f"Install debian-archive-keyring, or put {kind} on PATH.",
        )
    for name in ("lists/partial", "cache/archives/partial", "none"):
        (work / name).mkdir(parents=True)
    (work / "status").touch()
    mirror = os.environ.get("ROTATION_DEBIAN_MIRROR", MIRROR)
    (work / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {recipe.suite} main\n")
    user.own(work)
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": work / "none",
        "Dir::Etc::preferences": work / "none",
        "Dir::Etc::preferencesparts": work / "none",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": work / "status",
        "Dir::State::extended_states": work / "extended_states",
        "Dir::Cache": work / "cache",
        "Dir::Log": work / "none",
        "APT::Install-Recommends": "false",
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
        # The lock of the machine's own package list is neither needed nor ours to take.
        "Debug::NoLocking": "true",
    }
    apt = ["apt-get", "-q", "-y", *(f"-o{key}={value}" for key, value in settings.items())]
    _progress(kind, f"reading the package lists of Debian {recipe.suite}")
    _run([*apt, "update"], work, user, kind)
    _progress(kind, f"downloading {' and '.join(recipe.packages)} with dependencies")
    _run([*apt, "--download-only", "install", *recipe.packages], work, user, kind)
    return sorted((work / "cache" / "archives").glob("*.deb"))


def _unpack(packages: list[Path], tree: Path, user: Unprivileged, kind: str) -> None:
    """Unpack all packages into `tree`, whose /bin, /lib and so on lie below /usr."""
    tree.mkdir()
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / name).mkdir(parents=True)
        (tree / name).symlink_to(f"usr/{name}")
    user.own(tree)
    _progress(kind, f"unpacking {len(packages)} packages")
    for package in packages:
        stream = ["dpkg-deb", "--fsys-tarfile", str(package)]
        # tar rather than `dpkg-deb -x`, which would replace the links above by folders.
        unpack = ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(tree)]
        with subprocess.Popen(user.command(stream), stdout=subprocess.PIPE) as source:
            done = subprocess.run(
                user.command(unpack), stdin=source.stdout, capture_output=True, check=False
            )
        if done.returncode or source.returncode:
            raise ServerUnavailable(
                f"Unpacking {package.name} failed: {done.stderr.decode(errors='replace')}",
                hint="Check the free space of the temporary folder and of the cache.",
            )
    for name in _SUPERFLUOUS:
        shutil.rmtree(tree / name, ignore_errors=True)


def _patchelf() -> str:
    beside_python = Path(sys.executable).parent / "patchelf"
    found = str(beside_python) if beside_python.exists() else shutil.which("patchelf")
    if found is None:
        raise ServerUnavailable(
            "patchelf is missing.", hint="Install the development dependencies (`make setup`)."
        )
    return found


def _library_folders(tree: Path) -> list[Path]:
    """Return the folders below `tree` that hold shared libraries programs are linked to."""
    architecture = next((tree / "usr" / "lib").glob("*-linux-gnu"))
    nested = {each.parent for each in (tree / "usr" / "lib").glob("*/private/*.so*")}
    return [architecture, *sorted(nested), tree / "usr" / "lib"]


def _is_elf(path: Path) -> bool:
    with path.open("rb") as program:
        return program.read(4) == b"\x7fELF"


def _make_runnable(tree: Path, final: Path, programs: tuple[str, ...]) -> None:
    """Point programs at the loader and libraries of the folder where the tree will be.

    RPATH rather than RUNPATH is forced: only RPATH also serves libraries of libraries.
    """
    loader = next(tree.glob("usr/lib/*/ld-linux*.so.*"), None) or next(
        tree.glob("usr/lib/ld-linux*.so.*")
    )
    folders = ":".join(str(final / each.relative_to(tree)) for each in _library_folders(tree))
    for program in programs:
        for path in {each.resolve() for each in tree.glob(f"usr/**/{program}")}:
            if path.is_file() and _is_elf(path):
                interpreter = str(final / loader.relative_to(tree))
                subprocess.run(
                    [
                        *(_patchelf(), "--set-interpreter", interpreter),
                        *("--force-rpath", "--set-rpath", folders, str(path)),
                    ],
                    check=True,
                    capture_output=True,
                )


def fetched(kind: str) -> Path | None:
    """Return the folder in which `kind` lies ready, or None if it was not fetched yet."""
    folder = cache_folder() / kind
    try:
        description = json.loads((folder / _DESCRIPTION).read_text())
    except (OSError, ValueError):
        return None
    # The programs hold absolute paths: a cache that was moved is of no use.
    return folder if description == {"folder": str(folder), "layout": _LAYOUT} else None


def fetch(kind: str) -> Path:
    """Return the folder with `kind` unpacked, brought from Debian's archive if need be.

    Two processes that want the same kind do not collide: one brings it, the other waits. What is
    published is complete: a folder appears under its name in one step.

    Args:
        kind: a key of `RECIPES`.

    Returns:
        A folder laid out like a root file system.

    Raises:
        ServerUnavailable: the archive cannot be reached, or the machine lacks apt or dpkg-deb.
    """
    ready = fetched(kind)
    if ready:
        return ready
    cache = cache_folder()
    with locked(cache / f"{kind}.lock"):
        ready = fetched(kind)
        if ready:
            return ready
        user = unprivileged()
        final = cache / kind
        for abandoned in cache.glob(f".{kind}@*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        with (
            tempfile.TemporaryDirectory(prefix=f".{kind}@", dir=cache) as unfinished,
            tempfile.TemporaryDirectory(prefix="rotation-fetch-") as temporary,
        ):
            work, publish = Path(temporary), Path(unfinished)
            work.chmod(0o755)
            user.own(work)
            user.assert_can_read(work)
            packages = _download(kind, RECIPES[kind], work, user)
            tree = publish / "tree"
            publish.chmod(0o755)
            user.own(publish)
            _unpack(packages, tree, user, kind)
            _make_runnable(tree, final, RECIPES[kind].programs)
            description = {"folder": str(final), "layout": _LAYOUT}
            (tree / _DESCRIPTION).write_text(json.dumps(description))
            if user.is_another:
                # Servers, who run as that user, are not to change their own programs.
                give(publish, os.geteuid(), os.getegid())
            if final.exists():
                shutil.rmtree(final)
            tree.rename(final)
        user.assert_can_read(final / _DESCRIPTION)
        _progress(kind, f"ready in {final}")
    return final

"""What a cold start imports, and when: nothing without need, and nothing too late."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from local.engines import ENGINES
from local.secretsmanager import SecretsManagerService
from local.servers import Server
from local.template import ROOT
from tests.functional.rotations import STEPS, new_name

LIST = Path(__file__).with_name("cold_start.json")
"""What createSecret may import, and how many modules of it: the list may only become shorter."""

PROGRAM = """
import json, sys
from importlib import import_module

empty = set(sys.modules)
handler_name, events = sys.argv[1], json.loads(sys.argv[2])
blocked, watched = json.loads(sys.argv[3]), json.loads(sys.argv[4])
sys.modules.update(dict.fromkeys(blocked))
module, _, name = handler_name.rpartition(".")
handler = getattr(import_module(module), name)
late = set()
if watched:
    from shared.holding import Hold

    def watch(method):
        def watched(*arguments, **options):
            before = set(sys.modules)
            try:
                return method(*arguments, **options)
            finally:
                late.update(set(sys.modules) - before)

        return watched

    Hold.set_and_prove, Hold.promote = watch(Hold.set_and_prove), watch(Hold.promote)

class Context:
    @staticmethod
    def get_remaining_time_in_millis():
        return 60_000

error = None
for event in events:
    try:
        handler(event, Context())
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
loaded = sorted(set(sys.modules) - empty)
print(json.dumps({"modules": loaded, "late": sorted(late), "error": error}))
"""


class Scene:
    """A user, its secret, and fresh interpreters that carry out steps of one rotation.

    Args:
        server: Where the user is made.
        strategy: By which its password is rotated.
    """

    def __init__(self, server: Server, strategy: str) -> None:
        self.server = server
        self.service = service = SecretsManagerService()
        self.username, self.password = new_name(), "the First passw0rd"
        server.create_user(self.username, self.password)
        login = {
            "engine": server.engine,
            "host": server.host,
            "port": server.port,
            "username": self.username,
            "password": self.password,
            "dbname": server.database,
        }
        account = server.administrator
        administrator = {"username": account.username, "password": account.password}
        master = service.create_secret(new_name("administrator"), {**login, **administrator})
        self.secret = service.create_secret(
            new_name("secret"), {**login, "masterarn": master}, tags={"rotation:strategy": strategy}
        )
        self.token = "a-token-of-the-first-rotation-of-all"
        service.enable_rotation(self.secret, service.register("nobody", lambda *_: None))
        service.prepare_rotation(self.secret, self.token)

    def run(
        self, *steps: str, blocked: tuple[str, ...] = (), watched: bool = False
    ) -> dict[str, Any]:
        """Carry out steps in a fresh interpreter.

        Args:
            steps: Their names.
            blocked: Packages that cannot be imported there.
            watched: Whether to tell what is imported from the fence to the promotion.
        """
        events = [
            {"Step": step, "SecretId": self.secret, "ClientRequestToken": self.token}
            for step in steps
        ]
        handler = ENGINES[self.server.engine].handler
        with self.service.endpoint() as endpoint:
            done = subprocess.run(
                [
                    *(sys.executable, "-c", PROGRAM, handler),
                    *(json.dumps(each) for each in (events, blocked, watched)),
                ],
                cwd=ROOT,
                env={
                    "PATH": os.environ["PATH"],
                    "DATABASE_CA_FILE": str(self.server.ca_file),
                    **endpoint.environment(),
                },
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


STRATEGIES = [
    pytest.param(name, strategy, id=f"{name}-{strategy}")
    for name, declared in sorted(ENGINES.items())
    for strategy in declared.engine.strategies
]


def default_of(engine: str) -> str:
    """Return the strategy that is chosen for a secret that names an administrator."""
    return ENGINES[engine].engine.strategies_for(administrator=True)[0]


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_create_secret_imports_what_is_listed(
    engine: str, server_of: Callable[[str], Server]
) -> None:
    """The first step imports the packages on the list and no driver; and no module more of ours."""
    listed = json.loads(LIST.read_text())
    found = Scene(server_of(engine), default_of(engine)).run("createSecret")
    assert found["error"] is None
    packages = Counter(name.partition(".")[0] for name in found["modules"])
    assert packages.keys() & foreign_packages() <= set(listed["packages"])
    assert not {each.engine.driver for each in ENGINES.values()} & packages.keys()
    for package, most in listed["modules at most"].items():
        assert packages[package] <= most, package


def foreign_packages() -> set[str]:
    """Return the names of all packages that may be imported here and are not Python's own."""
    return {*packages_distributions(), "shared", "rotators", "local"} - sys.stdlib_module_names


@pytest.mark.parametrize(("engine", "strategy"), STRATEGIES)
def test_nothing_is_imported_after_the_fence(
    engine: str, strategy: str, server_of: Callable[[str], Server]
) -> None:
    """From the fence to the promotion no module is imported for the first time, cold as it is."""
    done = Scene(server_of(engine), strategy).run(*STEPS, watched=True)
    assert done["error"] is None
    assert done["late"] == []


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_a_missing_driver_is_noticed_before_the_change(
    engine: str, server_of: Callable[[str], Server]
) -> None:
    """Without its driver, setSecret fails before lock and fence, and everything is as it was."""
    scene = Scene(server_of(engine), default_of(engine))
    driver = ENGINES[engine].engine.driver
    before = scene.service.labels(scene.secret)
    done = scene.run("createSecret", "setSecret", blocked=(driver,))
    assert done["error"].startswith("UnexpectedError: Unexpected ModuleNotFoundError")
    after = scene.service.labels(scene.secret)
    assert after["AWSCURRENT"] == before["AWSCURRENT"]
    assert "rotation-fence" not in after
    assert scene.server.logs_in(scene.username, scene.password)

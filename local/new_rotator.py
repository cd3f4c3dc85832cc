"""Begins a rotator: its folder, and everything that is a copy of another engine's.

    make new-rotator NAME=example TITLE=Example PORT=1234

What is left to write are the session and the way to log in (docs/adding-a-rotator.md); what else is
missing, ``pytest tests/test_engines.py tests/test_template.py`` tells one sentence at a time.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from local.template import ROOT

MODEL = "valkey"
MODEL_TITLE = "Valkey"
MODEL_TITLES = "Valkey and Redis"
"""How the model's function is told to be for more than one product."""
NAME = re.compile(r"[a-z][a-z0-9]*")

BLOCK = re.compile(r"^  (?P<name>[A-Z]\w*):\n(?:(?:    .*)?\n)*", re.MULTILINE)
"""One resource or output of the template, with the empty line after it."""

PLACES = (
    r"(?P<has> \$\{Valkey(?P<what>Rotator)\.Arn\})(?=\n)",
    r"(?P<has> ?\"\$\{Valkey(?P<what>Errors|Throttles)\.Arn\}\",)",
    r"(?P<has> \[\"\.\", \"\.\", \"\.\", \"\$\{Valkey(?P<what>Rotator)\}\"\])(?=\])",
    r"(?P<has> SOURCE '\$\{Valkey(?P<what>Logs)\}' \|)",
)
"""Where the template lists what belongs to each function: watch, alarms, graph, errors."""

INIT = '"""{title}."""\n'
ENGINE = '''"""What {title} is declared to be; see :mod:`shared.engine`."""

from shared.engine import BY_ADMINISTRATOR, Engine
from shared.settings import StrategyName

{constant} = Engine(
    name="{name}",
    title="{title}",
    names=frozenset({{"{name}"}}),
    function="{prefix}Rotator",
    driver="{name}",
    default_port={port},
    strategies={{StrategyName.SINGLE_USER_BY_ADMINISTRATOR: BY_ADMINISTRATOR}},
)
ENGINES = ({constant},)
'''
ROTATOR = '''"""The rotator for {title}."""

from typing import ClassVar

from rotators.{name}.engine import ENGINES
from shared.deadline import Deadline
from shared.engine import Engine
from shared.model import Login
from shared.passwords import Profile
from shared.rotator import Rotator
from shared.runtime import handler_for
from shared.session import Session


class {prefix}Rotator(Rotator):
    """Opens sessions with {title}."""

    engines: ClassVar[tuple[Engine, ...]] = ENGINES
    profile: ClassVar[Profile] = Profile(longest=128)
    longest_name: ClassVar[int] = 128

    def connect(self, login: Login, deadline: Deadline) -> Session:
        """Log in; see :meth:`shared.rotator.Rotator.connect`."""
        raise NotImplementedError


handler = handler_for({prefix}Rotator)
'''


@dataclass(frozen=True, slots=True)
class New:
    """The engine that is begun.

    Attributes:
        name: Of the folder, such as ``example``.
        title: Its own name, such as ``Example``.
        port: Its default port.
    """

    name: str
    title: str
    port: int

    @property
    def prefix(self) -> str:
        """What logical ids in the template begin with."""
        return self.name.capitalize()

    def instead_of_model(self, text: str) -> str:
        """Return what stands somewhere for the model as it should stand for this one."""
        text = text.replace(MODEL_TITLES, self.title)
        return text.replace(MODEL_TITLE, self.prefix).replace(MODEL, self.name)


def add(new: New, root: Path = ROOT) -> list[str]:
    """Begin a rotator; return the files that were made or changed.

    Raises:
        FileExistsError: It was begun before; nothing was changed.
    """
    folder = root / "rotators" / new.name
    folder.mkdir()
    changed = []

    def write(path: Path, text: str) -> None:
        path.write_text(text)
        changed.append(str(path.relative_to(root)))

    parts = {"__init__": INIT, "engine": ENGINE, "rotator": ROTATOR}
    for part, text in parts.items():
        filled = text.format(
            name=new.name,
            title=new.title,
            port=new.port,
            prefix=new.prefix,
            constant=new.name.upper(),
        )
        write(folder / f"{part}.py", filled)
    # The driver's lock takes its place: `local/lock.sh NAME`, once pyproject.toml has the group.
    write(folder / "requirements.txt", (folder.parent / MODEL / "requirements.txt").read_text())
    write(root / "template.yaml", template_with(new, (root / "template.yaml").read_text()))
    for event in sorted((root / "events").glob(f"{MODEL}-*.json")):
        name = event.name.replace(MODEL, new.name)
        write(event.with_name(name), new.instead_of_model(event.read_text()))
    environment = root / "events" / "environment.json"
    write(environment, environment_with(new, environment.read_text()))
    return changed


def template_with(new: New, text: str) -> str:
    """Return the template with the new function, beside the model's."""

    def doubled(block: re.Match[str]) -> str:
        found = block[0]
        if not block["name"].startswith(MODEL_TITLE):
            return found
        gap = "" if found.endswith("\n\n") or block["name"].endswith("Arn") else "\n"
        return found + gap + new.instead_of_model(found)

    def listed(place: re.Match[str]) -> str:
        found = place["has"]
        gap = "," if place["what"] == "Rotator" and found.endswith("]") else ""
        copied = new.instead_of_model(found)
        return found + gap + (copied if copied.startswith(" ") else " " + copied)

    text = BLOCK.sub(doubled, text)
    for place in PLACES:
        text = re.sub(place, listed, text)
    return text


def environment_with(new: New, text: str) -> str:
    """Return SAM's variables with those of the new function, which is watched, too."""
    variables = json.loads(text)
    watch = variables.pop("Watch")
    variables[f"{new.prefix}Rotator"] = dict(variables[f"{MODEL_TITLE}Rotator"])
    arn = next(each for each in watch["WATCHED_FUNCTIONS"].split() if each.endswith(MODEL))
    watch["WATCHED_FUNCTIONS"] += f" {new.instead_of_model(arn)}"
    return json.dumps(variables | {"Watch": watch}, indent=2) + "\n"


def main(arguments: list[str] | None = None, tell: Callable[[str], None] = print) -> int:
    """Carry out the command line."""
    parser = argparse.ArgumentParser(prog="make new-rotator", description=__doc__)
    parser.add_argument("name", help="of the folder: small letters and digits")
    parser.add_argument("title", help="the engine's own name")
    parser.add_argument("port", type=int, help="its default port")
    given = parser.parse_args(arguments)
    if not NAME.fullmatch(given.name):
        tell("NAME is small letters and digits, as in: make new-rotator NAME=example PORT=1234")
        return 2
    try:
        changed = add(New(given.name, given.title or given.name.capitalize(), given.port))
    except FileExistsError:
        tell(f"rotators/{given.name}/ is there already: `make new-rotator` begins one, once.")
        return 2
    for path in changed:
        tell(path)
    tell("What is missing: .venv/bin/python -m pytest tests/test_engines.py tests/test_template.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())

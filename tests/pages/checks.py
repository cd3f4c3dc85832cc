"""The page about examinations, made of the registry, the tables of checks and the broken worlds."""

import inspect
from collections.abc import Container, Iterable

from console.posture.controls import CONTROLS
from local.engines import ENGINES
from shared.examination import SETTINGS, checks_of
from shared.examination.check import ACTING, Check
from shared.examination.checks import CHECKS
from shared.examination.code import Code, Examiner
from shared.examination.registry import CODES, RETIRED
from tests.functional.worlds import WORLDS, World
from tests.pages.runbook import lines


def checks() -> str:
    """Return the tables of checks: every engine's, and each rotator's own."""
    parts = ["### Every engine", _table(CHECKS, ENGINES)]
    folders = {each.folder: each.rotator() for each in ENGINES.values()}
    for folder, rotator in folders.items():
        own = [check for check in checks_of(rotator) if check not in CHECKS]
        engines = [name for name, each in ENGINES.items() if each.folder == folder]
        title = " and ".join(sorted(ENGINES[name].engine.title for name in engines))
        parts += [f"### {title}", _table(own, engines)] if own else []
    return "\n\n".join(parts)


def _table(found: Iterable[Check], engines: Container[str]) -> str:
    rows = ["| check | asks | needs | finds |", "|---|---|---|---|"]
    for check in found:
        needs = ", ".join(
            "whoever changes the password" if need == ACTING else need for need in check.needs
        )
        question = (inspect.getdoc(check.look) or "").partition("\n\n")[0].replace("``", "`")
        names = dict.fromkeys(
            world.code
            for world in WORLDS
            if world.check == check.name and engine_of(world) in engines
        )
        links = ", ".join(f"[{name}](#{name.lower()})" for name in names)
        rows.append(f"| {check.name} | {' '.join(question.split())} | {needs} | {links} |")
    return "\n".join(rows)


def engine_of(world: World) -> str:
    """Return the engine that a world's server is of."""
    return world.server.partition("-")[0]


def codes() -> str:
    """Return a section for each code that is in use."""
    retired = {code.name for code in RETIRED}
    return "\n\n".join(_section(code) for code in CODES.values() if code.name not in retired)


def _section(code: Code) -> str:
    head = f"{code.title}: a {code.level}"
    head += ", found from outside." if code.examiner is Examiner.OUTSIDE else "."
    worlds: dict[str, list[str]] = {}
    for world in WORLDS:
        if world.code == code.name:
            by = "" if world.check == SETTINGS else f" (`{world.check}`)"
            version = world.server.partition("-")[2]
            server = f"{ENGINES[engine_of(world)].engine.title} {version}".strip()
            worlds.setdefault(f"{world.made.removesuffix('.')}{by}", []).append(server)
    shown = [f"- {made}: {', '.join(servers)}" for made, servers in worlds.items()]
    controls = ", ".join(f"`{each}`" for each in CONTROLS.get(code.name, ()))
    answers = (f"Controls of others that ask for it: {controls}.",) if controls else ()
    text = lines(head, code.meaning, code.do, *answers)
    return "\n\n".join([f"### {code.name}", text, *(["\n".join(shown)] if shown else [])])

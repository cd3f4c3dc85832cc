"""The reference for whoever writes a rotator, made of the docstrings."""

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from local.template import ROOT

CLASSES: Sequence[tuple[str, Sequence[str]]] = (
    ("shared/engine.py", ("Engine",)),
    ("shared/rotator.py", ("Rotator",)),
    ("shared/session.py", ("Session", "Lock", "TwoPasswords", "OwnTwoPasswords")),
    ("shared/session.py", ("SecondUser", "Pair", "Ownership")),
    ("shared/deadline.py", ("Deadline",)),
)
"""Modules and their classes, in the order in which a rotator is written."""
FUNCTIONS: Sequence[tuple[str, Sequence[str]]] = (
    ("shared/network.py", ("resolve", "open_socket", "cut_after")),
    ("shared/dialling.py", ("dialled",)),
    ("shared/tls.py", ("tls_error",)),
)

OF_THE_CORE = ("run", "require_name", "default_port", "engines_of")
"""Methods of the base class that are not for a rotator to give or to call."""
OBJECTS = frozenset({"self", "cls"})
UNNAMED = frozenset({"Returns", "Yields"})
"""Sections with one entry, which has no name."""
SENTENCE_END = re.compile(r"(?<=\.) (?=[A-Z`])")
ROLE = re.compile(r":\w+:`~?(?:[\w.]*\.)?(\w+)`")
SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Yields):$")
ENTRY = re.compile(r"([\w, ]+): (.*)")


def chapters() -> str:
    """Return the reference: a heading for each class and function, and for each method."""
    found = [
        line
        for module, names in CLASSES
        for name in names
        for line in _class(_definition(module, name), module)
    ]
    for module, names in FUNCTIONS:
        for name in names:
            function = _definition(module, name)
            assert isinstance(function, ast.FunctionDef)
            found += [f"### {name}", "", *_function(function, f"`{module}`. ")]
    return "\n".join(found).rstrip()


def _definition(module: str, name: str) -> ast.ClassDef | ast.FunctionDef:
    tree = ast.parse(Path(ROOT / module).read_text())
    return next(
        each
        for each in tree.body
        if isinstance(each, ast.ClassDef | ast.FunctionDef) and each.name == name
    )


def _class(found: ast.ClassDef | ast.FunctionDef, module: str) -> Iterator[str]:
    assert isinstance(found, ast.ClassDef)
    yield from (f"### {found.name}", "")
    yield from _text(ast.get_docstring(found) or "", f"`{module}`. ")
    members = [f"- {each}" for each in _members(found)]
    if members:
        yield from (*members, "")
    for each in found.body:
        if isinstance(each, ast.FunctionDef) and not each.name.startswith(("_", *OF_THE_CORE)):
            yield from (f"#### {found.name}.{each.name}", "", *_function(each))


def _members(found: ast.ClassDef) -> Iterator[str]:
    """Yield each attribute that has a docstring of its own."""
    for each, after in zip(found.body, found.body[1:], strict=False):
        if not isinstance(after, ast.Expr) or not isinstance(after.value, ast.Constant):
            continue
        told = _inline(" ".join(str(after.value.value).split()))
        if isinstance(each, ast.AnnAssign):
            yield f"`{ast.unparse(each.target)}`: {told}"
        elif isinstance(each, ast.Assign):
            yield f"`{ast.unparse(each.targets[0])}`: {told}"


def _function(found: ast.FunctionDef, before: str = "") -> Iterator[str]:
    arguments = [each for each in ast.unparse(found.args).split(", ") if each not in OBJECTS]
    returned = f" -> {ast.unparse(found.returns)}" if found.returns else ""
    signature = f"{found.name}({', '.join(arguments)}){returned}"
    yield from ("```python", signature, "```", "")
    yield from _text(ast.get_docstring(found) or "", before)


def _text(docstring: str, before: str = "") -> Iterator[str]:
    """Yield a docstring as Markdown: a sentence a line, and a list for each of its sections."""
    for number, block in enumerate(re.split(r"\n\s*\n", docstring)):
        heading, *entries = block.splitlines()
        if section := SECTION.match(heading):
            yield f"{section[1]}:"
            if section[1] in UNNAMED:
                yield f"- {_inline(' '.join(block.split()[1:]))}"
            else:
                yield from (f"- {_entry(each)}" for each in _joined(entries))
        else:
            told = _inline(" ".join(block.split()))
            yield from SENTENCE_END.split(told if number else before + told)
        yield ""


def _joined(lines: Sequence[str]) -> list[str]:
    """Return the entries of a section, each in one line; what is indented more goes on."""
    found: list[str] = []
    for line in lines:
        if line.startswith(" " * 5):
            found[-1] += f" {line.strip()}"
        else:
            found.append(line.strip())
    return found


def _entry(text: str) -> str:
    name = ENTRY.match(text)
    return f"`{name[1]}`: {_inline(name[2])}" if name else _inline(text)


def _inline(text: str) -> str:
    return ROLE.sub(r"`\1`", text).replace("``", "`")

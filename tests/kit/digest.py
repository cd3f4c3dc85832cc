"""Which code a proof was made on: a digest that comments, docstrings and layout do not change."""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIGITS = 12


def digest(paths: Iterable[Path]) -> str:
    """Return the digest of what Python files mean, the same for CPython 3.11 to 3.13.

    Args:
        paths: Files, and folders whose ``*.py`` count, those of their folders too; all of them in
            the project. Their order does not matter; their names do.

    Returns:
        Twelve hexadecimal digits.

    Raises:
        FileNotFoundError: There is no such path.
        SyntaxError: One is no Python.
    """
    found = hashlib.sha256()
    files = {file for path in paths for file in _files(path.resolve())}
    for file in sorted(files):
        found.update(f"{file.relative_to(ROOT).as_posix()}\n".encode())
        for part in _parts(ast.parse(file.read_bytes(), str(file))):
            found.update(f"{part}\n".encode())
    return found.hexdigest()[:DIGITS]


def _files(path: Path) -> Iterable[Path]:
    if path.is_dir():
        return path.rglob("*.py")
    if not path.exists():
        raise FileNotFoundError(path)
    return [path]


def _parts(node: object) -> Iterator[str]:
    """Yield a tree in words; what is empty is left out, for later versions have more fields."""
    if isinstance(node, ast.AST):
        yield f"({type(node).__name__}"
        for name, value in ast.iter_fields(node):
            if value is not None and value != []:
                yield name
                yield from _parts(value)
        yield ")"
    elif isinstance(node, list):
        for each in node:
            # A string by itself is a docstring, of an attribute perhaps.
            if not _is_text(each):
                yield from _parts(each)
    else:
        yield repr(node)


def _is_text(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )

"""How changes that no test notices are told to people."""

from pathlib import Path

import pytest

from tests.kit import mutants
from tests.kit.digest import ROOT
from tests.kit.mutants import (
    CLASS_MARK,
    RESULT,
    Change,
    decisive_modules,
    reasons_in,
    where_of,
    write,
)

DIFF = """\
--- shared/store.py
+++ shared/store.py
@@ -1,3 +1,3 @@
 def describe(self):
-    found = left | right
+    found = left & right
     return found
"""
CHANGE = Change("store: SecretStore.describe", "found = left | right", "found = left & right")
OTHER = Change("model: parse", "a < b", "a <= b")


@pytest.fixture
def document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the document."""
    path = tmp_path / "mutants.md"
    path.write_text((ROOT / "docs" / "mutants.md").read_text())
    monkeypatch.setattr(mutants, "DOCUMENT", path)
    return path


@pytest.mark.parametrize(
    ("name", "where"),
    [
        (
            f"shared.store.x{CLASS_MARK}SecretStore{CLASS_MARK}put__mutmut_12",
            "store: SecretStore.put",
        ),
        ("shared.model.x__finite__mutmut_4", "model: _finite"),
        ("shared.strategies.search.x_find_login__mutmut_1", "strategies.search: find_login"),
    ],
)
def test_names_are_told_in_words(name: str, where: str) -> None:
    """What mutmut calls a change becomes module, class and function."""
    assert where_of(name) == where


def test_changes_are_told_in_two_lines() -> None:
    """Of a diff, the lines that were taken out and put in are left."""
    name = f"shared.store.x{CLASS_MARK}SecretStore{CLASS_MARK}describe__mutmut_3"
    assert Change.of(name, DIFF) == CHANGE


def test_results_are_read() -> None:
    """Each line of what mutmut lists gives a name and a status."""
    text = (
        "    shared.model.x_parse__mutmut_1: survived\n    shared.model.x_f__mutmut_2: no tests\n"
    )
    assert [each.group("name", "status") for each in RESULT.finditer(text)] == [
        ("shared.model.x_parse__mutmut_1", "survived"),
        ("shared.model.x_f__mutmut_2", "no tests"),
    ]


def test_reasons_stay(document: Path) -> None:
    """A reason stays beside its change and goes with it; without one, the cell is empty."""
    write({"a": "survived", "b": "killed", "c": "timeout", "d": "no tests"}, [CHANGE, OTHER], 7)
    assert reasons_in(document.read_text()) == {CHANGE.cells: "", OTHER.cells: ""}
    assert "| 4 | 2 | 50.0 % | 7 |" in document.read_text()
    line = next(line for line in document.read_text().splitlines() if "a <= b" in line)
    document.write_text(document.read_text().replace(line, f"{line[:-2]}They are never equal. |"))
    assert write({"a": "survived", "b": "killed"}, [OTHER], 7) == 50
    assert reasons_in(document.read_text()) == {OTHER.cells: "They are never equal."}


def test_every_module_that_decides_is_there() -> None:
    """Each pattern of the settings finds a module of the core."""
    found = {path.relative_to(ROOT / "shared").parts[0] for path in decisive_modules()}
    assert {"lifecycle.py", "model.py", "store.py"} < found

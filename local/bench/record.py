"""What was measured last, in `record.json`: ratios to compare with, counts that a test holds.

A ratio that has grown is worth a warning: another machine, or another program beside, may be the
reason. A count has no such excuse.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local.bench.script import Counts
from shared.settings import StrategyName

RECORD = Path(__file__).with_name("record.json")


def way(strategy: StrategyName, *, administrator: bool) -> str:
    """Return the name of a strategy, with who carries it out where it could be either."""
    told = administrator and strategy is StrategyName.DUAL_PASSWORD
    return f"{strategy} by the administrator" if told else str(strategy)


def ratio(name: str) -> float | None:
    """Return what was measured last, None when nothing was."""
    found: float | None = _read()["ratios"].get(name)
    return found


def write_ratios(ratios: Mapping[str, float]) -> None:
    """Keep ratios; those of other names stay."""
    _write({"ratios": _read()["ratios"] | {name: round(each, 2) for name, each in ratios.items()}})


def counts() -> dict[str, list[Counts]]:
    """Return what a rotation sends, by engine and strategy; one for each user's turn."""
    return {name: [Counts(**each) for each in turns] for name, turns in _read()["counts"].items()}


def write_counts(name: str, turns: list[Counts]) -> None:
    """Keep counts; those of other names stay."""
    _write({"counts": _read()["counts"] | {name: [asdict(each) for each in turns]}})


def _read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(RECORD.read_text())
    return found


def _write(part: dict[str, Any]) -> None:
    RECORD.write_text(json.dumps(_read() | part, indent=2, sort_keys=True) + "\n")

"""The report of a run: question, answer, and what relies on the answer."""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

FACTS: Final = Path(__file__).parent.parent / "docs" / "aws-facts.md"
ID: Final = re.compile(r"\bP\d\.\d+\b")
UNANSWERED: Final = "not answered"


def relied_on() -> dict[str, list[str]]:
    """Return, by question id, the facts of ``docs/aws-facts.md`` that name it, and who relies."""
    found: dict[str, list[str]] = {}
    facts = re.findall(
        r"^### (.+)\n- \*\*relies on it:\*\* (.+)\n(?:- .+\n)*?- \*\*probe:\*\* (.+)\n",
        FACTS.read_text(),
        re.MULTILINE,
    )
    for heading, relying, probe in facts:
        for question in ID.findall(probe):
            found.setdefault(question, []).append(f"*{heading}*: {relying}")
    return found


def page(
    questions: Mapping[str, str],
    answers: Mapping[str, str],
    notes: list[str],
    *,
    where: str,
    when: datetime,
) -> str:
    """Return the report as Markdown.

    Args:
        questions: By id, of all probes that were run.
        answers: By id; a question without one is said to have none.
        notes: What went wrong, and what could not be removed.
        where: The Region, and whether it was AWS or a local endpoint.
        when: The run's beginning, with its zone.
    """
    relying = relied_on()
    rows = [
        f"| {key} | {_cell(text)} | {_cell(answers.get(key, UNANSWERED))} | "
        f"{_cell('; '.join(relying.get(key, [])))} |"
        for key, text in questions.items()
    ]
    return "\n".join(
        [
            "# What AWS answered",
            "",
            f"{when:%Y-%m-%d %H:%M} {when.tzname()}, {where}.",
            "",
            *(f"- {_cell(note)}" for note in notes),
            *([""] if notes else []),
            "| id | question | answer | relied on by |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")

"""docs/aws-facts.md is whole: each fact has all its fields, and names tests and files there are."""

import re

import pytest

from local.template import ROOT
from probes.__main__ import PROBES as ASKING
from probes.report import relied_on

PAGE = (ROOT / "docs" / "aws-facts.md").read_text()
FACTS = dict(re.findall(r"^### (.+)\n((?:- .+\n)+)", PAGE, re.MULTILINE))
FIELDS = ["relies on it", "source", "sure", "pinned by", "probe"]
BY_HAND = {"P5", "P6"}
PROBES = set(re.findall(r"^\| (P\d) \|", PAGE, re.MULTILINE))


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_has_all_its_fields(fact: str) -> None:
    """Who relies on it, where it comes from, how sure it is, what pins it, what would settle it."""
    assert re.findall(r"^- \*\*(.+?):\*\* .", FACTS[fact], re.MULTILINE) == FIELDS


def test_no_heading_is_without_its_fields() -> None:
    """Every third-level heading is a fact."""
    assert list(FACTS) == re.findall(r"^### (.+)$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_is_pinned_by_tests_that_there_are(fact: str) -> None:
    """Each test named is there; a fact without one says why."""
    (pinned,) = re.findall(r"^- \*\*pinned by:\*\* (.+)$", FACTS[fact], re.MULTILINE)
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", pinned)
    assert named or pinned.startswith("none; ")
    for file, test in named:
        assert re.search(rf"^ *def {test}\(", (ROOT / file).read_text(), re.MULTILINE), test


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_names_a_probe_that_is_described(fact: str) -> None:
    """A probe has its row, or the field says why there is none."""
    (probe,) = re.findall(r"^- \*\*probe:\*\* (.+)$", FACTS[fact], re.MULTILINE)
    named = set(re.findall(r"\bP\d\b", probe))
    assert named <= PROBES
    assert named or probe.startswith(("none", "the first deployment"))


def test_every_question_of_a_probe_is_a_facts_and_every_id_a_question() -> None:
    """The ids on the page are those that the probes answer, all of them."""
    asked = {question for probe in ASKING.values() for question in probe.QUESTIONS}
    assert relied_on().keys() == asked
    assert {question.partition(".")[0] for question in asked} == ASKING.keys() == PROBES - BY_HAND


@pytest.mark.parametrize("name", ASKING)
def test_a_probes_questions_have_its_own_ids(name: str) -> None:
    """P1's questions are P1.1 and so on, without a gap."""
    questions = list(ASKING[name].QUESTIONS)
    assert questions == [f"{name}.{number}" for number in range(1, len(questions) + 1)]


def test_every_file_named_exists() -> None:
    """What relies on a fact can be found."""
    for path in re.findall(r"`([a-z_]+(?:/[\w.-]+)*/?(?:\.(?:py|md|yaml|toml|json))?)`", PAGE):
        if "/" in path or path.endswith((".yaml", ".toml")):
            assert (ROOT / path).exists(), path

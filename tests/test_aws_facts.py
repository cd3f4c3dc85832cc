"""docs/aws-facts.md is whole: each fact has all its fields, and names tests and files there are."""

import re

import pytest

from local.template import ROOT

PAGE = (ROOT / "docs" / "aws-facts.md").read_text()
FACTS = dict(re.findall(r"^### (.+)\n((?:- .+\n)+)", PAGE, re.MULTILINE))
FIELDS = ["relies on it", "source", "sure", "pinned by", "probe"]
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


def test_every_file_named_exists() -> None:
    """What relies on a fact can be found."""
    for path in re.findall(r"`([a-z_]+(?:/[\w.-]+)*/?(?:\.(?:py|md|yaml|toml|json))?)`", PAGE):
        if "/" in path or path.endswith((".yaml", ".toml")):
            assert (ROOT / path).exists(), path

"""What the SAM CLI makes of the templates and of this repository's files, by its own classes."""

import pytest

from local.template import ROOT, load
from tests.deployment.plain import TEMPLATES
from tests.deployment.sam import ask

pytestmark = pytest.mark.deploy


def defaults(template: str) -> dict[str, str]:
    """Return the defaults of a template's parameters, as texts."""
    declared = load(ROOT / template).get("Parameters", {})
    return {
        name: str(parameter["Default"])
        for name, parameter in declared.items()
        if "Default" in parameter
    }


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_default_survives_being_saved(template: str) -> None:
    """`sam deploy --guided`, answers saved, then a plain `sam deploy`, changes no parameter."""
    given = defaults(template)
    assert ask("saved_and_read", given) == given


def test_what_does_not_survive_is_noticed() -> None:
    """A value that ends in a backslash is mangled, and takes its neighbour along."""
    given = {"ExcludeCharacters": "/@\"'\\", "ExcludeNumbers": "false"}
    assert ask("saved_and_read", given) != given

"""What the SAM CLI makes of the templates and of this repository's files, by its own classes."""

from typing import Any

import pytest

from local.engines import FUNCTIONS
from local.secretsmanager import SecretsManagerService
from local.stage import PORT, Stage
from local.template import ROOT, functions, load
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


def test_the_check_in_a_container_watches_the_stages_functions(
    invoked: dict[str, dict[str, Any]],
) -> None:
    """`sam local invoke Watch` finds the secrets that `make stage` has attached."""
    stage = Stage(SecretsManagerService(), {})
    watched = invoked["Watch"]["environment"]["WATCHED_FUNCTIONS"].split()
    assert sorted(watched) == [stage.function_of(kind) for kind in sorted(FUNCTIONS)]


def test_what_does_not_survive_is_noticed() -> None:
    """A value that ends in a backslash is mangled, and takes its neighbour along."""
    given = {"ExcludeCharacters": "/@\"'\\", "ExcludeNumbers": "false"}
    assert ask("saved_and_read", given) != given


@pytest.fixture(scope="module")
def invoked() -> dict[str, dict[str, Any]]:
    """What `sam local invoke` starts each function with, by the function's name."""
    answer: dict[str, dict[str, Any]] = ask("invoked_locally", None)
    return answer


@pytest.mark.parametrize("name", functions(load()))
def test_a_function_in_a_container_talks_to_the_local_endpoint(
    invoked: dict[str, dict[str, Any]], name: str
) -> None:
    """The variable that the code reads first arrives, so no request goes to the real AWS.

    SAM hands over only variables that the template declares, with the values of the file.
    """
    environment = invoked[name]["environment"]
    assert environment["SECRETS_MANAGER_ENDPOINT"] == f"http://127.0.0.1:{PORT}"
    assert invoked[name]["network"] == "host", "the endpoint listens on this machine's loopback"
    if name != "Watch":
        assert environment["DATABASE_CA_FILE"] == "/var/task/local-ca.pem"


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS.values())))
def test_a_function_in_a_container_is_what_was_built(
    invoked: dict[str, dict[str, Any]], name: str
) -> None:
    """It has the layer, the settings of the template, and the processor that the README builds."""
    started, expected = invoked[name], functions(load())[name]
    assert started["layers"] == ["Shared"]
    assert started["architecture"] == "x86_64"
    settings = {
        variable: value
        for variable, value in started["environment"].items()
        if variable in expected.environment
    }
    assert settings.keys() == expected.environment.keys()
    changed = {name for name, value in settings.items() if value != expected.environment[name]}
    assert changed == {"SECRETS_MANAGER_ENDPOINT", "DATABASE_CA_FILE"}

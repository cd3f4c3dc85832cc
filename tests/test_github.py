"""What GitHub and pre-commit are told to run is there; `make check` holds the files to schemas."""

import re
from pathlib import Path

import pytest
import yaml

from local.template import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").iterdir())
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
COMMANDS = {
    path.name: [
        step["run"]
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job["steps"]
        if "run" in step
    ]
    for path in WORKFLOWS
}


def test_ci_is_one_command() -> None:
    """CI runs what anybody can run, and nothing else."""
    assert COMMANDS["ci.yaml"] == ["bash .ci/run"]
    assert (ROOT / ".ci" / "run").is_file()


@pytest.mark.parametrize("workflow", COMMANDS)
def test_a_workflow_makes_targets_that_there_are(workflow: str) -> None:
    """Each `make` in a workflow names a target."""
    named = re.findall(r"\bmake ([a-z-]+)", "\n".join(COMMANDS[workflow]))
    assert set(named) <= TARGETS


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_unless_a_job_says_more(workflow: Path) -> None:
    """The token's rights are narrowed for every workflow."""
    assert yaml.safe_load(workflow.read_text())["permissions"] == {"contents": "read"}


def test_hooks_are_local_and_there() -> None:
    """pre-commit downloads nothing, and each hook's program is in the development environment."""
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local"
    for hook in repository["hooks"]:
        (program,) = re.findall(r"\.venv/bin/\S+", hook["entry"])
        assert (ROOT / program).is_file()

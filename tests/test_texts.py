"""What people are told to type is one truth, wherever they read it."""

import json
import re
from pathlib import Path

import pytest

from local.template import ROOT
from tests.deployment.stack import Stack

RESTART = re.compile(
    r"aws secretsmanager update-secret-version-stage --secret-id (?P<secret>\S+) "
    r"--version-stage AWSPENDING --remove-from-version-id (?:<version id>|<token>|VERSION) "
    r"(?:&& |\$ )aws secretsmanager rotate-secret --secret-id (?P=secret)"
)
"""Takes AWSPENDING off, then rotates. While AWSPENDING is on a version other than AWSCURRENT's,
`RotateSecret` alone is an error, whatever its parameters (API reference of RotateSecret)."""
HEALTHY = {
    "CONTRIBUTING.md": ["aws secretsmanager rotate-secret --secret-id app/postgres"],
    "README.md": ["aws secretsmanager rotate-secret --secret-id <ARN of Reports>"],
    "docs/when-a-rotation-fails.md": [
        "aws secretsmanager rotate-secret --secret-id <ARN> # AWSPENDING is off",
        "aws secretsmanager rotate-secret --secret-id <ARN> --rotation-lambda-arn",
    ],
    "docs/checks.md": [
        "`aws secretsmanager rotate-secret --secret-id <ARN>`, where no attempt hangs",
        "aws secretsmanager rotate-secret --secret-id <ARN> --rotation-lambda-arn",
        "aws secretsmanager rotate-secret --secret-id <ARN> --rotation-rules",
    ],
    "docs/deploy.md": ["aws secretsmanager rotate-secret --secret-id <ARN> --rotation-lambda-arn"],
}
"""Commands, by page, for a secret that nothing waits on."""
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "rotators/**/*.md", "*.yaml")
    for path in ROOT.glob(pattern)
)


def untold(text: str, healthy: list[str]) -> list[str]:
    """Return what stands around each `rotate-secret` that no AWSPENDING is taken off before."""
    flat = re.sub(r"\\\n|\s+", " ", text)
    flat = re.sub(r" +", " ", flat)
    for known in healthy:
        assert known in flat, f"not on this page any more: {known}"
        flat = flat.replace(known, "")
    flat = RESTART.sub("", flat)
    return [
        flat[max(0, found.start() - 60) : found.end() + 60]
        for found in re.finditer(r"(?<!cancel-)rotate-secret\b", flat)
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_restarts_only_what_is_taken_off_first(page: str) -> None:
    """No page tells to call rotate-secret for a rotation that hangs, and leave AWSPENDING on."""
    assert untold((ROOT / page).read_text(), HEALTHY.get(page, [])) == []


def test_the_rule_finds_a_bare_command() -> None:
    """The rule itself objects to rotate-secret alone, and to a command about two secrets."""
    assert untold("Then run aws secretsmanager rotate-secret --secret-id <ARN>.", [])
    assert untold(
        "aws secretsmanager update-secret-version-stage --secret-id <ARN> --version-stage "
        "AWSPENDING --remove-from-version-id <token> && aws secretsmanager rotate-secret "
        "--secret-id <other>",
        [],
    )


@pytest.mark.parametrize("name", ["Stuck", "Overdue"])
def test_an_alarm_about_a_rotation_that_hangs_has_the_command(name: str) -> None:
    """Alarms cannot fill in what they are about: they show the command with its two blanks."""
    told = Stack().resources[name]["Properties"]["AlarmDescription"]
    assert len(told) <= 1024, "the API's limit"
    (found,) = RESTART.finditer(told)
    assert found["secret"] == "<ARN>"


def test_the_events_message_fills_the_secret_in() -> None:
    """EventBridge puts the ARN into the command; what it does not know stands without brackets.

    In an InputTemplate, angle brackets mean a member of InputPathsMap (API reference of
    InputTransformer).
    """
    (target,) = Stack().resources["FailedRotations"]["Properties"]["Targets"]
    transformer = target["InputTransformer"]
    text = transformer["InputTemplate"]
    assert set(re.findall(r"<([^>]*)>", text)) == set(transformer["InputPathsMap"])
    for name in transformer["InputPathsMap"]:
        text = text.replace(f"<{name}>", f"{name}-filled-in")
    (found,) = RESTART.finditer(json.loads(text))
    assert found["secret"] == "secret-filled-in"


def test_there_are_pages() -> None:
    """The rule looks at the pages that operators read."""
    for page in ("README.md", "docs/deploy.md", "docs/failure-modes.md", "template.yaml"):
        assert page in PAGES
        assert Path(ROOT / page).is_file()

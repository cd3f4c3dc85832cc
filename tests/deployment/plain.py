"""Templates as SAM transforms them: plain CloudFormation, which is what AWS carries out."""

from functools import cache
from pathlib import Path
from typing import Any

from local import release
from local.template import ROOT, TEMPLATE, Template, load

BUCKET = "artefacts"
TEMPLATES = (
    "template.yaml",
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "examples").rglob("*.yaml")),
)
"""Every template, by its path in the repository."""

_CODE = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::Application": "Location",
}


def transformed(path: Path = TEMPLATE) -> Template:
    """Return plain CloudFormation, with the code where `sam package` would put it."""
    template = load(path)
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Application":
            resource["Properties"]["Location"] = f"https://{BUCKET}.s3.amazonaws.com/{name}.yaml"
        elif place := _CODE.get(resource["Type"]):
            resource["Properties"][place] = f"s3://{BUCKET}/{name}.zip"
    if "Transform" not in template:
        return template
    return release.transformed(template)


@cache
def resources(template: str) -> dict[str, Any]:
    """Return what a template makes, by logical id; to be read only.

    Args:
        template: One of `TEMPLATES`.
    """
    made: dict[str, Any] = transformed(ROOT / template)["Resources"]
    return made

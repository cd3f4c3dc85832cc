"""Templates as SAM transforms them: plain CloudFormation, which is what AWS carries out."""

import os
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

from samtranslator.translator.transform import transform

from local.template import ROOT, TEMPLATE, Template, load
from tests.deployment.stack import REGION

BUCKET = "artefacts"
TEMPLATES = (
    "template.yaml",
    *sorted(f"examples/{path.name}" for path in (ROOT / "examples").glob("*.yaml")),
)
"""Every template, by its path in the repository."""

_CODE = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::Application": "Location",
}


class _NoManagedPolicies:
    """The templates name no managed policy, so SAM has nothing to look up."""

    def load(self) -> dict[str, str]:
        """Return no policies."""
        return {}


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
    # SAM asks for a Region, although it talks to nobody.
    with patch.dict(os.environ, AWS_DEFAULT_REGION=REGION):
        plain: Template = transform(template, {}, _NoManagedPolicies())
    return plain


@cache
def resources(template: str) -> dict[str, Any]:
    """Return what a template makes, by logical id; to be read only.

    Args:
        template: One of `TEMPLATES`.
    """
    made: dict[str, Any] = transformed(ROOT / template)["Resources"]
    return made

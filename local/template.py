"""Reads ``template.yaml``: which functions there are and what they are started with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
TEMPLATE = ROOT / "template.yaml"

Template = dict[str, Any]


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms: ``!Sub x`` is read as ``{"Fn::Sub": "x"}``."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101 (YAML has no fourth kind of node)
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_form)


@dataclass(frozen=True, slots=True)
class Function:
    """One function of the template.

    Attributes:
        name: Its logical id.
        handler: Such as ``"rotators.postgres.rotator.handler"``.
        folder: Where its code is, relative to the repository.
        layers: Logical ids of the layers that the template builds for it.
        memory_mb: As the template gives it unless told otherwise.
        timeout_seconds: Likewise.
        environment: Its variables, likewise.
    """

    name: str
    handler: str
    folder: str
    layers: tuple[str, ...]
    memory_mb: int
    timeout_seconds: int
    environment: Mapping[str, str]


def load(path: Path = TEMPLATE) -> Template:
    """Return a template with every intrinsic function in its long form."""
    template: Template = yaml.load(path.read_text(), _Loader)  # noqa: S506 (a SafeLoader)
    return template


def functions(template: Template) -> dict[str, Function]:
    """Return the functions by logical id, with the defaults of all parameters."""
    common = template.get("Globals", {}).get("Function", {})
    return {
        name: _function(template, name, common | resource["Properties"])
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Serverless::Function"
    }


def _function(template: Template, name: str, properties: Mapping[str, Any]) -> Function:
    def default(value: Any) -> Any:  # noqa: ANN401 (what YAML holds)
        """Return the default of the parameter that a value refers to, or the value itself."""
        if isinstance(value, dict) and value.get("Ref") in template["Parameters"]:
            return template["Parameters"][value["Ref"]]["Default"]
        return value

    variables = properties.get("Environment", {}).get("Variables", {})
    return Function(
        name=name,
        handler=properties["Handler"],
        folder=properties["CodeUri"],
        layers=tuple(
            layer["Ref"]
            for layer in properties.get("Layers", ())
            if layer.get("Ref") in template["Resources"]
        ),
        memory_mb=int(default(properties["MemorySize"])),
        timeout_seconds=int(default(properties["Timeout"])),
        environment={
            variable: str(default(value))
            for variable, value in variables.items()
            if not isinstance(default(value), dict)
        },
    )

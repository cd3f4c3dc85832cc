"""The service's first look at a request: the constraints that its published model declares.

boto3 checks only part of them on the client's side (types and minimum lengths); the service checks
all: maximum lengths, patterns, enumerations. They are read from botocore's model, so none is
written down here a second time.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from botocore.loaders import Loader
from botocore.model import ListShape, ServiceModel, Shape, StructureShape

from local.secretsmanager.errors import ServiceError

SECRET_BYTES: Final = 65_536

_PYTHON_TYPES: Final[Mapping[str, type]] = {
    "string": str,
    "blob": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "list": list,
    "structure": dict,
}


@cache
def service_model() -> ServiceModel:
    """Load botocore's description of Secrets Manager, once."""
    description = Loader().load_service_model("secretsmanager", "service-2")
    return ServiceModel(description, "secretsmanager")


def validate(operation: str, request: Mapping[str, Any]) -> None:
    """Hold a request to the model and to the limit on a secret's size.

    Raises:
        ServiceError: ``UnknownOperationException``, ``SerializationException`` for a member of
            another type, ``ValidationException`` for anything else, in the service's wording.
    """
    if operation not in service_model().operation_names:
        raise ServiceError("UnknownOperationException", f"There is no operation {operation}.")
    shape = service_model().operation_model(operation).input_shape
    found = list(_violations(shape, request, "")) if shape is not None else []
    if found:
        errors = "error" if len(found) == 1 else "errors"
        raise ServiceError(
            "ValidationException",
            f"{len(found)} validation {errors} detected: {'; '.join(found)}",
        )
    for member in ("SecretString", "SecretBinary"):
        if member in request and _size(member, request[member]) > SECRET_BYTES:
            raise ServiceError(
                "InvalidParameterException",
                f"The {member} is longer than the {SECRET_BYTES} bytes that a secret can hold.",
            )


def _size(member: str, text: str) -> int:
    if member == "SecretString":
        return len(text.encode())
    try:
        return len(b64decode(text, validate=True))
    except Base64Error as error:
        raise ServiceError("SerializationException", "SecretBinary is not base64.") from error


def _violations(shape: Shape, value: object, path: str) -> Iterator[str]:
    if not isinstance(value, _PYTHON_TYPES.get(shape.type_name, object)):
        raise ServiceError(
            "SerializationException", f"{path or 'The request'} is not a {shape.type_name}."
        )
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        yield from _member_violations(shape, value, path)
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for position, each in enumerate(value, 1):
            yield from _violations(shape.member, each, f"{path}.{position}.member")
    for constraint in (*_outside(shape, value), *_misspelt(shape, value)):
        # A value may be a secret's; its place says enough.
        shown = "" if shape.metadata.get("sensitive") else f" '{value}'"
        yield f"Value{shown} at '{path}' failed to satisfy constraint: Member must {constraint}"


def _member_violations(shape: StructureShape, value: Mapping[str, Any], path: str) -> Iterator[str]:
    for name, member in shape.members.items():
        place = f"{path}.{_lowered(name)}" if path else _lowered(name)
        if value.get(name) is not None:
            yield from _violations(member, value[name], place)
        elif name in shape.required_members:
            yield f"Value null at '{place}' failed to satisfy constraint: Member must not be null"


def _outside(shape: Shape, value: object) -> Iterator[str]:
    """Name the limits on length or size that a value breaks."""
    if isinstance(value, str | list) and shape.type_name != "blob":
        # A blob's limit counts its bytes, not the characters of its base64.
        measured, what = len(value), "have length"
    elif isinstance(value, int) and not isinstance(value, bool):
        measured, what = value, "have value"
    else:
        return
    if measured < shape.metadata.get("min", measured):
        yield f"{what} greater than or equal to {shape.metadata['min']}"
    if measured > shape.metadata.get("max", measured):
        yield f"{what} less than or equal to {shape.metadata['max']}"


def _misspelt(shape: Shape, value: object) -> Iterator[str]:
    """Name the enumerations and patterns that a text does not follow."""
    allowed, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
    if allowed and value not in allowed:
        yield f"satisfy enum value set: [{', '.join(allowed)}]"
    if pattern and isinstance(value, str) and not re.fullmatch(pattern, value):
        yield f"satisfy regular expression pattern: {pattern}"


def _lowered(name: str) -> str:
    return name[:1].lower() + name[1:]

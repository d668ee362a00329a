"""Service descriptions in the form of AWS's SDK for Python (`service-2.json`): their operations."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from openk2.synthesis.apis.operation import Operation
from openk2.synthesis.apis.parameters import Shape
from openk2.synthesis.apis.reading import Draft, make_operation

PROVIDER = "amazonaws.com"
_TYPES = {
    "string": "string", "character": "string", "integer": "integer", "long": "integer",
    "short": "integer", "float": "number", "double": "number", "boolean": "boolean",
    "structure": "object", "list": "array", "timestamp": "string",
}  # fmt: skip
_DEPTH = 3


def is_botocore(document: Any) -> bool:
    """Whether a JSON document describes a service with `operations` and `shapes`."""
    return isinstance(document, dict) and all(
        isinstance(document.get(key), dict) for key in ("metadata", "operations", "shapes")
    )


def read_botocore(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Yield the usable operations; the provider is the one all these services have."""
    shapes = document["shapes"]
    for name, operation in document["operations"].items():
        if not isinstance(operation, dict) or operation.get("deprecated"):
            continue
        draft = Draft(
            PROVIDER, name, (operation.get("documentation"),),
            partial(_parts, shapes, operation.get("input")),
            partial(_shape, shapes, operation.get("output"), 0),
        )  # fmt: skip
        made = make_operation(draft)
        if made is not None:
            yield made


def _parts(shapes: Mapping[str, Any], reference: Any) -> tuple[tuple[str, Shape, bool], ...]:
    return _shape(shapes, reference, 0).parts


def _shape(shapes: Mapping[str, Any], reference: Any, depth: int) -> Shape:
    if not isinstance(reference, dict) or depth > _DEPTH:
        return Shape("")
    shape = shapes.get(str(reference.get("shape")))
    if not isinstance(shape, dict):
        return Shape("")
    text = reference.get("documentation") or shape.get("documentation") or ""
    type_ = _TYPES.get(str(shape.get("type")), "")
    form = "date-time" if shape.get("type") == "timestamp" else ""
    items = _shape(shapes, shape.get("member"), depth + 1) if type_ == "array" else None
    parts: tuple[tuple[str, Shape, bool], ...] = ()
    if type_ == "object":
        required = shape.get("required", ())
        members = list(shape.get("members", {}).items())[:40]
        parts = tuple((name, _shape(shapes, member, depth + 1), name in required)
                      for name, member in members)  # fmt: skip
    return Shape(type_, text, form, tuple(shape.get("enum", ())), items, parts)

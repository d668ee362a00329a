"""Shapes -> the plain JSON Schema that the library compiles.

Only keywords that the library enforces exactly are used, and no two of them overlap, so what it
would have to merge or approximate never reaches it.
"""

from typing import Any

from openk2.grammar.shapes import (
    ArrayShape,
    LiteralShape,
    NumberShape,
    ObjectShape,
    Shapes,
    StringShape,
    ValueShape,
)


def plain_schema(shapes: Shapes) -> dict[str, Any]:
    """A schema of the same values. A node is a definition, referred to by its number."""
    definitions = {str(number): plain_union(shapes, number) for number in range(len(shapes.nodes))}
    return {"$ref": f"#/$defs/{shapes.root}", "$defs": definitions}


def plain_union(shapes: Shapes, number: int) -> Any:
    """The schema of one node."""
    union = shapes.node(number)
    if not union:
        return False
    plain = [plain_shape(shapes, shape) for shape in union]
    return plain[0] if len(plain) == 1 else {"anyOf": plain}


def plain_shape(shapes: Shapes, shape: ValueShape) -> dict[str, Any]:
    """The schema of one alternative."""
    if isinstance(shape, LiteralShape):
        return {"enum": list(shape.values)}
    if isinstance(shape, StringShape | NumberShape):
        return plain_leaf(shape)
    if isinstance(shape, ArrayShape):
        return _list(shapes, shape)
    return _record(shapes, shape)


def plain_leaf(shape: StringShape | NumberShape) -> dict[str, Any]:
    """The schema of a string or a number."""
    return _text(shape) if isinstance(shape, StringShape) else _number(shape)


def _text(shape: StringShape) -> dict[str, Any]:
    plain: dict[str, Any] = {"type": "string", "minLength": shape.min_length}
    if shape.max_length is not None:
        plain["maxLength"] = shape.max_length
    parts: list[dict[str, Any]] = [{"pattern": pattern} for pattern in shape.patterns]
    parts += [{"format": name} for name in shape.formats]
    if len(parts) <= 1:
        return plain | (parts[0] if parts else {})
    return {"allOf": [plain, *({"type": "string"} | part for part in parts)]}


def _number(shape: NumberShape) -> dict[str, Any]:
    plain: dict[str, Any] = {"type": "integer" if shape.integer else "number"}
    plain |= {"minimum": shape.low, "maximum": shape.high}
    return plain | ({} if shape.multiple is None else {"multipleOf": shape.multiple})


def _list(shapes: Shapes, shape: ArrayShape) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "type": "array",
        "prefixItems": [_child(shapes, node) for node in shape.prefix],
        "items": _child(shapes, shape.rest),
        "minItems": shape.min_items,
    }
    return plain | ({} if shape.max_items is None else {"maxItems": shape.max_items})


def _record(shapes: Shapes, shape: ObjectShape) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "type": "object",
        "properties": {name: _child(shapes, node) for name, node in shape.properties},
        "required": sorted(shape.required),
        "patternProperties": {pattern: _child(shapes, node) for pattern, node in shape.patterns}
        | dict.fromkeys(shape.closed, False),
        "additionalProperties": _child(shapes, shape.additional),
    }
    if shape.min_extra:
        plain["minProperties"] = len(shape.required) + shape.min_extra
    if shape.max_extra:
        plain["maxProperties"] = len(shape.required) + shape.max_extra
    return plain


def _child(shapes: Shapes, number: int) -> Any:
    return {"$ref": f"#/$defs/{number}"} if shapes.node(number) else False

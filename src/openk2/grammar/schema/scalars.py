"""The scalar keywords of a conjunction of schemas: types, values and strings."""

import math
import re
from collections.abc import Hashable, Iterable
from typing import Any

from openk2.grammar.schema.formats import format_pattern
from openk2.grammar.schema.keywords import TYPES, Subschema, Subschemas
from openk2.grammar.schema.least_scalar import exact
from openk2.grammar.schema.numbers import MAX_DIGITS, MAX_INTEGER
from openk2.grammar.schema.patterns import found
from openk2.grammar.shapes import NumberShape, StringShape, ValueShape, identity

Valued = tuple[Subschema, Any]


def common_types(subschemas: Subschemas) -> frozenset[str]:
    """The types that all schemas allow; "integer" instead of "number" if only integers are left."""
    left = frozenset(TYPES)
    for subschema in subschemas:
        types = subschema.types()
        if types is None:
            continue
        both = left & types
        if ("integer" in left and "number" in types) or ("number" in left and "integer" in types):
            both |= {"integer"} if "number" not in both else set()
        left = both
    return left


def common_values(subschemas: Subschemas) -> list[Valued] | None:
    """The values in every `enum` and `const`, each with its schema; None if there is neither."""
    left: list[Valued] | None = None
    for subschema in subschemas:
        for keyword in ("const", "enum"):
            if keyword not in subschema.keywords():
                continue
            values = [subschema.get(keyword)] if keyword == "const" else subschema.get(keyword)
            if not isinstance(values, list):
                raise subschema.refused(keyword, "must be a list of values")
            for value in values:
                _check_value(subschema, keyword, value)
            known = {identity(value) for value in values}
            if left is None:
                left = list({identity(value): (subschema, value) for value in values}.values())
            else:
                left = [one for one in left if identity(one[1]) in known]
    forbidden = excluded(subschemas)
    return left and [one for one in left if identity(one[1]) not in forbidden]


def excluded(subschemas: Subschemas) -> frozenset[Hashable]:
    """What identifies the values that a `not` forbids."""
    return frozenset(identity(value) for subschema in subschemas for value in subschema.excluded)


def type_of(value: Any) -> str:
    """The name of a JSON value's type; "integer" also for 1.0, as in the draft."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if value == int(value) else "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def writable(subschema: Subschema, value: Any) -> Any:
    """The scalar as it is generated: 2.0 as 2. Raises GrammarError if it cannot be generated."""
    if isinstance(value, str) and any(c < " " and c not in "\b\f\n\r\t" for c in value):
        keyword = "const" if "const" in subschema.keywords() else "enum"
        raise subschema.refused(keyword, f"has {value!r}: control characters cannot be generated")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def exactly(value: Any) -> Any:
    """A schema that only this value satisfies."""
    if isinstance(value, list):
        return {
            "type": "array",
            "prefixItems": [exactly(item) for item in value],
            "minItems": len(value),
            "maxItems": len(value),
        }
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {key: exactly(item) for key, item in value.items()},
            "required": list(value),
            "additionalProperties": False,
        }
    return {"const": value}


def bounds(subschemas: Subschemas, low: str, high: str) -> tuple[int, int | None]:
    """The tightest lower and upper count over all schemas; None if there is no upper one."""
    least = max((subschema.count(low) or 0 for subschema in subschemas), default=0)
    most = [count for subschema in subschemas if (count := subschema.count(high)) is not None]
    return least, min(most, default=None)


def text_shapes(subschemas: Subschemas, *, formats: bool = True) -> list[StringShape]:
    """The strings that all schemas allow; none if their lengths exclude each other.

    formats: whether known formats are enforced; to the draft they are annotations.
    """
    least, most = bounds(subschemas, "minLength", "maxLength")
    if most is not None and most < least:
        return []
    patterns = _distinct(subschema.text("pattern") for subschema in subschemas)
    names = _distinct(subschema.text("format") for subschema in subschemas) if formats else ()
    known = _distinct(map(format_pattern, names))
    return [StringShape(least, most, (*patterns, *known), _absent(subschemas))]


def _absent(subschemas: Subschemas) -> tuple[str, ...]:
    """Patterns that may not be found: those that a `not` denies, and one of its strings."""
    absent = _distinct(subschema.absent for subschema in subschemas)
    texts = {v for subschema in subschemas for v in subschema.excluded if isinstance(v, str)}
    return (*absent, *([whole_words(sorted(texts))] if texts else []))


def whole_words(texts: Iterable[str]) -> str:
    """The pattern of these very texts."""
    return f"^(?:{'|'.join(map(re.escape, texts))})$"


def admits_scalar(shapes: Iterable[ValueShape], value: Any) -> bool:
    """Whether a string or number fits one of these shapes."""
    return any(
        _in_text(shape, value) if isinstance(shape, StringShape) else _in_number(shape, value)
        for shape in shapes
        if isinstance(shape, StringShape | NumberShape)
    )


def _in_text(shape: StringShape, value: Any) -> bool:
    return (
        isinstance(value, str)
        and shape.min_length <= len(value)
        and (shape.max_length is None or len(value) <= shape.max_length)
        and all(found(pattern, value) for pattern in shape.patterns)
        and not any(found(pattern, value, inverted=True) for pattern in shape.absent)
    )


def _in_number(shape: NumberShape, value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and shape.low <= value <= shape.high
        and not (shape.integer and value != int(value))
        and (shape.multiple is None or exact(value) % shape.multiple == 0)
    )


def _check_value(subschema: Subschema, keyword: str, value: Any) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list | dict):
            pending += item if isinstance(item, list) else [*item, *item.values()]
        elif isinstance(item, str) and not is_text(item):
            raise subschema.refused(keyword, f"has {item!r}, which holds half a character")
        elif isinstance(item, float) and not math.isfinite(item):
            raise subschema.refused(keyword, f"has {item}: JSON has no such number")
        elif isinstance(item, int) and abs(item) > MAX_INTEGER:
            raise subschema.refused(keyword, f"has an integer of more than {MAX_DIGITS} digits")


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))


def is_text(text: str) -> bool:
    """Whether it has no surrogate, which is half a character."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)

"""What the scalar keywords of a conjunction of schemas leave: types, values, strings, numbers."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

from openk2.grammar.schema.keywords import TYPES, Subschema
from openk2.grammar.schema.patterns import found
from openk2.grammar.shapes import NumberShape, ScalarShape, StringShape, ValueShape, identity

Subschemas = Sequence[Subschema]
Valued = tuple[Subschema, Any]

# The formats that the library knows. Draft 2020-12 makes `format` an annotation, so leaving any
# other to the model obeys the schema, and enforcing these is more than it asks.
FORMATS = frozenset(
    ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"]
)
# Beyond this a reader that takes numbers as doubles, as most do, loses digits (RFC 7493).
MAX_INTEGER = 2**53 - 1
MAX_NUMBER = 1e15
# How near a number comes to a bound that it may not reach.
OPEN_BOUND_GAP = 1e-9


def common_types(subschemas: Subschemas) -> frozenset[str]:
    """The types that all schemas allow; "integer" stands for number where only integers may be."""
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
    """The values that every `enum` and `const` names, with the schema; None without either."""
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
    return left


def type_of(value: Any) -> str:
    """The name of a JSON value's type; "integer" for 1.0 too, as the draft has it."""
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
    """The scalar as it is written: 2.0 as 2. Raises GrammarError if no text of it is allowed."""
    if isinstance(value, str) and any(c < " " and c not in "\b\f\n\r\t" for c in value):
        keyword = "const" if "const" in subschema.keywords() else "enum"
        raise subschema.refused(keyword, f"has {value!r}: control characters cannot be written")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def exactly(value: Any) -> Any:
    """A schema that this value alone satisfies."""
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
    """The tightest of two counting keywords over all schemas."""
    least = max((subschema.count(low) or 0 for subschema in subschemas), default=0)
    most = [count for subschema in subschemas if (count := subschema.count(high)) is not None]
    return least, min(most, default=None)


def text_shapes(subschemas: Subschemas) -> list[ScalarShape]:
    """The strings that all schemas allow; none if their lengths exclude each other."""
    least, most = bounds(subschemas, "minLength", "maxLength")
    if most is not None and most < least:
        return []
    patterns = _distinct(subschema.text("pattern") for subschema in subschemas)
    formats = _distinct(subschema.text("format") for subschema in subschemas)
    known = tuple(name for name in formats if name in FORMATS)
    return [StringShape(least, most, patterns, known)]


def number_shapes(subschemas: Subschemas, integer: bool) -> list[ScalarShape]:
    """The numbers that all schemas allow; none if their bounds exclude each other."""
    multiple = _multiple(subschemas)
    limit = MAX_INTEGER if integer or multiple is not None else MAX_NUMBER
    lows = [
        _closed(subschema, "minimum", "exclusiveMinimum", integer, 1) for subschema in subschemas
    ]
    highs = [
        _closed(subschema, "maximum", "exclusiveMaximum", integer, -1) for subschema in subschemas
    ]
    low = max((value for value in lows if value is not None), default=None)
    high = min((value for value in highs if value is not None), default=None)
    if low is not None and high is not None and low > high:
        return []
    if (low is not None and low > limit) or (high is not None and high < -limit):
        keywords = ("minimum", "exclusiveMinimum") if low is not None else ("maximum",)
        subschema = first_with(subschemas, *keywords, "exclusiveMaximum")
        keyword = next(k for k in (*keywords, "exclusiveMaximum") if k in subschema.keywords())
        raise subschema.refused(keyword, f"leaves only numbers beyond {limit:.0f}: not enforceable")
    low = -limit if low is None else max(low, -limit)
    high = limit if high is None else min(high, limit)
    return [NumberShape(integer, low, high, multiple)]


def first_with(subschemas: Subschemas, *keywords: str) -> Subschema:
    """The first schema that has one of these keywords."""
    return next(subschema for subschema in subschemas if subschema.keywords() & set(keywords))


def admits_scalar(shapes: Iterable[ValueShape], value: Any) -> bool:
    """Whether one of these shapes holds a string or a number."""
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
    )


def _in_number(shape: NumberShape, value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and shape.low <= value <= shape.high
        and not (shape.integer and value != int(value))
        and (shape.multiple is None or Fraction(value) % Fraction(shape.multiple) == 0)
    )


def _closed(
    subschema: Subschema, closed: str, excluded: str, integer: bool, inward: int
) -> int | float | None:
    """One schema's bound on one side, as a bound that may be reached. inward: 1 for a lower."""
    found: list[int | float] = []
    value = subschema.number(closed)
    if value is not None:
        found.append((math.ceil(value) if inward > 0 else math.floor(value)) if integer else value)
    value = subschema.number(excluded)
    if value is not None and integer:
        found.append(math.floor(value) + 1 if inward > 0 else math.ceil(value) - 1)
    elif value is not None:
        # The nearest double would do, but its digits fill a page near 0.
        gap = max(OPEN_BOUND_GAP, math.ulp(float(value)) * 2)
        found.append(value + inward * gap)
    if not found:
        return None
    return max(found) if inward > 0 else min(found)


def _multiple(subschemas: Subschemas) -> int | float | None:
    steps = [
        (subschema, step)
        for subschema in subschemas
        if (step := subschema.number("multipleOf")) is not None
    ]
    common: Fraction | None = None
    for subschema, step in steps:
        exact = Fraction(step)
        if step <= 0:
            raise subschema.refused("multipleOf", f"is {step}: it must be above 0")
        # In binary 0.07 is no multiple of 0.01: whoever validates with doubles would refuse it.
        if exact.denominator > 1024 or exact.numerator >= 2**31:
            raise subschema.refused("multipleOf", f"is {step}: only sums of 1, 1/2, 1/4 ... can be")
        common = exact if common is None else _least_multiple(common, exact)
    if common is None:
        return None
    if common.numerator >= 2**31:
        raise steps[-1][0].refused("multipleOf", "of several schemas has too large a common one")
    return int(common) if common.denominator == 1 else float(common)


def _least_multiple(one: Fraction, other: Fraction) -> Fraction:
    return Fraction(
        math.lcm(one.numerator * other.denominator, other.numerator * one.denominator),
        one.denominator * other.denominator,
    )


def _check_value(subschema: Subschema, keyword: str, value: Any) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, list | dict):
            pending += item if isinstance(item, list) else item.values()
        elif isinstance(item, float) and not math.isfinite(item):
            raise subschema.refused(keyword, f"has {item}: JSON has no such number")
        elif isinstance(item, int) and abs(item) > MAX_INTEGER:
            raise subschema.refused(keyword, f"has {item}: integers beyond 2^53 - 1 lose digits")


def _distinct(names: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))

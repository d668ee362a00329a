"""The scalar keywords of a conjunction of schemas: types, values, strings and numbers."""

import math
import re
from collections.abc import Hashable, Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any

from openk2.grammar.schema.formats import format_pattern
from openk2.grammar.schema.keywords import TYPES, Subschema
from openk2.grammar.schema.least_scalar import exact
from openk2.grammar.schema.patterns import found
from openk2.grammar.shapes import NumberShape, ScalarShape, StringShape, ValueShape, identity

Subschemas = Sequence[Subschema]
Valued = tuple[Subschema, Any]

# An id has some 20 digits. A weak model must not write them for ever.
MAX_DIGITS = 40  # before the point
MAX_INTEGER = 10**MAX_DIGITS - 1
# The library counts steps in doubles.
MAX_STEPPED = 2**53 - 1
# How close a number may come to an exclusive bound.
OPEN_BOUND_GAP = 1e-9
# The library counts the remainders of a step one by one.
MAX_DECIMALS, MAX_COEFFICIENT = 9, 1_000
# Ranges of numbers between those that a `not` forbids.
MAX_PIECES = 64


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


def number_shapes(subschemas: Subschemas, integer: bool) -> list[ScalarShape]:
    """The numbers that all schemas allow; none if their bounds contradict each other."""
    multiple = _multiple(subschemas)
    limit = MAX_INTEGER if multiple is None else MAX_STEPPED
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
        raise subschema.refused(keyword, f"leaves only numbers beyond {limit}: not enforceable")
    if multiple is None:
        low, high = -math.inf if low is None else low, math.inf if high is None else high
    else:
        low = -limit if low is None else max(low, -limit)
        high = limit if high is None else min(high, limit)
    pieces = [(low, high)]
    for subschema in subschemas:
        for value in subschema.excluded:
            if isinstance(value, int | float) and not isinstance(value, bool):
                pieces = [part for piece in pieces for part in _around(*piece, value, integer)]
    if len(pieces) > MAX_PIECES:
        raise first_with_excluded(subschemas).refused("not", f"forbids over {MAX_PIECES} numbers")
    return [NumberShape(integer, *piece, multiple) for piece in pieces]


def _around(low: float, high: float, value: float, integer: bool) -> Iterator[tuple[float, float]]:
    """A range without one value."""
    if not low <= value <= high:
        yield low, high
        return
    gap = 1 if integer else max(OPEN_BOUND_GAP, math.ulp(float(value)) * 2)
    below, above = (
        (math.ceil(value) - 1, math.floor(value) + 1) if integer else (value - gap, value + gap)
    )
    if low <= below:
        yield low, below
    if above <= high:
        yield above, high


def first_with_excluded(subschemas: Subschemas) -> Subschema:
    """The first schema that forbids values."""
    return next(subschema for subschema in subschemas if subschema.excluded)


def first_with(subschemas: Subschemas, *keywords: str) -> Subschema:
    """The first schema that has one of these keywords."""
    return next(subschema for subschema in subschemas if subschema.keywords() & set(keywords))


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


def _closed(
    subschema: Subschema, closed: str, excluded: str, integer: bool, inward: int
) -> int | float | None:
    """One schema's bound on one side, made inclusive. inward: 1 for a lower one, else -1."""
    found: list[int | float] = []
    value = subschema.number(closed)
    if value is not None:
        found.append((math.ceil(value) if inward > 0 else math.floor(value)) if integer else value)
    value = subschema.number(excluded)
    if value is not None and integer:
        found.append(math.floor(value) + 1 if inward > 0 else math.ceil(value) - 1)
    elif value is not None:
        # The next double would do, but near 0 it has hundreds of digits.
        gap = max(OPEN_BOUND_GAP, math.ulp(float(value)) * 2)
        found.append(value + inward * gap)
    if not found:
        return None
    return max(found) if inward > 0 else min(found)


def _multiple(subschemas: Subschemas) -> Fraction | None:
    """The common multiple of all steps. A step is the decimal that is written: 0.01 a hundredth."""
    common: Fraction | None = None
    for subschema in subschemas:
        step = subschema.number("multipleOf")
        if step is None:
            continue
        if step <= 0:
            raise subschema.refused("multipleOf", f"is {step}: it must be above 0")
        common = exact(step) if common is None else _least_multiple(common, exact(step))
        digits = common * 10**MAX_DECIMALS
        if digits.denominator != 1 or _coefficient(common) > MAX_COEFFICIENT:
            raise subschema.refused(
                "multipleOf",
                f"is {step}: only {MAX_DECIMALS} decimals and {MAX_COEFFICIENT:,} can be counted",
            )
    return common


def _coefficient(step: Fraction) -> int:
    """The step without its point: 25 of 0.25."""
    decimals = next(n for n in range(MAX_DECIMALS + 1) if (step * 10**n).denominator == 1)
    return int(step * 10**decimals)


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

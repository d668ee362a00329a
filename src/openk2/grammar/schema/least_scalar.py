"""The shortest string or number of a shape, counted out or read from its automaton."""

import json
import math
from decimal import Decimal
from fractions import Fraction

from openk2.grammar.error import GrammarError
from openk2.grammar.regex import PatternError
from openk2.grammar.schema.patterns import shortest
from openk2.grammar.shapes import NumberShape, ScalarShape, StringShape

# Beside a pattern a string's characters are counted one by one.
MAX_COUNTED = 2_000
_MAX_DECIMALS = 24


def least_size(shape: ScalarShape) -> int | None:
    """Bytes of the shortest value; None if there is no value at all."""
    if isinstance(shape, StringShape) and shape.plain:
        return shape.min_length + 2
    least = least_text(shape)
    return None if least is None else len(least)


def least_text(shape: ScalarShape) -> bytes | None:
    """The shortest value's JSON; None if there is none.

    Raises GrammarError for a pattern that cannot be used.
    """
    if isinstance(shape, NumberShape):
        number = _least_number(shape)
        return None if number is None else number.encode()
    if shape.plain:
        return b'"' + b"a" * shape.min_length + b'"'
    if shape.min_length > MAX_COUNTED:
        raise GrammarError(
            f"is {shape.min_length}: beside a pattern or format at most {MAX_COUNTED} can be "
            "enforced",
            keyword="minLength",
        )
    try:
        text = shortest(shape.patterns, shape.absent, shape.min_length, shape.max_length)
    except PatternError as error:
        raise GrammarError(f"cannot be enforced: it {error}", keyword="pattern") from None
    return None if text is None else json.dumps(text, ensure_ascii=False).encode()


def _least_number(shape: NumberShape) -> str | None:
    if shape.low <= 0 <= shape.high:
        return "0"
    # From 0 outwards: the nearest has the fewest digits before the point.
    low, high = shape.low, shape.high
    sign, near, far = ("", exact(low), high) if low > 0 else ("-", exact(-high), -low)
    steps = [shape.multiple] if shape.multiple is not None else []
    if not steps:
        decimals = 1 if shape.integer else _MAX_DECIMALS
        steps = [Fraction(1, 10**count) for count in range(decimals)]
    for step in steps:
        value = math.ceil(near / step) * step
        if (math.isinf(far) or value <= exact(far)) and not (
            shape.integer and value.denominator != 1
        ):
            return sign + _decimal(value)
    return None


def exact(number: float) -> Fraction:
    """A number of JSON as it is written: 0.1 is a tenth."""
    return Fraction(number) if isinstance(number, int) else Fraction(Decimal(repr(number)))


def _decimal(value: Fraction) -> str:
    whole, rest = divmod(value, 1)
    digits = ""
    while rest and len(digits) < _MAX_DECIMALS:
        digit, rest = divmod(rest * 10, 1)
        digits += str(digit)
    return f"{whole}.{digits}" if digits else str(whole)

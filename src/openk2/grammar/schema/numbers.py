"""The keywords of numbers in a conjunction of schemas: bounds, steps, forbidden ones."""

import math
from collections.abc import Iterator
from fractions import Fraction

from openk2.grammar.schema.keywords import Subschema, Subschemas, first_with
from openk2.grammar.schema.least_scalar import exact
from openk2.grammar.shapes import NumberShape, ScalarShape

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

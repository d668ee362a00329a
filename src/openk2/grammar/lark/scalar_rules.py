"""Strings, numbers and literals in Lark: exactly, for masks, or as every engine reads them."""

import json
import math
from collections.abc import Collection
from fractions import Fraction
from typing import Any, Protocol

from openk2.grammar.error import GrammarError
from openk2.grammar.lark.whole_numbers import positive, whole_numbers
from openk2.grammar.regex import PatternError, parse, string_terminal
from openk2.grammar.regex.syntax import Boundary, Look, parts
from openk2.grammar.schema import MAX_DIGITS, MAX_INTEGER, exact
from openk2.grammar.shapes import NumberShape, StringShape

CHARACTER = r'([^"\\\x00-\x1f\x7f]|\\["\\bfnrt])'
ESCAPED = r'["\\bfnrt]'  # after a backslash
# After a backslash and u, in values without assertions: a key could repeat a name in disguise, and
# lengths and patterns are counted in characters. Half a character (a surrogate) is none.
DIGIT = "[0-9a-fA-F]"
CODE = f"([0-9a-cefA-CEF]{DIGIT}{{3}}|[dD][0-7]{DIGIT}{{2}})"
FREE_CHARACTER = rf"({CHARACTER}|\\u{CODE})"
WHOLE = f"[1-9][0-9]{{0,{MAX_DIGITS - 1}}}"  # and no minus zero, of which there are two kinds
FRACTION = r"\.[0-9]+"
POWER = "[eE][+-]?[0-9]{1,2}"
# The library reads bounds as doubles, and forms no range of much larger ones.
MAX_RANGE = 10**15
TERMINALS = (
    "COMMA: /, ?/",
    "COLON: /: ?/",
    f'STRING: /"{CHARACTER}*"/',
    f'TEXT: /"{FREE_CHARACTER}*"/',
    f"INTEGER: /0|-?{WHOLE}/",
    rf"POSITIVE: /(0|{WHOLE}){FRACTION}({POWER})?|0|{WHOLE}({POWER})?/",
    rf"NUMBER: /-?(0|{WHOLE}){FRACTION}({POWER})?|0|-?{WHOLE}({POWER})?/",
)


class ScalarRules(Protocol):
    """How scalars are written. terminals: those that the rules so far name."""

    terminals: list[str]

    def string(self, shape: StringShape, names: Collection[str] = ()) -> str:
        """A string that is none of `names`."""
        ...

    def number(self, shape: NumberShape) -> str: ...

    def literals(self, texts: Collection[str]) -> str: ...


class PortableScalars:
    """For every engine. Names are not kept out of strings, nor what only an automaton reads."""

    def __init__(self) -> None:
        self.terminals: list[str] = []

    def string(self, shape: StringShape, names: Collection[str] = ()) -> str:
        """See `ScalarRules`."""
        if shape.plain:
            return plain_string(shape)
        patterns = [pattern for pattern in shape.patterns if is_regular(pattern)]
        plain: dict[str, Any] = {"type": "string"}
        if shape.min_length:
            plain["minLength"] = shape.min_length
        if shape.max_length is not None:
            plain["maxLength"] = shape.max_length
        # Several patterns are read alike by no two engines.
        return f"%json {json.dumps(plain | ({'pattern': patterns[0]} if patterns else {}))}"

    def number(self, shape: NumberShape) -> str:
        """See `ScalarRules`."""
        return number(shape)

    def literals(self, texts: Collection[str]) -> str:
        """See `ScalarRules`."""
        return " | ".join(map(literal, texts))


class ExactScalars:
    """For the masks: with the terminals' `&` and `~`, which llguidance alone reads."""

    def __init__(self) -> None:
        self.terminals: list[str] = []
        self._names: dict[str, str] = {}

    def string(self, shape: StringShape, names: Collection[str] = ()) -> str:
        """See `ScalarRules`. Raises GrammarError for patterns that cannot be written."""
        if shape.plain and not names:
            return plain_string(shape)
        try:
            terminal = string_terminal(
                shape.patterns, shape.absent, shape.min_length, shape.max_length, names
            )
        except PatternError as error:
            raise GrammarError(f"cannot be enforced: it {error}", keyword="pattern") from None
        return self._named(terminal)

    def number(self, shape: NumberShape) -> str:
        """See `ScalarRules`."""
        return number(shape)

    def literals(self, texts: Collection[str]) -> str:
        """See `ScalarRules`. As a terminal many cost what one does."""
        return self._named(" | ".join(map(literal, texts)))

    def _named(self, terminal: str) -> str:
        if terminal not in self._names:
            self._names[terminal] = f"T{len(self._names)}"
            self.terminals.append(f"{self._names[terminal]}: {terminal}")
        return self._names[terminal]


def literal(text: str | bytes) -> str:
    """This very text."""
    text = text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")
    return json.dumps(text, ensure_ascii=False)


def plain_string(shape: StringShape) -> str:
    """A string of which only the length counts."""
    if shape == StringShape():
        return "STRING"
    return f'/"{characters(shape.min_length, shape.max_length)}"/'


def characters(least: int, most: int | None) -> str:
    """A regular expression of so many characters of a string."""
    return f"{CHARACTER}{{{least},{'' if most is None else most}}}"


def is_regular(pattern: str) -> bool:
    """Whether engines read a pattern without an automaton of its own."""
    return not any(isinstance(part, Look | Boundary) for part in parts(parse(pattern)))


def number(shape: NumberShape) -> str:
    """A number. One with bounds is written without an exponent."""
    if shape.multiple is not None:
        return json_number(shape, shape.low, shape.high)
    if (shape.low, shape.high) == (-math.inf, math.inf):
        return "INTEGER" if shape.integer else "NUMBER"
    if shape.integer:
        low, high = (
            max(-MAX_INTEGER, min(bound, MAX_INTEGER)) for bound in (shape.low, shape.high)
        )
        return f"/{whole_numbers(int(low), int(high))}/"
    if (shape.low, shape.high) == (0, math.inf):
        return "POSITIVE"
    low, high = max(shape.low, -MAX_RANGE), min(shape.high, MAX_RANGE)
    ways = [*large_numbers("-", -shape.high, -shape.low), *large_numbers("", shape.low, shape.high)]
    if low <= high or not ways:
        ways.append(json_number(shape, low, high))
    return " | ".join(ways)


def large_numbers(sign: str, low: float, high: float) -> list[str]:
    """The numbers of a range beyond MAX_RANGE; the highest whole one has no decimals."""
    first = math.ceil(exact(max(low, MAX_RANGE)))
    if math.isinf(high):
        return [f"/{sign}({positive(first, MAX_INTEGER)})({FRACTION})?/"]
    last = min(math.floor(exact(high)), MAX_INTEGER)
    found = [f"/{sign}({positive(first, last - 1)})({FRACTION})?/"] if first < last else []
    return [*found, literal(f"{sign}{last}")] if first <= last else []


def json_number(shape: NumberShape, low: float, high: float) -> str:
    """A number of a range, or with a step, as a schema that the library reads itself."""
    plain: dict[str, Any] = {"type": "integer" if shape.integer else "number"}
    plain |= {"minimum": low, "maximum": high}
    if shape.multiple is not None:
        plain["multipleOf"] = as_written(shape.multiple)
    return f"%json {json.dumps(plain)}"


def as_written(number: Fraction) -> int | float:
    """A number of JSON."""
    return int(number) if number.denominator == 1 else float(number)

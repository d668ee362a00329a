"""Strings, numbers and literals in Lark: exactly, for masks, or as every engine reads them."""

import json
from collections.abc import Collection
from fractions import Fraction
from typing import Any, Protocol

from openk2.grammar.error import GrammarError
from openk2.grammar.regex import PatternError, parse, string_terminal
from openk2.grammar.regex.syntax import Boundary, Look, parts
from openk2.grammar.schema import MAX_INTEGER, MAX_NUMBER
from openk2.grammar.shapes import NumberShape, StringShape

CHARACTER = r'([^"\\\x00-\x1f\x7f]|\\["\\bfnrt])'
ESCAPED = r'["\\bfnrt]'  # after a backslash
DIGITS = 15  # before the point, where the schema has no bounds of its own
WHOLE = f"[1-9][0-9]{{0,{DIGITS - 1}}}"  # and no minus zero, of which there are two kinds
TERMINALS = (
    "COMMA: /, ?/",
    "COLON: /: ?/",
    f'STRING: /"{CHARACTER}*"/',
    f"INTEGER: /0|-?{WHOLE}/",
    rf"NUMBER: /-?(0|{WHOLE})\.[0-9]+|0|-?{WHOLE}/",
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
        if shape.multiple is None and is_unbounded(shape):
            return "INTEGER" if shape.integer else "NUMBER"
        return json_number(shape)

    def literals(self, texts: Collection[str]) -> str:
        """See `ScalarRules`."""
        return " | ".join(map(literal, texts))


class ExactScalars:
    """For the masks: with the terminals' `&` and `~`, which llguidance alone reads."""

    def __init__(self) -> None:
        self.terminals: list[str] = ["LARGE: /0|-?" + up_to(str(MAX_INTEGER)) + "/"]
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
        if shape.multiple is None and is_unbounded(shape):
            return "LARGE" if shape.integer else "NUMBER"
        return json_number(shape)

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


def json_number(shape: NumberShape) -> str:
    """A number with bounds or a step, as a schema that the library reads itself."""
    plain: dict[str, Any] = {"type": "integer" if shape.integer else "number"}
    plain |= {"minimum": shape.low, "maximum": shape.high}
    if shape.multiple is not None:
        plain["multipleOf"] = as_written(shape.multiple)
    return f"%json {json.dumps(plain)}"


def as_written(number: Fraction) -> int | float:
    """A number of JSON."""
    return int(number) if number.denominator == 1 else float(number)


def is_unbounded(shape: NumberShape) -> bool:
    """Whether the schema said nothing of its size."""
    limit = MAX_INTEGER if shape.integer else MAX_NUMBER
    return shape.low == -limit and shape.high == limit


def up_to(digits: str) -> str:
    """The numbers from 1 to this one."""
    ways = [f"[1-9][0-9]{{0,{len(digits) - 2}}}", digits]
    for at, digit in enumerate(digits):
        lowest = "1" if at == 0 else "0"
        if digit > lowest:
            below = f"[{lowest}-{chr(ord(digit) - 1)}]"
            ways.append(f"{digits[:at]}{below}[0-9]{{{len(digits) - at - 1}}}")
    return f"({'|'.join(ways)})"

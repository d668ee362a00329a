"""`LarkRules`: shapes as a Lark grammar that llguidance and xgrammar both read.

Every position in an object has its own rule, so that an unfinished value can be continued from
where it is (`remainder`). Only what both libraries have, and read alike, is used. The language is
that of the masks, except where `LarkRules` says otherwise.
"""

import json
import math

from openk2.grammar.ending import Least, quoted
from openk2.grammar.matcher import plain_leaf
from openk2.grammar.schema import MAX_INTEGER, MAX_NUMBER
from openk2.grammar.shapes import (
    ArrayShape,
    LiteralShape,
    NumberShape,
    ObjectShape,
    Shapes,
    StringShape,
    ValueShape,
)

CHARACTER = r'([^"\\\x00-\x1f\x7f]|\\["\\bfnrt])'
ESCAPED = r'["\\bfnrt]'  # after a backslash
DIGITS = 15  # before the decimal point, where the schema has no bounds
WHOLE = f"[1-9][0-9]{{0,{DIGITS - 1}}}"  # no zero: minus zero is read in two ways
TERMINALS = (
    "COMMA: /, ?/",
    "COLON: /: ?/",
    f'STRING: /"{CHARACTER}*"/',
    f"INTEGER: /0|-?{WHOLE}/",
    rf"NUMBER: /-?(0|{WHOLE})\.[0-9]+|0|-?{WHOLE}/",
)


class LarkRules:
    """The rules of one schema: `value` names a node's rule; the methods name those of what may
    follow inside an array or object.

    Narrower than the masks: beside named properties, other keys come only if some are required;
    numbers without bounds have at most 15 digits before the decimal point. Wider: another key may
    be any string, and strings and numbers with patterns, formats or bounds are whatever the library
    makes of their schema.
    """

    def __init__(self, shapes: Shapes, least: Least) -> None:
        self._shapes, self._least = shapes, least
        self._rules: list[str] = []
        for number, union in enumerate(shapes.nodes):
            possible = [shape for shape in union if least.size_of(shape) < math.inf]
            if possible:
                self._add(value(number), [self._shape(shape, number) for shape in possible])

    def grammar(self, start: str) -> str:
        """The whole grammar. start: the rule's right-hand side that a text must match."""
        # vLLM takes a grammar that contains ::= for another language.
        text = "\n".join((f"start: {start}", *TERMINALS, *self._rules))
        return text.replace("::=", r"\u003a:=")

    def has(self, node: int) -> bool:
        """Whether a node has any value."""
        return self._least.size(node) < math.inf

    def may_follow(self, shape: ObjectShape, number: int, place: int, extras: int) -> str:
        """What follows a member, to the end of the object.

        place: the position of the next named property. extras: how many other keys there are.
        """
        if extras:
            return self._more(shape, extras)
        return f"{self._places(shape, number)}_end{place}"

    def member(self, shape: ObjectShape, number: int, place: int, extras: int) -> str | None:
        """One more member and what follows it, to the end of the object; None if none may come."""
        if extras:
            return self._extra(shape, extras)
        if self._goes_on(shape, place):
            return f"{self._places(shape, number)}_member{place}"
        # After a comma only another key is left, though rules alone would not add one.
        return self._extra(shape, 0) if self.has_extras(shape) else None

    def has_extras(self, shape: ObjectShape) -> bool:
        """Whether other keys may occur."""
        return shape.open and bool(self._extra_values(shape))

    def extra_value(self, shape: ObjectShape) -> str:
        """The value of any other key."""
        return one_of(self._extra_values(shape))

    def items(self, shape: ArrayShape, number: int, count: int) -> str:
        """What follows `count` items, to the end of the array."""
        if count <= len(shape.prefix):
            return f"{self._places(shape, number)}_items{count}"
        return self._more_items(shape, count)

    def _shape(self, shape: ValueShape, number: int) -> str:
        if isinstance(shape, LiteralShape):
            return " | ".join(map(literal, shape.texts))
        if isinstance(shape, StringShape):
            return text(shape)
        if isinstance(shape, NumberShape):
            return numeral(shape)
        if isinstance(shape, ArrayShape):
            for count in range(len(shape.prefix) + 1):
                self._add(self.items(shape, number, count), self._items(shape, number, count))
            return f'"[" {self.items(shape, number, 0)}'
        places, opened, owed = self._places(shape, number), "", last_owed(shape)
        for place in range(len(shape.properties) + 1):
            ends = ['"}"'] if place > owed else []
            begins = []
            if self._goes_on(shape, place):
                self._add(f"{places}_member{place}", self._members(shape, number, place))
                begins = [f"{places}_member{place}"]
            self._add(f"{places}_end{place}", [*(f"COMMA {name}" for name in begins), *ends])
            opened = opened or one_of(begins + ends)
        return f'"{{" {opened}'

    def _items(self, shape: ArrayShape, number: int, count: int) -> list[str]:
        """The ways to continue after `count` items, each with its own position."""
        item = shape.item(count)
        if (shape.max_items is not None and count >= shape.max_items) or not self.has(item):
            return ['"]"']
        comma, ends = "COMMA " if count else "", ['"]"'] if count >= shape.min_items else []
        if count == len(shape.prefix):
            return [f"{comma}{value(item)} {self._more_items(shape, count + 1)}", *ends]
        return [f"{comma}{value(item)} {self.items(shape, number, count + 1)}", *ends]

    def _more_items(self, shape: ArrayShape, count: int) -> str:
        """What follows `count` items when all that may follow have one node."""
        most = None if shape.max_items is None else max(0, shape.max_items - count)
        most = most if self.has(shape.rest) else 0
        least = max(0, shape.min_items - count)
        return f'{times(f"COMMA {value(shape.rest)}", least, most)} "]"'

    def _members(self, shape: ObjectShape, number: int, place: int) -> list[str]:
        """The ways to continue with a member at this position or a later one."""
        if place == len(shape.properties):
            return [self._extra(shape, 0)]
        name, node = shape.properties[place]
        ways = []
        if self.has(node):
            follows = self.may_follow(shape, number, place + 1, 0)
            ways.append(f"{literal(quoted(name))} COLON {value(node)} {follows}")
        if name not in shape.required and self._goes_on(shape, place + 1):
            ways.append(f"{self._places(shape, number)}_member{place + 1}")
        return ways

    def _goes_on(self, shape: ObjectShape, place: int) -> bool:
        """Whether a rule has a member at this position or a later one."""
        for name, node in shape.properties[place:]:
            if self.has(node) or name in shape.required:
                return True
        return self.has_extras(shape) and (shape.min_extra > 0 or not shape.properties)

    def _extra_values(self, shape: ObjectShape) -> list[str]:
        nodes = [node for _, node in shape.patterns] + [shape.additional]
        return [value(node) for node in dict.fromkeys(nodes) if self.has(node)]

    def _extra(self, shape: ObjectShape, extras: int) -> str:
        """Another key, after `extras` of them, and all that follows."""
        return f"STRING COLON {self.extra_value(shape)} {self._more(shape, extras + 1)}"

    def _more(self, shape: ObjectShape, extras: int) -> str:
        """What may follow the value of another key."""
        most = None if shape.max_extra is None else max(0, shape.max_extra - extras)
        another = f"COMMA STRING COLON {self.extra_value(shape)}"
        return f'{times(another, max(0, shape.min_extra - extras), most)} "}}"'

    def _places(self, shape: ObjectShape | ArrayShape, number: int) -> str:
        return f"{value(number)}_{self._shapes.node(number).index(shape)}"

    def _add(self, name: str, ways: list[str]) -> None:
        self._rules.append(f"{name}: {' | '.join(ways)}")


def last_owed(shape: ObjectShape) -> int:
    """The position of the last member that an object must have; -1 if it may be empty."""
    if shape.min_extra:
        return len(shape.properties)
    places = (at for at, (name, _) in enumerate(shape.properties) if name in shape.required)
    return max(places, default=-1)


def value(number: int) -> str:
    """The name of a node's rule."""
    return f"v{number}"


def literal(text: str | bytes) -> str:
    """Exactly this text."""
    text = text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")
    return json.dumps(text, ensure_ascii=False)


def text(shape: StringShape) -> str:
    """A string of this shape."""
    if not shape.plain:
        plain = {key: item for key, item in plain_leaf(shape).items() if (key, item) != _NO_LEAST}
        return f"%json {json.dumps(plain)}"
    if shape == StringShape():
        return "STRING"
    return f'/"{characters(shape.min_length, shape.max_length)}"/'


_NO_LEAST = ("minLength", 0)


def characters(least: int, most: int | None) -> str:
    """A regular expression of `least` to `most` characters of a string."""
    return f"{CHARACTER}{{{least},{'' if most is None else most}}}"


def numeral(shape: NumberShape) -> str:
    """A number of this shape."""
    if shape.multiple is None and is_unbounded(shape):
        return "INTEGER" if shape.integer else "NUMBER"
    return f"%json {json.dumps(plain_leaf(shape))}"


def is_unbounded(shape: NumberShape) -> bool:
    """Whether the schema gave no bounds."""
    limit = MAX_INTEGER if shape.integer else MAX_NUMBER
    return shape.low == -limit and shape.high == limit


def one_of(ways: list[str]) -> str:
    """A choice."""
    return ways[0] if len(ways) == 1 else f"( {' | '.join(ways)} )"


def times(each: str, least: int, most: int | None) -> str:
    """`least` to `most` repetitions; empty if there are none."""
    if most == 0:
        return ""
    if most is not None:
        return f"({each}){{{least},{most}}}"
    return f"({each}){{{least},{least}}} ({each})*" if least else f"({each})*"

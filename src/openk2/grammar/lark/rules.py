"""Shapes -> a grammar in Lark, as llguidance and xgrammar read it, for engines that others run.

Every place in an object is a rule of its own, so that a value that was begun can be gone on with
from where it stands (`remainder`). What one of the two libraries does not have, or has otherwise,
is not used: the language is that of the masks, except where `LarkRules` says.
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
ESCAPED = r'["\\bfnrt]'  # behind a backslash
DIGITS = 15  # before the point, where the schema has no bounds of its own
WHOLE = f"[1-9][0-9]{{0,{DIGITS - 1}}}"  # and no minus zero, of which there are two kinds
TERMINALS = (
    "COMMA: /, ?/",
    "COLON: /: ?/",
    f'STRING: /"{CHARACTER}*"/',
    f"INTEGER: /0|-?{WHOLE}/",
    rf"NUMBER: /-?(0|{WHOLE})\.[0-9]+|0|-?{WHOLE}/",
)


class LarkRules:
    """The rules of one schema's values: `value` names those of a node, the others say what may
    follow inside a list or an object.

    Narrower than the masks: beside named properties, further keys are written only if some are
    owed; numbers without bounds have at most 15 digits before the point. Wider: a further key may
    be any, and leaves with patterns, formats or bounds are what the library makes of their schema.
    """

    def __init__(self, shapes: Shapes, least: Least) -> None:
        self._shapes, self._least = shapes, least
        self._rules: list[str] = []
        for number, union in enumerate(shapes.nodes):
            possible = [shape for shape in union if least.size_of(shape) < math.inf]
            if possible:
                self._add(value(number), [self._shape(shape, number) for shape in possible])

    def grammar(self, start: str) -> str:
        """The whole grammar. start: what its texts are."""
        # vLLM takes a grammar with ::= anywhere in it for another language.
        text = "\n".join((f"start: {start}", *TERMINALS, *self._rules))
        return text.replace("::=", r"\u003a:=")

    def has(self, node: int) -> bool:
        """Whether a node has values at all."""
        return self._least.size(node) < math.inf

    def may_follow(self, shape: ObjectShape, number: int, place: int, extras: int) -> str:
        """Behind a member, to the end of the object.

        place: of the next named property. extras: how many further keys there are.
        """
        if extras:
            return self._more(shape, extras)
        return f"{self._places(shape, number)}_end{place}"

    def member(self, shape: ObjectShape, number: int, place: int, extras: int) -> str | None:
        """From the beginning of a member that must come to the end of the object; None if none
        that is written may come."""
        if extras:
            return self._extra(shape, extras)
        if self._goes_on(shape, place):
            return f"{self._places(shape, number)}_member{place}"
        # Whoever wrote the comma meant a key that is not written otherwise.
        return self._extra(shape, 0) if self.has_extras(shape) else None

    def has_extras(self, shape: ObjectShape) -> bool:
        """Whether there are further keys at all."""
        return shape.open and bool(self._extra_values(shape))

    def extra_value(self, shape: ObjectShape) -> str:
        """The value of any further key."""
        return one_of(self._extra_values(shape))

    def items(self, shape: ArrayShape, number: int, count: int) -> str:
        """Behind `count` items, to the end of the list."""
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
        """The ways to go on behind `count` items, of which each has its own place."""
        item = shape.item(count)
        if (shape.max_items is not None and count >= shape.max_items) or not self.has(item):
            return ['"]"']
        comma, ends = "COMMA " if count else "", ['"]"'] if count >= shape.min_items else []
        if count == len(shape.prefix):
            return [f"{comma}{value(item)} {self._more_items(shape, count + 1)}", *ends]
        return [f"{comma}{value(item)} {self.items(shape, number, count + 1)}", *ends]

    def _more_items(self, shape: ArrayShape, count: int) -> str:
        """Behind `count` items, all that may follow being alike."""
        most = None if shape.max_items is None else max(0, shape.max_items - count)
        most = most if self.has(shape.rest) else 0
        least = max(0, shape.min_items - count)
        return f'{times(f"COMMA {value(shape.rest)}", least, most)} "]"'

    def _members(self, shape: ObjectShape, number: int, place: int) -> list[str]:
        """The ways to go on with a member at this place or one behind it."""
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
        """Whether a member that is written may come at this place or behind it."""
        for name, node in shape.properties[place:]:
            if self.has(node) or name in shape.required:
                return True
        return self.has_extras(shape) and (shape.min_extra > 0 or not shape.properties)

    def _extra_values(self, shape: ObjectShape) -> list[str]:
        nodes = [node for _, node in shape.patterns] + [shape.additional]
        return [value(node) for node in dict.fromkeys(nodes) if self.has(node)]

    def _extra(self, shape: ObjectShape, extras: int) -> str:
        """A further key, beside `extras` of them, and all that follows."""
        return f"STRING COLON {self.extra_value(shape)} {self._more(shape, extras + 1)}"

    def _more(self, shape: ObjectShape, extras: int) -> str:
        """What may follow behind a further key's value."""
        most = None if shape.max_extra is None else max(0, shape.max_extra - extras)
        another = f"COMMA STRING COLON {self.extra_value(shape)}"
        return f'{times(another, max(0, shape.min_extra - extras), most)} "}}"'

    def _places(self, shape: ObjectShape | ArrayShape, number: int) -> str:
        return f"{value(number)}_{self._shapes.node(number).index(shape)}"

    def _add(self, name: str, ways: list[str]) -> None:
        self._rules.append(f"{name}: {' | '.join(ways)}")


def last_owed(shape: ObjectShape) -> int:
    """The place of the last member that an object must have; -1 if it may be empty."""
    if shape.min_extra:
        return len(shape.properties)
    places = (at for at, (name, _) in enumerate(shape.properties) if name in shape.required)
    return max(places, default=-1)


def value(number: int) -> str:
    """The rule of a node's values."""
    return f"v{number}"


def literal(text: str | bytes) -> str:
    """This very text."""
    text = text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")
    return json.dumps(text, ensure_ascii=False)


def text(shape: StringShape) -> str:
    """A string."""
    if not shape.plain:
        plain = {key: item for key, item in plain_leaf(shape).items() if (key, item) != _NO_LEAST}
        return f"%json {json.dumps(plain)}"
    if shape == StringShape():
        return "STRING"
    return f'/"{characters(shape.min_length, shape.max_length)}"/'


_NO_LEAST = ("minLength", 0)


def characters(least: int, most: int | None) -> str:
    """A regular expression of so many characters of a string."""
    return f"{CHARACTER}{{{least},{'' if most is None else most}}}"


def numeral(shape: NumberShape) -> str:
    """A number."""
    if shape.multiple is None and is_unbounded(shape):
        return "INTEGER" if shape.integer else "NUMBER"
    return f"%json {json.dumps(plain_leaf(shape))}"


def is_unbounded(shape: NumberShape) -> bool:
    """Whether the schema said nothing of its size."""
    limit = MAX_INTEGER if shape.integer else MAX_NUMBER
    return shape.low == -limit and shape.high == limit


def one_of(ways: list[str]) -> str:
    """A choice."""
    return ways[0] if len(ways) == 1 else f"( {' | '.join(ways)} )"


def times(each: str, least: int, most: int | None) -> str:
    """So many of them in a row; empty for none."""
    if most == 0:
        return ""
    if most is not None:
        return f"({each}){{{least},{most}}}"
    return f"({each}){{{least},{least}}} ({each})*" if least else f"({each})*"

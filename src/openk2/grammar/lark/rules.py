"""Shapes -> a grammar in Lark: the masks' own, or one for engines that others run.

Every place in an object is a rule of its own, so that a value that was begun can be continued
from where it stands (`remainder`). A portable grammar has only what llguidance and xgrammar read
alike; its language is that of the masks, except where `LarkRules` says.
"""

import math
from collections.abc import Iterable
from itertools import combinations

from openk2.grammar.ending import Least, quoted
from openk2.grammar.error import GrammarError
from openk2.grammar.lark.scalar_rules import (
    TERMINALS,
    ExactScalars,
    PortableScalars,
    literal,
)
from openk2.grammar.shapes import (
    ArrayShape,
    LiteralShape,
    NumberShape,
    ObjectShape,
    Shapes,
    StringShape,
    ValueShape,
)

# Each costs a quarter of a millisecond to compile.
MAX_RULES = 16_000


class LarkRules:
    """The rules of one schema: `value` names a node's rule; the methods name those of what may
    follow inside an array or object.

    portable: narrower than the masks: beside named properties, further keys are written only if
    some are owed. Wider: a further key may be any, a string with assertions or forbidden patterns
    too, and numbers and other strings are what the library makes of their schema.
    """

    def __init__(self, shapes: Shapes, least: Least, *, portable: bool) -> None:
        self._shapes, self._least, self._portable = shapes, least, portable
        self._scalars = PortableScalars() if portable else ExactScalars()
        self._rules: list[str] = []
        for number, union in enumerate(shapes.nodes):
            possible = [shape for shape in union if least.size_of(shape) < math.inf]
            if possible:
                self._add(value(number), [self._shape(shape, number) for shape in possible])

    def grammar(self, start: str) -> str:
        """The whole grammar. start: what its texts are."""
        # vLLM takes a grammar with ::= anywhere in it for another language.
        terminals = (*TERMINALS, *self._scalars.terminals)
        text = "\n".join((f"start: {start}", *terminals, *self._rules))
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
        """Whether there are further keys at all."""
        return shape.open and any(self.has(node) for _, node in shape.extras)

    def extra_value(self, shape: ObjectShape) -> str:
        """The value of any further key."""
        nodes = dict.fromkeys(node for _, node in shape.extras)
        return one_of([value(node) for node in nodes if self.has(node)])

    def items(self, shape: ArrayShape, number: int, count: int) -> str:
        """What follows `count` items, to the end of the array."""
        if count <= len(shape.prefix):
            return f"{self._places(shape, number)}_items{count}"
        return self._more_items(shape, count)

    def _shape(self, shape: ValueShape, number: int) -> str:
        if isinstance(shape, LiteralShape):
            return self._scalars.literals(shape.texts)
        if isinstance(shape, StringShape):
            return "TEXT" if shape == StringShape() else self._scalars.string(shape)
        if isinstance(shape, NumberShape):
            return self._scalars.number(shape)
        if isinstance(shape, ArrayShape) and shape.unique and not self._portable:
            return self._unique(shape, number)
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

    def _unique(self, shape: ArrayShape, number: int) -> str:
        """A list of different literals: a rule for each set of those that are left."""
        every = self._shapes.literals(shape)
        most = len(every) if shape.max_items is None else min(len(every), shape.max_items)
        name = self._places(shape, number)
        for count in range(len(every) - most, len(every) + 1):
            for left in combinations(range(len(every)), count):
                written = len(every) - count
                comma, ways = "COMMA " if written else "", []
                if written < most:
                    for one in left:
                        rest = "_".join(str(other) for other in left if other != one)
                        ways.append(f"{comma}{literal(every[one])} {name}_left_{rest}")
                ways += ['"]"'] if written >= shape.min_items else []
                self._add(f"{name}_left_{'_'.join(map(str, left))}", ways)
        return f'"[" {name}_left_{"_".join(map(str, range(len(every))))}'

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
        if self._portable and shape.properties and not shape.min_extra:
            return False
        return self.has_extras(shape)

    def _another(self, shape: ObjectShape) -> str:
        """A further key and its value."""
        if self._portable:
            return f"STRING COLON {self.extra_value(shape)}"
        kinds = [
            f"{self._scalars.string(key, shape.names)} COLON {value(node)}"
            for key, node in shape.extras
            if self.has(node)
        ]
        return one_of(kinds)

    def _extra(self, shape: ObjectShape, extras: int) -> str:
        """A further key, beside `extras` of them, and all that follows."""
        return f"{self._another(shape)} {self._more(shape, extras + 1)}"

    def _more(self, shape: ObjectShape, extras: int) -> str:
        """What may follow the value of another key."""
        most = None if shape.max_extra is None else max(0, shape.max_extra - extras)
        another = f"COMMA {self._another(shape)}"
        return f'{times(another, max(0, shape.min_extra - extras), most)} "}}"'

    def _places(self, shape: ObjectShape | ArrayShape, number: int) -> str:
        return f"{value(number)}_{self._shapes.node(number).index(shape)}"

    def _add(self, name: str, ways: Iterable[str]) -> None:
        if len(self._rules) >= MAX_RULES:
            raise GrammarError(f"takes more than {MAX_RULES:,} rules: too many names and items")
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

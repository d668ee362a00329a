"""JSON Schema (Draft 2020-12) -> `Shapes`, exactly, or an error that names the keyword.

A node is a conjunction of schemas; a child's schemas are those that any of them has for it. So
`allOf`, `$ref` beside other keywords and `properties` of several schemas need no special merging,
and a recursive schema meets its own conjunctions again.
"""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openk2.grammar.schema.choices import Choice, choices
from openk2.grammar.error import GrammarError
from openk2.grammar.schema.keywords import ASSERTIONS, STRUCTURED, Place
from openk2.grammar.matcher.leaves import Leaves
from openk2.grammar.schema.members import MAX_ITEMS, Fields, counted, items_at
from openk2.grammar.schema.scalars import (
    Places,
    Valued,
    admits_scalar,
    bounds,
    common_types,
    common_values,
    exactly,
    first_with,
    number_shapes,
    text_shapes,
    type_of,
    writable,
)
from openk2.grammar.shapes import NEVER, Leaf, List, Literals, Record, Shape, Union

MAX_NODES = 4_000
# A value that its schema leaves open nests no deeper: readers of JSON have limits of their own.
MAX_FREE_DEPTH = 12

_Key = tuple[tuple[Place, ...], int]


class Reading:
    """The shapes of one schema, and what its `oneOf` still owe.

    disjoint: pairs of unions that a `oneOf` keeps apart, with its pointer: a value in both would
    be refused by the schema, so somebody has to prove that there is none.
    Raises GrammarError as `choices` does, and for a keyword here that cannot be enforced.
    """

    def __init__(self, schema: Mapping[str, Any] | bool, leaves: Leaves) -> None:
        self._leaves = leaves
        self.root = Place("#", schema)
        self.nodes: list[Union] = []
        self.disjoint: list[tuple[Union, Union, str]] = []
        self._numbers: dict[_Key, int] = {}
        self._pending: deque[tuple[int, _Key]] = deque()
        self.root_node = self._node((self.root,), 0)
        while self._pending:
            number, (conjunction, depth) = self._pending.popleft()
            self.nodes[number] = self._union(conjunction, depth)

    def _node(self, conjunction: Iterable[Place], depth: int) -> int:
        """The number of a conjunction's node. depth: how deep it is in a value left open."""
        places = tuple(dict.fromkeys(place for place in conjunction if place.schema is not True))
        if any(place.schema is False for place in places):
            return NEVER
        key = (places, depth)
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(())
            self._pending.append((self._numbers[key], key))
            if len(self.nodes) > MAX_NODES:
                raise GrammarError(f"makes more than {MAX_NODES} different subschemas")
        return self._numbers[key]

    def _union(self, conjunction: Sequence[Place], depth: int) -> Union:
        ways = choices(self.root, conjunction)
        unions = [self._of_choice(choice, depth) for choice in ways]
        for index, way in enumerate(ways):
            for other in range(index):
                for pointer, branch in way.branches.items():
                    if ways[other].branches.get(pointer, branch) != branch:
                        self.disjoint.append((unions[index], unions[other], pointer))
        return tuple(dict.fromkeys(shape for union in unions for shape in union))

    def _of_choice(self, choice: Choice, depth: int) -> Union:
        places = choice.places
        said = any(ASSERTIONS & place.keywords() for place in places)
        depth = 0 if said else depth + 1
        types = common_types(places)
        values = common_values(places)
        if values is not None:
            return self._of_values(places, types, values)
        union: list[Shape] = []
        if "null" in types:
            union.append(Literals((None,)))
        if "boolean" in types:
            union.append(Literals((True, False)))
        if types & {"number", "integer"}:
            union += self._leaf(number_shapes(places, integer="number" not in types), places)
        if "string" in types:
            union += self._leaf(text_shapes(places), places)
        if "array" in types and depth <= MAX_FREE_DEPTH:
            union += self._lists(places, depth)
        if "object" in types and depth <= MAX_FREE_DEPTH:
            union += self._records(places, depth)
        return tuple(union)

    def _leaf(self, shapes: list[Leaf], places: Places) -> list[Leaf]:
        """The shapes that hold a value at all; who cannot be enforced is told by its place."""
        try:
            return [shape for shape in shapes if self._leaves.least_size(shape) is not None]
        except GrammarError as error:
            keyword = error.keyword or "type"
            place = first_with(places, keyword)
            raise place.refused(keyword, error.problem) from None

    def _of_values(self, places: Places, types: frozenset[str], values: list[Valued]) -> Union:
        """`enum` and `const`: the values that the other keywords admit too."""
        scalars: list[Leaf] = []
        if types & {"number", "integer"}:
            scalars += self._leaf(number_shapes(places, integer="number" not in types), places)
        if "string" in types:
            scalars += self._leaf(text_shapes(places), places)
        kept: list[Any] = []
        union: list[Shape] = []
        for place, value in values:
            kind = type_of(value)
            if kind not in types and not (kind == "integer" and "number" in types):
                continue
            if not isinstance(value, list | dict):
                if value is None or isinstance(value, bool) or admits_scalar(scalars, value):
                    kept.append(writable(place, value))
                continue
            beside = next((p for p in places if STRUCTURED & p.keywords()), None)
            if beside is not None:
                keyword = "const" if "const" in beside.keywords() else "enum"
                raise beside.refused(keyword, "of lists or objects cannot stand beside others")
            name = f"written out {json.dumps(value, sort_keys=True)}"
            exact = (place.made(name, exactly(value)),)
            union += self._lists(exact, 0) if isinstance(value, list) else self._records(exact, 0)
        return (Literals(tuple(kept)), *union) if kept else tuple(union)

    def _lists(self, places: Places, depth: int) -> list[Shape]:
        longest = max((len(place.schemas("prefixItems")) for place in places), default=0)
        least, most = bounds(places, "minItems", "maxItems")
        if least > MAX_ITEMS:
            raise first_with(places, "minItems").refused(
                "minItems", f"is {least}: more than {MAX_ITEMS} cannot be enforced"
            )
        if most is not None and most < least:
            return []
        prefix = [self._node(items_at(places, index), depth) for index in range(longest)]
        rest = self._node(items_at(places, longest), depth)
        if NEVER in prefix:
            prefix, rest = prefix[: prefix.index(NEVER)], NEVER
        if rest == NEVER:
            most = len(prefix) if most is None else min(most, len(prefix))
        unique = next((place for place in places if place.get("uniqueItems") is True), None)
        if unique is not None and (most is None or most > 1):
            raise unique.refused("uniqueItems", "cannot be enforced: leave it out")
        # A list that may be longer than any answer need not be counted to its end.
        most = None if most is None else min(most, MAX_ITEMS)
        if most is not None:
            prefix = prefix[:most]
        return (
            []
            if rest == NEVER and least > len(prefix)
            else [List(tuple(prefix), rest, least, most)]
        )

    def _records(self, places: Places, depth: int) -> list[Shape]:
        fields = Fields(places)
        named = tuple((name, self._node(fields.of(name), depth)) for name in fields.names)
        patterns = tuple(
            (pattern, self._node(fields.matching(pattern), depth)) for pattern in fields.patterns
        )
        record = Record(
            named,
            fields.required,
            tuple((pattern, node) for pattern, node in patterns if node != NEVER),
            self._node(fields.others(), depth) if fields.open else NEVER,
            closed=tuple(pattern for pattern, node in patterns if node == NEVER),
        )
        if any(node == NEVER for name, node in named if name in fields.required):
            return []
        least, most = bounds(places, "minProperties", "maxProperties")
        return list(counted(record, least, most, places))

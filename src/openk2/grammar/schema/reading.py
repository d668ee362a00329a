"""`Reading`: a JSON Schema (draft 2020-12) as shapes, exactly, or an error that names the keyword.

A node is a conjunction of schemas; a child's schemas are those that any of them has for it. So
`allOf`, `$ref` beside other keywords and `properties` of several schemas need no special merging,
and a recursive schema reaches its own conjunctions again, so nodes are finite.
"""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from openk2.grammar.error import TOO_MUCH, GrammarError
from openk2.grammar.schema.admits import disjoint
from openk2.grammar.schema.choices import Choice, Overlap, choices, overlap
from openk2.grammar.schema.containing import placements
from openk2.grammar.schema.keywords import (
    STRUCTURED,
    UNEVALUATED,
    Subschema,
    Subschemas,
    first_with,
)
from openk2.grammar.schema.least_scalar import least_size
from openk2.grammar.schema.members import (
    MATCHES_A_UNIT,
    MAX_ITEMS,
    Evaluators,
    Fields,
    counted,
    items_at,
)
from openk2.grammar.schema.numbers import number_shapes
from openk2.grammar.schema.scalars import (
    Valued,
    admits_scalar,
    bounds,
    common_types,
    common_values,
    exactly,
    excluded,
    text_shapes,
    type_of,
    writable,
)
from openk2.grammar.shapes import (
    NEVER,
    Alternatives,
    ArrayShape,
    LiteralShape,
    ObjectShape,
    ScalarShape,
    Shapes,
    StringShape,
    ValueShape,
    identity,
)

MAX_NODES = 6_000
# Readings of one schema, each telling more branches apart. Real schemas take one or two.
MAX_ROUNDS = 8
MAX_PREFIX, MAX_UNIQUE = 1_000, 8

_Key = tuple[Subschema, ...]


class Reading:
    """The shapes of one schema, and what must be proved of each `oneOf`.

    exclusive: branches of a `oneOf` that are read as denying each other.
    disjoint: pairs of unions that a `oneOf` keeps apart, with its branches: a value in both would
    be refused by the schema, so somebody has to prove that there is none.
    entangled: branches of a `oneOf` beside `unevaluated...`, which have to be read as exclusive.
    unique: lists whose items differ, with their schema: their items have to be few literals.
    Raises GrammarError as `choices` does, and for a keyword here that cannot be enforced.
    """

    def __init__(
        self, schema: Mapping[str, Any] | bool, exclusive: frozenset[Overlap] = frozenset()
    ) -> None:
        self._exclusive = exclusive
        self._work = 0
        self.entangled: set[Overlap] = set()
        self.unique: list[tuple[ArrayShape, Subschema]] = []
        self.root = Subschema("#", schema)
        self.nodes: list[Alternatives] = []
        self.disjoint: list[tuple[Alternatives, Alternatives, Overlap]] = []
        self._numbers: dict[_Key, int] = {}
        self._pending: deque[tuple[int, _Key]] = deque()
        self.root_node = self._node((self.root,))
        while self._pending:
            number, conjunction = self._pending.popleft()
            self.nodes[number] = self._union(conjunction)

    def _node(self, conjunction: Iterable[Subschema]) -> int:
        """The number of a conjunction's node."""
        key = tuple(
            dict.fromkeys(subschema for subschema in conjunction if subschema.schema is not True)
        )
        if any(subschema.schema is False for subschema in key):
            return NEVER
        # What says nothing about a value says the same everywhere.
        key = tuple(subschema for subschema in key if subschema.says_something)
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(())
            self._pending.append((self._numbers[key], key))
            self._spend(1)
        return self._numbers[key]

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > MAX_NODES:
            raise GrammarError(TOO_MUCH)

    def _union(self, conjunction: Sequence[Subschema]) -> Alternatives:
        ways = choices(self.root, conjunction, self._exclusive)
        self._spend(len(ways))
        unions = [self._of_choice(choice) for choice in ways]
        # What a branch leaves unevaluated says nothing of whether it overlaps another.
        entangled = any(one.keywords() & UNEVALUATED for way in ways for one in way.above)
        for index, way in enumerate(ways):
            for other in range(index):
                for pointer, branch in way.branches.items():
                    others = ways[other].branches.get(pointer, branch)
                    pair = overlap(pointer, branch, others)
                    if others == branch or pair in self._exclusive:
                        continue
                    self.disjoint.append((unions[index], unions[other], pair))
                    self.entangled |= {pair} if entangled else set()
        return tuple(dict.fromkeys(shape for union in unions for shape in union))

    def _of_choice(self, choice: Choice) -> Alternatives:
        subschemas, evaluators = choice.subschemas, choice.evaluators()
        types, forbidden = common_types(subschemas), excluded(subschemas)
        values = common_values(subschemas)
        if values is not None:
            return self._of_values(subschemas, types, values)
        union: list[ValueShape] = []
        kinds = (("null", (None,)), ("boolean", (True, False)))
        for kind, every in kinds:
            left = tuple(value for value in every if identity(value) not in forbidden)
            if kind in types and left:
                union.append(LiteralShape(left))
        if types & {"number", "integer"}:
            union += self._leaf(
                number_shapes(subschemas, integer="number" not in types), subschemas
            )
        if "string" in types:
            union += self._leaf(text_shapes(subschemas), subschemas)
        if types & {"array", "object"} and any(isinstance(one, tuple) for one in forbidden):
            self._check_excluded(subschemas)
        if "array" in types:
            union += self._arrays(subschemas, evaluators)
        if "object" in types:
            union += self._objects(subschemas, evaluators)
        return tuple(union)

    def _check_excluded(self, subschemas: Subschemas) -> None:
        for subschema in subschemas:
            if any(isinstance(value, list | dict) for value in subschema.excluded):
                raise subschema.refused("not", "of lists or objects cannot be enforced")

    def _leaf(self, shapes: Sequence[ScalarShape], subschemas: Subschemas) -> list[ScalarShape]:
        """The shapes that hold a value. Raises GrammarError, at the subschema's place, for a shape
        that cannot be enforced."""
        try:
            return [shape for shape in shapes if least_size(shape) is not None]
        except GrammarError as error:
            keyword = error.keyword or "type"
            subschema = next((s for s in subschemas if s.get(keyword) is not None), subschemas[0])
            raise subschema.refused(keyword, error.problem) from None

    def _of_values(
        self, subschemas: Subschemas, types: frozenset[str], values: list[Valued]
    ) -> Alternatives:
        """`enum` and `const`: the values that the other keywords allow too."""
        scalars: list[ScalarShape] = []
        if types & {"number", "integer"}:
            scalars += self._leaf(
                number_shapes(subschemas, integer="number" not in types), subschemas
            )
        if "string" in types:
            scalars += self._leaf(text_shapes(subschemas, formats=False), subschemas)
        patterns = sum(
            len(s.patterns) + len(s.absent) for s in scalars if isinstance(s, StringShape)
        )
        self._spend(len(values) * patterns // MATCHES_A_UNIT)
        kept: list[Any] = []
        union: list[ValueShape] = []
        for subschema, value in values:
            kind = type_of(value)
            if kind not in types and not (kind == "integer" and "number" in types):
                continue
            if not isinstance(value, list | dict):
                if value is None or isinstance(value, bool) or admits_scalar(scalars, value):
                    kept.append(writable(subschema, value))
                continue
            beside = next((p for p in subschemas if STRUCTURED & p.keywords()), None)
            if beside is not None:
                keyword = "const" if "const" in beside.keywords() else "enum"
                raise beside.refused(keyword, "of lists or objects cannot stand beside others")
            keyword = "const" if "const" in subschema.keywords() else "enum"
            if len(value) > MAX_PREFIX:
                raise subschema.refused(
                    keyword, f"has {len(value):,} items: at most {MAX_PREFIX:,}"
                )
            self._spend(json.dumps(value).count(",") * 2)
            exact = (subschema.made(f"{keyword} {len(self.nodes)} {len(union)}", exactly(value)),)
            union += (
                self._arrays(exact, {}) if isinstance(value, list) else self._objects(exact, {})
            )
        return (LiteralShape(tuple(kept)), *union) if kept else tuple(union)

    def _arrays(self, subschemas: Subschemas, evaluators: Evaluators) -> list[ValueShape]:
        least, most = bounds(subschemas, "minItems", "maxItems")
        if least > MAX_ITEMS:
            raise first_with(subschemas, "minItems").refused(
                "minItems", f"is {least}: more than {MAX_ITEMS} cannot be enforced"
            )
        longest = max((len(subschema.items()[0]) for subschema in subschemas), default=0)
        if longest > MAX_PREFIX:
            raise first_with(subschemas, "prefixItems", "items").refused(
                "prefixItems", f"has {longest:,} schemas: at most {MAX_PREFIX:,}"
            )
        # An array that may be longer than any answer need not be counted to its end.
        most = None if most is None else min(most, MAX_ITEMS)
        unique = next((one for one in subschemas if one.get("uniqueItems") is True), None)
        found: list[ValueShape] = []
        for placement in placements(subschemas):
            items = [
                [*items_at(subschemas, index, evaluators), *placement.at(index)]
                for index in range(max(longest, len(placement.first)) + 1)
            ]
            shape = self._array(items, max(least, placement.least), most)
            if shape is not None and unique is not None and shape.max_items not in (0, 1):
                shape = replace(shape, unique=True)
                self.unique.append((shape, unique))
            found += [] if shape is None else [shape]
        return found

    def _array(
        self, items: Sequence[Sequence[Subschema]], least: int, most: int | None
    ) -> ArrayShape | None:
        """The array of these items, the last of which is every further one; None if none is."""
        *prefix, rest = map(self._node, items)
        if NEVER in prefix:
            prefix, rest = prefix[: prefix.index(NEVER)], NEVER
        if rest == NEVER:
            most = len(prefix) if most is None else min(most, len(prefix))
        if most is not None and most < least:
            return None
        return ArrayShape(tuple(prefix if most is None else prefix[:most]), rest, least, most)

    def _objects(self, subschemas: Subschemas, evaluators: Evaluators) -> list[ValueShape]:
        fields = Fields(self.root, subschemas, evaluators, self._spend)
        named = tuple((name, self._node(fields.of(name))) for name in fields.names)
        if any(node == NEVER for name, node in named if name in fields.required):
            return []
        extras = ((key, self._node(schemas)) for key, schemas in fields.extras())
        record = ObjectShape(
            named, fields.required, tuple((key, node) for key, node in extras if node != NEVER)
        )
        least, most = bounds(subschemas, "minProperties", "maxProperties")
        return list(counted(record, least, most, subschemas))


def read(schema: Mapping[str, Any] | bool) -> Reading:
    """The shapes of a schema, with nothing owed.

    Raises GrammarError if it cannot be enforced.
    """
    exclusive: frozenset[Overlap] = frozenset()
    for _ in range(MAX_ROUNDS):
        try:
            reading = Reading(schema, exclusive)
        except GrammarError as error:
            if not exclusive:
                raise
            pointer, _, keyword = min(exclusive)[0].rpartition("/")
            raise GrammarError(
                f"has branches that may overlap, and cannot be told apart: {error}",
                pointer=pointer,
                keyword=keyword,
            ) from None
        shapes = Shapes(reading.nodes, reading.root_node)
        for shape, subschema in reading.unique:
            _check_unique(shapes, shape, subschema)
        overlapping = {
            pair for first, second, pair in reading.disjoint if not disjoint(shapes, first, second)
        }
        overlapping |= reading.entangled
        if not overlapping:
            return reading
        # Branches that are not seen to be apart are separated: each without the others.
        exclusive |= overlapping
    pointer, _, keyword = min(exclusive)[0].rpartition("/")
    raise GrammarError("has branches that overlap anew", pointer=pointer, keyword=keyword)


def _check_unique(shapes: Shapes, shape: ArrayShape, subschema: Subschema) -> None:
    alternatives = shapes.node(shape.rest)
    few = len(shapes.literals(shape)) <= MAX_UNIQUE
    if shape.prefix or not few or not all(isinstance(one, LiteralShape) for one in alternatives):
        raise subschema.refused(
            "uniqueItems", f"can be enforced of at most {MAX_UNIQUE} literals only"
        )

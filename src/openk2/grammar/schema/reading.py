"""JSON Schema (Draft 2020-12) -> `Shapes`, exactly, or an error that names the keyword.

A node is a conjunction of schemas; a child's schemas are those that any of them has for it. So
`allOf`, `$ref` beside other keywords and `properties` of several schemas need no special merging,
and a recursive schema meets its own conjunctions again.
"""

import json
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from openk2.grammar.error import GrammarError
from openk2.grammar.matcher import Leaves
from openk2.grammar.schema.choices import Choice, choices
from openk2.grammar.schema.keywords import ASSERTIONS, STRUCTURED, Subschema
from openk2.grammar.schema.members import MAX_ITEMS, Fields, counted, items_at
from openk2.grammar.schema.scalars import (
    Subschemas,
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
from openk2.grammar.shapes import (
    NEVER,
    Alternatives,
    ArrayShape,
    LiteralShape,
    ObjectShape,
    ScalarShape,
    ValueShape,
)

MAX_NODES = 4_000
# A value that its schema leaves open nests no deeper: readers of JSON have limits of their own.
MAX_FREE_DEPTH = 12

_Key = tuple[tuple[Subschema, ...], int]


class Reading:
    """The shapes of one schema, and what its `oneOf` still owe.

    disjoint: pairs of unions that a `oneOf` keeps apart, with its pointer: a value in both would
    be refused by the schema, so somebody has to prove that there is none.
    Raises GrammarError as `choices` does, and for a keyword here that cannot be enforced.
    """

    def __init__(self, schema: Mapping[str, Any] | bool, leaves: Leaves) -> None:
        self._leaves = leaves
        self.root = Subschema("#", schema)
        self.nodes: list[Alternatives] = []
        self.disjoint: list[tuple[Alternatives, Alternatives, str]] = []
        self._numbers: dict[_Key, int] = {}
        self._pending: deque[tuple[int, _Key]] = deque()
        self.root_node = self._node((self.root,), 0)
        while self._pending:
            number, (conjunction, depth) = self._pending.popleft()
            self.nodes[number] = self._union(conjunction, depth)

    def _node(self, conjunction: Iterable[Subschema], depth: int) -> int:
        """The number of a conjunction's node. depth: how deep it is in a value left open."""
        subschemas = tuple(
            dict.fromkeys(subschema for subschema in conjunction if subschema.schema is not True)
        )
        if any(subschema.schema is False for subschema in subschemas):
            return NEVER
        key = (subschemas, depth)
        if key not in self._numbers:
            self._numbers[key] = len(self.nodes)
            self.nodes.append(())
            self._pending.append((self._numbers[key], key))
            if len(self.nodes) > MAX_NODES:
                raise GrammarError(f"makes more than {MAX_NODES} different subschemas")
        return self._numbers[key]

    def _union(self, conjunction: Sequence[Subschema], depth: int) -> Alternatives:
        ways = choices(self.root, conjunction)
        unions = [self._of_choice(choice, depth) for choice in ways]
        for index, way in enumerate(ways):
            for other in range(index):
                for pointer, branch in way.branches.items():
                    if ways[other].branches.get(pointer, branch) != branch:
                        self.disjoint.append((unions[index], unions[other], pointer))
        return tuple(dict.fromkeys(shape for union in unions for shape in union))

    def _of_choice(self, choice: Choice, depth: int) -> Alternatives:
        subschemas = choice.subschemas
        said = any(ASSERTIONS & subschema.keywords() for subschema in subschemas)
        depth = 0 if said else depth + 1
        types = common_types(subschemas)
        values = common_values(subschemas)
        if values is not None:
            return self._of_values(subschemas, types, values)
        union: list[ValueShape] = []
        if "null" in types:
            union.append(LiteralShape((None,)))
        if "boolean" in types:
            union.append(LiteralShape((True, False)))
        if types & {"number", "integer"}:
            union += self._leaf(
                number_shapes(subschemas, integer="number" not in types), subschemas
            )
        if "string" in types:
            union += self._leaf(text_shapes(subschemas), subschemas)
        if "array" in types and depth <= MAX_FREE_DEPTH:
            union += self._arrays(subschemas, depth)
        if "object" in types and depth <= MAX_FREE_DEPTH:
            union += self._objects(subschemas, depth)
        return tuple(union)

    def _leaf(self, shapes: list[ScalarShape], subschemas: Subschemas) -> list[ScalarShape]:
        """The shapes that hold a value. Raises GrammarError, at the subschema's place, for a shape
        that cannot be enforced."""
        try:
            return [shape for shape in shapes if self._leaves.least_size(shape) is not None]
        except GrammarError as error:
            keyword = error.keyword or "type"
            subschema = first_with(subschemas, keyword)
            raise subschema.refused(keyword, error.problem) from None

    def _of_values(
        self, subschemas: Subschemas, types: frozenset[str], values: list[Valued]
    ) -> Alternatives:
        """`enum` and `const`: the values that the other keywords admit too."""
        scalars: list[ScalarShape] = []
        if types & {"number", "integer"}:
            scalars += self._leaf(
                number_shapes(subschemas, integer="number" not in types), subschemas
            )
        if "string" in types:
            scalars += self._leaf(text_shapes(subschemas), subschemas)
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
            name = f"written out {json.dumps(value, sort_keys=True)}"
            exact = (subschema.made(name, exactly(value)),)
            union += self._arrays(exact, 0) if isinstance(value, list) else self._objects(exact, 0)
        return (LiteralShape(tuple(kept)), *union) if kept else tuple(union)

    def _arrays(self, subschemas: Subschemas, depth: int) -> list[ValueShape]:
        longest = max(
            (len(subschema.schemas("prefixItems")) for subschema in subschemas), default=0
        )
        least, most = bounds(subschemas, "minItems", "maxItems")
        if least > MAX_ITEMS:
            raise first_with(subschemas, "minItems").refused(
                "minItems", f"is {least}: more than {MAX_ITEMS} cannot be enforced"
            )
        if most is not None and most < least:
            return []
        prefix = [self._node(items_at(subschemas, index), depth) for index in range(longest)]
        rest = self._node(items_at(subschemas, longest), depth)
        if NEVER in prefix:
            prefix, rest = prefix[: prefix.index(NEVER)], NEVER
        if rest == NEVER:
            most = len(prefix) if most is None else min(most, len(prefix))
        unique = next(
            (subschema for subschema in subschemas if subschema.get("uniqueItems") is True), None
        )
        if unique is not None and (most is None or most > 1):
            raise unique.refused("uniqueItems", "cannot be enforced: leave it out")
        # A list that may be longer than any answer need not be counted to its end.
        most = None if most is None else min(most, MAX_ITEMS)
        if most is not None:
            prefix = prefix[:most]
        return (
            []
            if rest == NEVER and least > len(prefix)
            else [ArrayShape(tuple(prefix), rest, least, most)]
        )

    def _objects(self, subschemas: Subschemas, depth: int) -> list[ValueShape]:
        fields = Fields(subschemas)
        named = tuple((name, self._node(fields.of(name), depth)) for name in fields.names)
        patterns = tuple(
            (pattern, self._node(fields.matching(pattern), depth)) for pattern in fields.patterns
        )
        record = ObjectShape(
            named,
            fields.required,
            tuple((pattern, node) for pattern, node in patterns if node != NEVER),
            self._node(fields.others(), depth) if fields.open else NEVER,
            closed=tuple(pattern for pattern, node in patterns if node == NEVER),
        )
        if any(node == NEVER for name, node in named if name in fields.required):
            return []
        least, most = bounds(subschemas, "minProperties", "maxProperties")
        return list(counted(record, least, most, subschemas))

"""Which schemas an item of an array or a property of an object must satisfy."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from math import comb

from openk2.grammar.regex import PatternError
from openk2.grammar.schema.choices import choices
from openk2.grammar.schema.keywords import Subschema, Subschemas, first_with
from openk2.grammar.schema.patterns import finds, shortest
from openk2.grammar.schema.scalars import (
    admits_scalar,
    common_types,
    common_values,
    text_shapes,
)
from openk2.grammar.shapes import NEVER, ObjectShape, StringShape

# Arrays with more items are not compiled: every counted item costs.
MAX_ITEMS = 4_096
# What patterns cost, in nodes: a pattern looked for in a text, a text looked for of patterns.
MATCHES_A_UNIT, UNITS_A_PATTERN = 10, 4
# Sets of patterns that are found together.
MAX_KINDS = 32
# So many ways to choose which optional properties to have.
MAX_SELECTIONS = 64


Evaluators = Mapping[Subschema, Sequence[Subschema]]


def items_at(subschemas: Subschemas, index: int, evaluators: Evaluators) -> Iterator[Subschema]:
    """The schemas of one item of an array. evaluators: see `Choice`."""
    for subschema in subschemas:
        prefix, rest = subschema.items()
        if index < len(prefix):
            yield prefix[index]
        elif rest is not None:
            yield rest
    for subschema, beside in evaluators.items():
        if subschema.get("unevaluatedItems") is None:
            continue
        if any(one.get("contains") is not None for one in beside):
            raise subschema.refused("unevaluatedItems", "cannot be enforced beside contains")
        others = (one.get("unevaluatedItems") is not None for one in beside if one != subschema)
        spoken = any(index < len(p) or r is not None for p, r in (o.items() for o in beside))
        if not spoken and not any(others):
            yield subschema.below("unevaluatedItems")


class Fields:
    """The properties of an object that satisfies several schemas at once.

    names: those that are named, in the order of the schemas.
    keys: what `propertyNames` lets a further key be; None: there is none.
    evaluators: see `Choice`. spend: counts work, and raises when it is too much.
    """

    def __init__(
        self,
        root: Subschema,
        subschemas: Subschemas,
        evaluators: Evaluators,
        spend: Callable[[int], None],
    ) -> None:
        self._root, self._subschemas, self._spend = root, subschemas, spend
        self._evaluators = evaluators
        self.required = frozenset(
            name for subschema in subschemas for name in subschema.names("required")
        )
        listed, self.keys = self._keys()
        named = [name for subschema in subschemas for name in subschema.mapping("properties")]
        named += [name for subschema in subschemas for name in subschema.names("required")]
        self.names = tuple(dict.fromkeys(named + (listed or [])))
        self._listed = None if listed is None else frozenset(listed)
        found = [p for subschema in subschemas for p in subschema.mapping("patternProperties")]
        self.patterns = tuple(dict.fromkeys(found))
        spend(len(self.patterns) * len(self.names) // MATCHES_A_UNIT)

    def of(self, name: str) -> list[Subschema]:
        """The schemas of one named property."""
        if not self._is_key(name):
            return [self._subschemas[0].made(f"no key {name}", False)]
        matching = [
            pattern
            for pattern in self.patterns
            if finds(self._with_pattern(pattern), "patternProperties", pattern, name)
        ]
        return self._schemas(name, matching)

    def extras(self) -> Iterator[tuple[StringShape, list[Subschema]]]:
        """The kinds of further keys: what they look like, and the schemas of their values."""
        if self.keys is None:
            return
        for matching in self._kinds(self.keys):
            others = tuple(pattern for pattern in self.patterns if pattern not in matching)
            key = replace(
                self.keys,
                patterns=(*self.keys.patterns, *matching),
                absent=(*self.keys.absent, *others),
            )
            yield key, self._schemas(None, matching)

    def _schemas(self, name: str | None, matching: Sequence[str]) -> list[Subschema]:
        """The schemas of the property of a name, or of none, that some patterns are found in."""
        found: list[Subschema] = []
        for subschema in self._subschemas:
            own: list[Subschema] = []
            if name is not None and name in subschema.mapping("properties"):
                own.append(subschema.below("properties", name))
            patterns = subschema.mapping("patternProperties")
            own += [
                subschema.below("patternProperties", pattern)
                for pattern in matching
                if pattern in patterns
            ]
            found += own or _additional(subschema)
        for subschema, beside in self._evaluators.items():
            if subschema.get("unevaluatedProperties") is None:
                continue
            others = (o.get("unevaluatedProperties") is not None for o in beside if o != subschema)
            if not any(others) and not any(_evaluates(o, name, matching) for o in beside):
                found.append(subschema.below("unevaluatedProperties"))
        return found

    def _kinds(self, keys: StringShape) -> list[tuple[str, ...]]:
        """The sets of patterns that are found together, and no others, in some key."""
        kinds: list[tuple[tuple[str, ...], tuple[str, ...]]] = [((), ())]
        for pattern in self.patterns:
            place = self._with_pattern(pattern)
            ways = [way for f, a in kinds for way in (((*f, pattern), a), (f, (*a, pattern)))]
            self._spend(sum(UNITS_A_PATTERN * (len(f) + len(a) + 1) for f, a in ways))
            try:
                kinds = [
                    (found, absent)
                    for found, absent in ways
                    if shortest(
                        (*keys.patterns, *found),
                        (*keys.absent, *absent),
                        keys.min_length,
                        keys.max_length,
                    )
                    is not None
                ]
            except PatternError as error:
                raise place.refused(
                    "patternProperties", f"has the pattern {pattern!r}: it {error}"
                ) from None
            if len(kinds) > MAX_KINDS:
                raise place.refused(
                    "patternProperties", f"has patterns that overlap in over {MAX_KINDS} ways"
                )
        return [found for found, _ in kinds]

    def _with_pattern(self, pattern: str) -> Subschema:
        return next(s for s in self._subschemas if pattern in s.mapping("patternProperties"))

    def _keys(self) -> tuple[list[str] | None, StringShape | None]:
        """The names that `propertyNames` lists, None if it lists none; what a key may be else."""
        wanted = [
            subschema.below("propertyNames")
            for subschema in self._subschemas
            if subschema.get("propertyNames") is not None
        ]
        self._ways = [way.subschemas for way in choices(self._root, wanted)] if wanted else []
        if not wanted:
            return None, StringShape()
        listed: list[str] = []
        shapes: list[StringShape] = []
        for way in self._ways:
            if "string" not in common_types(way):
                continue
            values = common_values(way)
            if values is None:
                shapes += text_shapes(way)
            else:
                names = [name for _, name in values if isinstance(name, str)]
                listed += [name for name in names if admits_scalar(text_shapes(way), name)]
        shapes = list(dict.fromkeys(shapes))
        if len(shapes) > 1 or (shapes and listed):
            place = first_with(self._subschemas, "propertyNames")
            raise place.refused("propertyNames", "leaves several kinds of names: use one pattern")
        return (listed, None) if not shapes else (None, shapes[0])

    def _is_key(self, name: str) -> bool:
        if self._listed is not None:
            return name in self._listed
        return self.keys is not None and admits_scalar((self.keys,), name)


def counted(
    record: ObjectShape, least: int, most: int | None, subschemas: Subschemas
) -> Iterator[ObjectShape]:
    """The objects that together have from `least` to `most` properties."""
    for one in _at_least(record, least - len(record.required), subschemas):
        yield from _at_most(one, most, subschemas)


def _at_least(record: ObjectShape, missing: int, subschemas: Subschemas) -> Iterator[ObjectShape]:
    """missing: how many properties are needed beyond the required ones."""
    optional = _optional(record)
    if missing <= 0:
        yield record
    elif not record.open:
        for chosen in _selections(optional, missing, "minProperties", subschemas):
            yield replace(record, required=record.required | set(chosen))
    elif missing == 1:
        for name in optional:
            yield replace(record, required=record.required | {name})
        yield replace(_without(record, optional), min_extra=1)
    else:
        # A grammar cannot keep two other keys apart.
        raise first_with(subschemas, "minProperties").refused(
            "minProperties", "above the required properties and one cannot be enforced here"
        )


def _at_most(
    record: ObjectShape, most: int | None, subschemas: Subschemas
) -> Iterator[ObjectShape]:
    if most is None:
        yield record
        return
    optional, room = _optional(record), most - len(record.required)
    if room < record.min_extra:
        return
    if not record.open:
        if len(optional) <= room:
            yield record
            return
        for chosen in _selections(optional, room, "maxProperties", subschemas):
            yield _without(record, [name for name in optional if name not in chosen])
    elif room == 0:
        yield replace(_without(record, optional), extras=(), max_extra=0)
    elif not optional:
        yield replace(record, max_extra=room)
    else:
        raise first_with(subschemas, "maxProperties").refused(
            "maxProperties", "cannot be enforced beside optional properties and other keys"
        )


def _selections(
    names: Sequence[str], size: int, keyword: str, subschemas: Subschemas
) -> Iterator[tuple[str, ...]]:
    if comb(len(names), size) > MAX_SELECTIONS:
        raise first_with(subschemas, keyword).refused(
            keyword, f"leaves more than {MAX_SELECTIONS} selections of properties"
        )
    return combinations(names, size)


def _optional(record: ObjectShape) -> list[str]:
    return [
        name for name, node in record.properties if name not in record.required and node != NEVER
    ]


def _without(record: ObjectShape, names: Sequence[str]) -> ObjectShape:
    return replace(
        record,
        properties=tuple(
            (name, NEVER if name in names else node) for name, node in record.properties
        ),
    )


def _additional(subschema: Subschema) -> list[Subschema]:
    """The schema of a key that a schema has neither a name nor a pattern for."""
    has_other = subschema.get("additionalProperties") is not None
    return [subschema.below("additionalProperties")] if has_other else []


def _evaluates(subschema: Subschema, name: str | None, matching: Sequence[str]) -> bool:
    """Whether a schema says something of the property of a name, or of a kind of keys."""
    return (
        subschema.get("additionalProperties") is not None
        or (name is not None and name in subschema.mapping("properties"))
        or not subschema.mapping("patternProperties").keys().isdisjoint(matching)
    )

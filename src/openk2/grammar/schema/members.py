"""Which schemas an item of a list or a property of an object has to satisfy."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from math import comb

from openk2.grammar.error import GrammarError
from openk2.grammar.schema.keywords import APPLICATORS, Subschema
from openk2.grammar.schema.patterns import finds
from openk2.grammar.schema.scalars import (
    Subschemas,
    admits_scalar,
    common_types,
    common_values,
    first_with,
    text_shapes,
)
from openk2.grammar.shapes import NEVER, ObjectShape

# An array of more items is not compiled: every item costs.
MAX_ITEMS = 4_096
# So many ways to choose which optional properties to have.
MAX_SELECTIONS = 64


def items_at(subschemas: Subschemas, index: int) -> Iterator[Subschema]:
    """The schemas of one item of a list."""
    for subschema in subschemas:
        prefix = subschema.schemas("prefixItems")
        if index < len(prefix):
            yield prefix[index]
        elif subschema.get("items") is not None:
            yield subschema.below("items")


class Fields:
    """The properties of an object that satisfies several schemas at once.

    names: those that are named, in the order of the schemas. patterns: of all `patternProperties`.
    open: whether other keys may occur at all.
    """

    def __init__(self, subschemas: Subschemas) -> None:
        self._subschemas = subschemas
        self.required = frozenset(
            name for subschema in subschemas for name in subschema.names("required")
        )
        self._keys = [
            subschema.below("propertyNames")
            for subschema in subschemas
            if subschema.get("propertyNames") is not None
        ]
        listed = self._listed_keys()
        named = [name for subschema in subschemas for name in subschema.mapping("properties")]
        named += [name for subschema in subschemas for name in subschema.names("required")]
        self.names = tuple(dict.fromkeys(named + (listed or [])))
        patterns = [
            name for subschema in subschemas for name in subschema.mapping("patternProperties")
        ]
        self.patterns = tuple(dict.fromkeys(patterns))
        self.open = listed is None
        if listed is not None:
            self.patterns = ()

    def of(self, name: str) -> list[Subschema]:
        """The schemas of one named property."""
        if not all(_is_key(keys, name) for keys in self._keys):
            return [self._subschemas[0].made(f"no key {name}", False)]
        found: list[Subschema] = []
        for subschema in self._subschemas:
            own = (
                [subschema.below("properties", name)]
                if name in subschema.mapping("properties")
                else []
            )
            own += [
                subschema.below("patternProperties", pattern)
                for pattern in subschema.mapping("patternProperties")
                if finds(subschema, "patternProperties", pattern, name)
            ]
            found += own or _additional(subschema)
        return found

    def matching(self, pattern: str) -> list[Subschema]:
        """The schemas of a key that has no name and that one pattern is found in."""
        found: list[Subschema] = []
        for subschema in self._subschemas:
            if pattern in subschema.mapping("patternProperties"):
                found.append(subschema.below("patternProperties", pattern))
            else:
                found += _additional(subschema)
        return found

    def others(self) -> list[Subschema]:
        """The schemas of a key that has no name and that no pattern is found in."""
        return [schema for subschema in self._subschemas for schema in _additional(subschema)]

    def _listed_keys(self) -> list[str] | None:
        """The keys that `propertyNames` lists; None if it does not list them."""
        listed: list[str] | None = None
        for keys in self._keys:
            if keys.schema is False:
                listed = []
                continue
            if keys.schema is True:
                continue
            values = common_values((keys,))
            if values is not None:
                names = [value for _, value in values if isinstance(value, str)]
                listed = names if listed is None else [name for name in listed if name in names]
            elif "string" not in common_types((keys,)):
                listed = []
            elif keys.keywords() & {"pattern", "minLength", "maxLength", *APPLICATORS}:
                raise GrammarError(
                    "can only be enforced as a list of names",
                    pointer=keys.pointer.removesuffix("/propertyNames"),
                    keyword="propertyNames",
                )
        return listed


def counted(
    record: ObjectShape, least: int, most: int | None, subschemas: Subschemas
) -> Iterator[ObjectShape]:
    """The records that together have from `least` to `most` properties."""
    for one in _at_least(record, least - len(record.required), subschemas):
        yield from _at_most(one, most, subschemas)


def _at_least(record: ObjectShape, missing: int, subschemas: Subschemas) -> Iterator[ObjectShape]:
    """missing: how many properties beyond the required ones."""
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
        # Nothing in a grammar keeps two further keys apart.
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
        yield replace(_without(record, optional), patterns=(), additional=NEVER, max_extra=0)
    elif not optional:
        yield replace(record, max_extra=room)
    else:
        raise first_with(subschemas, "maxProperties").refused(
            "maxProperties", "cannot be enforced beside optional properties and further keys"
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
    """The schema of a key that a schema neither names nor has a pattern for."""
    if subschema.get("additionalProperties") is not None:
        return [subschema.below("additionalProperties")]
    if subschema.get("unevaluatedProperties") is None:
        return []
    if subschema.keywords() & {"if", *APPLICATORS}:
        raise subschema.refused("unevaluatedProperties", "cannot be enforced beside other schemas")
    return [subschema.below("unevaluatedProperties")]


def _is_key(keys: Subschema, name: str) -> bool:
    if isinstance(keys.schema, bool):
        return keys.schema
    values = common_values((keys,))
    if values is not None and name not in [value for _, value in values]:
        return False
    return "string" in common_types((keys,)) and admits_scalar(text_shapes((keys,)), name)

"""Seeded JSON Schemas of tools.

Every keyword here is supported by the common enforcing engines. Every schema requires all its
properties and allows no others, as OpenAI's strict mode does.
"""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

SchemaJson = dict[str, Any]

_NAMES = ("city", "when", "amount", "tags", "note", "level", "contact", "code", "flag", "place")
_WORDS = ("red", "green", "blue", "north", "south", "fast", "slow")


def schemas(seed: int, count: int) -> list[SchemaJson]:
    """Schemas of objects. Any len(KINDS) in a row cover every kind of value."""
    return [_parameters(Random(f"{seed}/schema/{index}"), index) for index in range(count)]


def _parameters(rng: Random, index: int) -> SchemaJson:
    kinds = [KINDS[index % len(KINDS)], *rng.choices(KINDS, k=rng.randint(0, 2))]
    names = rng.sample(_NAMES, len(kinds))
    schema = _object({name: kind(rng) for name, kind in zip(names, kinds, strict=True)})
    if any("$ref" in value for value in schema["properties"].values()):
        point = _object({"x": {"type": "integer"}, "y": {"type": "integer"}})
        schema["$defs"] = {"point": point}
    return schema


def _object(properties: Mapping[str, SchemaJson]) -> SchemaJson:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _string(rng: Random) -> SchemaJson:
    return {"type": "string", "minLength": rng.randint(1, 3), "maxLength": rng.randint(8, 24)}


def _pattern(rng: Random) -> SchemaJson:
    return {"type": "string", "pattern": rng.choice(("^[A-Z]{3}-[0-9]{2}$", "^[a-z]{2,8}$"))}


def _enum(rng: Random) -> SchemaJson:
    return {"type": "string", "enum": rng.sample(_WORDS, 3)}


def _const(rng: Random) -> SchemaJson:
    return {"const": rng.choice(_WORDS)}


def _integer(rng: Random) -> SchemaJson:
    low = rng.randint(-20, 20)
    return {"type": "integer", "minimum": low, "maximum": low + rng.randint(1, 500)}


def _number(rng: Random) -> SchemaJson:
    return {"type": "number", "minimum": 0, "maximum": rng.randint(1, 90)}


def _boolean(rng: Random) -> SchemaJson:
    return {"type": "boolean"}


def _array(rng: Random) -> SchemaJson:
    return {"type": "array", "items": _enum(rng), "minItems": 1, "maxItems": rng.randint(1, 3)}


def _objects(rng: Random) -> SchemaJson:
    item = _object({"name": _string(rng), "count": _integer(rng)})
    return {"type": "array", "items": item, "minItems": 1, "maxItems": 2}


def _nested(rng: Random) -> SchemaJson:
    return _object({"street": _string(rng), "where": _object({"floor": _integer(rng)})})


def _either(rng: Random) -> SchemaJson:
    return {"anyOf": [_integer(rng), _enum(rng)]}


def _nullable(rng: Random) -> SchemaJson:
    return {"type": ["string", "null"], "maxLength": 12}


def _reference(rng: Random) -> SchemaJson:
    return {"$ref": "#/$defs/point"}


KINDS: tuple[Callable[[Random], SchemaJson], ...] = (
    _string,
    _pattern,
    _enum,
    _const,
    _integer,
    _number,
    _boolean,
    _array,
    _objects,
    _nested,
    _either,
    _nullable,
    _reference,
)

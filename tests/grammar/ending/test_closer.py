"""The shortest text that finishes a value, from any place in it."""

from typing import Any

import pytest

from openk2.grammar.ending import Closer, Least
from openk2.grammar.matcher import Leaves
from openk2.grammar.schema import Reading
from openk2.grammar.shapes import Shapes


def offers(schema: Any, text: str) -> list[str]:
    leaves = Leaves()
    reading = Reading(schema, leaves)
    shapes = Shapes(reading.nodes, reading.root_node)
    closer = Closer(shapes, leaves, Least(shapes, leaves))
    return [offer.decode() for offer in closer.offers(text.encode())]


PAIR = {
    "type": "object",
    "properties": {
        "first": {"enum": ["on", "one"]},
        "list": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 3},
        "last": {"type": "string", "minLength": 2},
    },
    "required": ["list", "last"],
    "additionalProperties": False,
}
FREE = {"type": "object", "additionalProperties": {"type": "null"}, "maxProperties": 2}


@pytest.mark.parametrize(
    ("schema", "text", "rest"),
    [
        (PAIR, "", '{"list":[0,0],"last":"aa"}'),
        (PAIR, "{", '"list":[0,0],"last":"aa"}'),
        (PAIR, '{"f', 'irst":"on","list":[0,0],"last":"aa"}'),
        (PAIR, '{"l', 'ist":[0,0],"last":"aa"}'),
        (PAIR, '{"first"', ':"on","list":[0,0],"last":"aa"}'),
        (PAIR, '{"first":', '"on","list":[0,0],"last":"aa"}'),
        (PAIR, '{"first":"on', '","list":[0,0],"last":"aa"}'),
        (PAIR, '{"first":"one', '","list":[0,0],"last":"aa"}'),
        (PAIR, '{"first":"one",', '"list":[0,0],"last":"aa"}'),
        (PAIR, '{"list":[', '0,0],"last":"aa"}'),
        (PAIR, '{"list":[12', ',0],"last":"aa"}'),
        (PAIR, '{"list":[1,', '0],"last":"aa"}'),
        (PAIR, '{"list":[1,2', '],"last":"aa"}'),
        (PAIR, '{"list":[1,2,', '0],"last":"aa"}'),
        (PAIR, '{"list":[1,2]', ',"last":"aa"}'),
        (PAIR, '{"list":[1,2],"last":"x', 'a"}'),
        (PAIR, '{"list":[1,2],"last":"xyz', '"}'),
        (PAIR, '{"list":[1,2],"last":"xyz"', "}"),
        (PAIR, '{"list":[1,2],"last":"xyz"}', ""),
        (FREE, "{", "}"),
        (FREE, '{"k', '":null}'),
        (FREE, '{"k":n', "ull}"),
        (FREE, '{"k":null', "}"),
        (FREE, '{"k":null,', '"a":null}'),
        ({"type": "array", "items": {"type": "boolean"}}, "[tr", "ue]"),
        ({"type": "array", "items": {"type": "boolean"}}, "[true,f", "alse]"),
        ({"type": "number"}, "-", "1"),
        ({"type": "number"}, "1.", "0"),
        ({"type": "number"}, "15", ""),
    ],
)
def test_the_first_offer_is_the_shortest_rest(schema: Any, text: str, rest: str) -> None:
    assert offers(schema, text)[0] == rest


def test_every_alternative_that_the_beginning_fits_is_offered_and_no_other() -> None:
    kinds = [
        {
            "type": "object",
            "properties": {"kind": {"const": kind}, key: {"type": "integer"}},
            "required": ["kind", key],
        }
        for kind, key in (("a", "radius"), ("b", "side"), ("b", "edges"))
    ]
    schema = {"anyOf": kinds}
    assert offers(schema, '{"kind":"a"') == [',"radius":0}']
    assert offers(schema, '{"kind":"b"') == [',"side":0}', ',"edges":0}']
    arrays = [{"type": "array", "prefixItems": [{"const": n}], "minItems": n} for n in (1, 2)]
    assert offers({"anyOf": arrays}, "[2,")[0] == "0]"
    assert offers({"anyOf": arrays}, "[3") == []

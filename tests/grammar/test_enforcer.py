"""Schemas that want time, memory or a deep stack get an answer or an error, soon."""

import contextlib
import time
from typing import Any

import pytest

from openk2.grammar import Enforcer, GrammarError, JsonContent

# Of the processor, not of the clock: the machine may be busy. The worst needs a tenth of it.
MOST_SECONDS = 4.0


def nested(levels: int, keyword: str) -> Any:
    schema: Any = {"type": "string"}
    for _ in range(levels):
        inner = [schema] if keyword == "allOf" else schema
        schema = {keyword: inner} | ({"type": "array", "minItems": 1} if keyword == "items" else {})
    return schema


_CHAIN: Any = {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(9_000)}
_HUGE_ARRAY = {"type": "array", "minItems": 4000}
HOSTILE: dict[str, Any] = {
    "few items of many": {"type": "array", "items": {"type": "null"}, "maxItems": 10**9},
    "long string": {"type": "string", "minLength": 10**9},
    "arrays of arrays": _HUGE_ARRAY | {"items": _HUGE_ARRAY | {"items": _HUGE_ARRAY}},
    "deep items": nested(400, "items"),
    "deep allOf": nested(400, "allOf"),
    "chain of references": {"$ref": "#/$defs/d0", "$defs": _CHAIN | {"d9000": {"type": "null"}}},
    "large enum": {"enum": [f"value {number}" for number in range(10_000)]},
    "nested repetition": {"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}b"},
    "exponential automaton": {"type": "string", "pattern": "^(a|b)*a(a|b){40}$"},
    "backtracking": {"type": "string", "pattern": "^(x+x+)+y$", "enum": ["x" * 5000]},
    "product of branches": {
        "allOf": [
            {"anyOf": [{"minLength": i}, {"maxLength": j}]} for i in range(6) for j in range(6)
        ]
    },
    "many properties": {
        "type": "object",
        "properties": {f"p{number}": {"type": "string"} for number in range(1_000)},
    },
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_schema_is_answered_soon(enforcer: Enforcer, name: str) -> None:
    started = time.process_time()
    with contextlib.suppress(GrammarError):
        assert enforcer.shortest(JsonContent(HOSTILE[name])) > 0
    assert time.process_time() - started < MOST_SECONDS


def test_a_schema_of_a_hundred_thousand_levels_is_an_error(enforcer: Enforcer) -> None:
    with pytest.raises(GrammarError, match=r"nests too deep|characters"):
        enforcer.shortest(JsonContent(nested(100_000, "items")))

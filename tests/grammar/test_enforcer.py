"""Schemas that want time, memory or a deep stack get an answer or an error, soon."""

import contextlib
import time
from typing import Any

import pytest

from openk2.chat import Tokenizer
from openk2.generation import ChatRequest, JsonFormat, MaskWork, RequestError
from openk2.grammar import ChatMasks, Enforcer, GrammarError, JsonContent

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


def tools_request(count: int) -> ChatRequest:
    def tool(number: int) -> dict[str, Any]:
        properties = {f"p{number}": {"type": "string"}}
        parameters = {"type": "object", "properties": properties}
        return {"type": "function", "function": {"name": f"f{number}", "parameters": parameters}}

    return ChatRequest([], tools=[tool(number) for number in range(count)])


def test_the_schemas_of_one_request_take_no_more_than_its_time(tokenizer: Tokenizer) -> None:
    masks, request = ChatMasks(tokenizer), tools_request(30)

    def make(seconds: float) -> Any:
        return masks.masks(request, max_tokens=99, first_number=0, work=MaskWork(seconds))

    with pytest.raises(RequestError, match="more than 1e-05 seconds") as caught:
        make(1e-5)
    assert caught.value.param == "tools"
    make(60)
    assert make(1e-9) is not None  # what is compiled takes no time


def test_a_format_that_takes_too_long_is_refused_by_its_own_name(tokenizer: Tokenizer) -> None:
    # Compiled again without the keyword that cannot be enforced.
    wanted = JsonFormat({"type": "string", "pattern": r"\1"}, strict=False)
    request = ChatRequest([], response_format=wanted)
    with pytest.raises(RequestError, match=r"^response_format: the schemas take more") as caught:
        ChatMasks(tokenizer).masks(request, max_tokens=99, first_number=0, work=MaskWork(1e-9))
    assert caught.value.param == "response_format"


def test_work_for_nobody_ends_before_the_next_schema(tokenizer: Tokenizer) -> None:
    work = MaskWork()
    work.abandon()
    with pytest.raises(RequestError, match="nobody waits"):
        ChatMasks(tokenizer).masks(tools_request(1), max_tokens=99, first_number=0, work=work)


def test_the_masks_of_one_demand_do_not_share_their_place(tokenizer: Tokenizer) -> None:
    fresh = Enforcer(tokenizer).masks(JsonContent({"const": 12}), max_tokens=99)
    one, other = fresh(), fresh()
    (first,) = tokenizer.encode("1")
    assert one.accept(first)
    with pytest.raises(ValueError, match="not allowed"):
        one.accept(first)
    assert other.accept(first)

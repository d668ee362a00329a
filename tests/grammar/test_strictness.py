"""Tools that are strict are refused for what cannot be enforced; of others it is left out."""

import logging
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from openk2.chat import Tokenizer
from openk2.generation import ChatRequest, MaskWork, RequestError
from openk2.grammar import ChatMasks, DeclaredTool, Enforcer, GrammarError, JsonContent, ToolCalls
from openk2.grammar.schema_cache import SchemaCache

ODD: dict[str, tuple[Any, str]] = {
    "a set of texts": (
        {"properties": {"tags": {"items": {"type": "string"}, "uniqueItems": True}}},
        "#/properties/tags/uniqueItems",
    ),
    "look-behind": ({"properties": {"a": {"pattern": "(?<=a)b"}}}, "#/properties/a/pattern"),
    "a wrong type": ({"properties": {"a": {"type": "text"}}}, "#/properties/a/type"),
    "a reference into nothing": ({"properties": {"a": {"$ref": "#/no"}}}, "#/properties/a/$ref"),
    "an overlap": (
        {"properties": {"a": {"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]}}},
        "#/properties/a/oneOf",
    ),
    "a condition": (
        {"if": {"properties": {"a": {"multipleOf": 2}}}, "then": {"required": ["b"]}},
        "#/if",
    ),
    "a property named not": (
        {"properties": {"not": {"type": "array", "$dynamicRef": "#a"}}},
        "#/properties/not/$dynamicRef",
    ),
    "no value at all": ({"allOf": [False]}, "#"),
    "half a character": ({"properties": {"a": {"enum": ["\ud83d"]}}}, "#/properties/a/enum"),
    "too many names": ({"required": [f"a{i}" for i in range(30_000)]}, "#/required"),
}


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_enforced_is_left_out_and_named_once(
    tokenizer: Tokenizer, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    schema, place = ODD[name]
    schema = {"type": "object", **schema}
    enforcer = Enforcer(tokenizer)
    with pytest.raises(GrammarError):
        enforcer.mask(ToolCalls((DeclaredTool("f", schema),)), max_tokens=99)
    tool = DeclaredTool("f", schema, strict=False)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            enforcer.mask(ToolCalls((tool,)), max_tokens=99)
    [record] = caplog.records
    assert record.getMessage() == f"tool 'f': left to the model: {place}"
    assert enforcer.stats() == {"schema_keywords_left": 3}


def test_the_rest_of_a_schema_is_enforced(tokenizer: Tokenizer) -> None:
    schema = {
        "type": "object",
        "properties": {
            "id": {"type": "string", "pattern": "(?<=a)b", "maxLength": 3},
            "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        },
        "required": ["id"],
        "additionalProperties": False,
    }
    ids = {token: token_id for token_id, token in enumerate(tokenizer.tokens)}
    mask = Enforcer(tokenizer).mask(
        ToolCalls((DeclaredTool("f", schema, strict=False),), required=True), max_tokens=99
    )
    for marker in ("<|tool_calls_section_begin|>", "<|tool_call_begin|>"):
        mask.accept(tokenizer.special(marker))
    for token_id in tokenizer.encode("functions.f:0"):
        mask.accept(token_id)
    mask.accept(tokenizer.special("<|tool_call_argument_begin|>"))
    for byte in b'{"id":"abc':
        mask.accept(ids[bytes([byte])])
    for wrong in (b"d", b","):
        with pytest.raises(ValueError, match="not allowed"):
            mask.accept(ids[wrong])
    for byte in b'","tags":["a","a"':
        mask.accept(ids[bytes([byte])])
    with pytest.raises(ValueError, match="not allowed"):
        mask.accept(ids[b"}"])
    Draft202012Validator.check_schema(schema)


def test_a_request_is_refused_for_its_strict_tools_only(tokenizer: Tokenizer) -> None:
    masks = ChatMasks(tokenizer)
    odd = {"type": "object", "patternProperties": {"(?<!a)": True}}
    for strict in (True, False, None):
        function = {"name": "f", "parameters": odd, "strict": strict}
        request = ChatRequest([], tools=[{"type": "function", "function": function}])
        if strict:
            with pytest.raises(RequestError, match="patternProperties") as caught:
                masks.masks(request, max_tokens=99, first_number=0, work=MaskWork())
            assert caught.value.param == "tools[0].function.parameters"
        else:
            assert masks.masks(request, max_tokens=99, first_number=0, work=MaskWork())


def test_a_cache_holds_no_more_than_its_bytes_and_what_was_used_last() -> None:
    cache = SchemaCache[int](100)
    for number in range(10):
        cache.put(f"key {number}", number, 20)
        cache.get("key 0")
        assert cache.size <= 100
    assert [n for n in range(10) if cache.get(f"key {n}") is not None] == [0, 7, 8, 9]
    cache.put("huge", 1, 101)
    assert cache.get("huge") is None


LOOK_BEHIND = {"pattern": "(?<=a)b"}
SHUT = {"additionalProperties": False}
NOTHING_ELSE = {"unevaluatedProperties": False}


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"patternProperties": {"(?<=a)b": {"type": "integer"}}, **SHUT}, '{"ab":1}'),
        ({"properties": {"a": 5}, **SHUT}, '{"a":1}'),
        ({"properties": 5, **SHUT}, '{"a":1}'),
        ({"allOf": [{"$ref": "#/no"}], **NOTHING_ELSE}, '{"a":1}'),
        ({"anyOf": 5, **NOTHING_ELSE}, '{"a":1}'),
        ({"allOf": [{"patternProperties": {"(?<=a)b": True}}], **NOTHING_ELSE}, '{"ab":1}'),
        ({"if": LOOK_BEHIND, "then": {"properties": {"a": True}}, **NOTHING_ELSE}, '{"a":1}'),
        ({"type": "array", "contains": LOOK_BEHIND, "maxContains": 1}, '["a","b"]'),
        ({"type": "array", "contains": True, "minContains": 9, "maxContains": 20}, '["a","b"]'),
        ({"type": "array", "prefixItems": 5, "items": {"type": "null"}}, '["a","b"]'),
        ({"oneOf": [{"type": "string", **LOOK_BEHIND}, {"type": "string"}]}, '"ab"'),
        ({"not": {"$ref": "#/$defs/b"}, "$defs": {"b": LOOK_BEHIND}}, '"ac"'),
        (
            {"oneOf": [{"$ref": "#/$defs/b"}, {"type": "string"}], "$defs": {"b": LOOK_BEHIND}},
            '"a"',
        ),
    ],
)
def test_a_schema_without_a_keyword_forbids_nothing_that_the_whole_schema_allows(
    tokenizer: Tokenizer, schema: Any, text: str
) -> None:
    enforcer = Enforcer(tokenizer)
    with pytest.raises(GrammarError):
        enforcer.mask(JsonContent(schema), max_tokens=99)
    mask = enforcer.mask(JsonContent(schema, strict=False), max_tokens=99)
    for byte in text.encode():
        mask.accept(tokenizer.tokens.index(bytes([byte])))
    mask.accept(min(tokenizer.stop_ids))

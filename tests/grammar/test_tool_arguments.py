"""Which arguments of a tool can be written, and in which order."""

import json
from typing import Any, get_args

import pytest

from openk2.chat import Tokenizer, ToolFormat, render
from openk2.generation import ChatRequest, MaskWork
from openk2.grammar import ChatMasks


def writable(
    masks: ChatMasks, tokenizer: Tokenizer, parameters: Any, text: str, *, strict: bool = False
) -> bool:
    """Whether a call of a tool with these parameters can have these arguments, byte by byte."""
    function = {"name": "f", "parameters": parameters, "strict": strict}
    request = ChatRequest(
        [], tools=[{"type": "function", "function": function}], tool_choice="required"
    )
    fresh = masks.masks(request, max_tokens=999, first_number=0, work=MaskWork())
    assert fresh is not None
    mask = fresh()
    special = tokenizer.special
    bytes_of = [tokenizer.tokens.index(bytes([byte])) for byte in text.encode()]
    for token_id in (
        special("<|tool_calls_section_begin|>"),
        special("<|tool_call_begin|>"),
        *tokenizer.encode("functions.f:0"),
        special("<|tool_call_argument_begin|>"),
    ):
        mask.accept(token_id)
    try:
        for token_id in (*bytes_of, special("<|tool_call_end|>")):
            mask.accept(token_id)
    except ValueError:
        return False
    return True


SHUFFLED = {
    "type": "object",
    "properties": {
        "zone": {"type": "string"},
        "days": {"type": "integer"},
        "site": {
            "type": "object",
            "properties": {"town": {"type": "string"}, "area": {"type": "string"}},
            "required": ["town"],
        },
        "city": {"type": "string"},
        "area": {"type": "string"},
    },
    "required": ["zone", "city"],
}
IN_ORDER = {
    "json": {
        "area": "a",
        "city": "b",
        "days": 1,
        "site": {"area": "c", "town": "d"},
        "zone": "e",
    },
    "namespaces": {
        "city": "b",
        "zone": "e",
        "area": "a",
        "days": 1,
        "site": {"town": "d", "area": "c"},
    },
    "typescript": {
        "zone": "e",
        "days": 1,
        "site": {"town": "d", "area": "c"},
        "city": "b",
        "area": "a",
    },
}


@pytest.mark.parametrize("tool_format", get_args(ToolFormat))
def test_every_argument_can_be_written_in_the_order_in_which_the_prompt_shows_it(
    tokenizer: Tokenizer, tool_format: ToolFormat
) -> None:
    arguments = IN_ORDER[tool_format]
    masks = ChatMasks(tokenizer, tool_format)
    assert writable(masks, tokenizer, SHUFFLED, json.dumps(arguments))
    backwards = {name: arguments[name] for name in reversed(arguments)}
    assert not writable(masks, tokenizer, SHUFFLED, json.dumps(backwards))
    function = {"name": "f", "parameters": SHUFFLED}
    pieces = render(
        [{"role": "user", "content": "?"}],
        [{"type": "function", "function": function}],
        tool_format=tool_format,
    )
    prompt = "".join(piece.text for piece in pieces)
    mark = '"{}":{{' if tool_format == "json" else "{}"
    places = [prompt.rindex(mark.format(name)) for name in arguments if name != "area"]
    assert places == sorted(places)


def test_where_the_prompt_falls_back_on_json_the_order_does_too(tokenizer: Tokenizer) -> None:
    # A reference to no definition has no TypeScript.
    other = {"$ref": "#/properties/city"}
    schema = {**SHUFFLED, "properties": {**SHUFFLED["properties"], "other": other}}
    masks = ChatMasks(tokenizer, "namespaces")
    assert writable(masks, tokenizer, schema, json.dumps(IN_ORDER["json"]))
    assert not writable(masks, tokenizer, schema, json.dumps(IN_ORDER["namespaces"]))


CITY = {"properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    ("parameters", "text", "can_be"),
    [
        ({**CITY, "type": "object"}, '{"city":"a"}', True),
        ({**CITY, "type": "object"}, '{"city":"a","location_you":"b"}', False),
        ({**CITY, "type": "object", "additionalProperties": True}, '{"x":1}', True),
        ({**CITY, "type": "object", "minProperties": 1}, '{"x":1}', True),
        ({**CITY, "required": ["x"]}, '{"x":1}', True),
        ({"type": "object", "properties": {"of": CITY}}, '{"of":{"x":1}}', True),
        ({"type": "object", "properties": {}}, '{"x":1}', False),
        ({"type": "object"}, '{"x":1}', True),
        ({}, '{"x":1}', True),
        (CITY, '{"city":"a"}', True),
        (CITY, "[1]", False),
        (True, "[1]", False),
        ({"description": "anything"}, "[1]", False),
        ({**CITY, "type": ["object", "null"]}, "null", False),
        ({**CITY, "type": "dict"}, '{"city":"a"}', True),
        ({**CITY, "type": "dict"}, "[1]", False),
    ],
)
def test_arguments_are_an_object_with_no_key_that_its_schema_does_not_declare(
    tokenizer: Tokenizer, parameters: Any, text: str, can_be: bool
) -> None:
    assert writable(ChatMasks(tokenizer), tokenizer, parameters, text) == can_be


WHEN = {"type": "string", "format": "date-time"}
MONTH = {"pattern": "^[0-9]{4}-[0-9]{2}$"}


@pytest.mark.parametrize(
    "parameters",
    [
        {"properties": {"when": WHEN}},
        {"properties": {"when": {"anyOf": [WHEN, {"type": "null"}]}}},
        {"properties": {"when": {"$ref": "#/$defs/when"}}, "$defs": {"when": WHEN}},
    ],
)
def test_a_format_is_enforced_of_strict_tools_only(tokenizer: Tokenizer, parameters: Any) -> None:
    masks, local = ChatMasks(tokenizer), '{"when":"2026-11-30T09:00"}'
    assert writable(masks, tokenizer, parameters, local)
    assert not writable(masks, tokenizer, parameters, local, strict=True)
    whole = '{"when":"2026-11-30T09:00:00Z"}'
    assert writable(masks, tokenizer, parameters, whole, strict=True)


@pytest.mark.parametrize("by_name", [False, True])
def test_where_less_could_forbid_more_a_format_stays(tokenizer: Tokenizer, by_name: bool) -> None:
    date = {"type": "string", "format": "date"}
    parameters = {
        "$defs": {"date": date},
        "properties": {
            "format": {"enum": [{"format": "date"}]},
            "when": {
                "oneOf": [
                    {"$ref": "#/$defs/date"} if by_name else date,
                    {"type": "string", **MONTH},
                ]
            },
        },
    }
    masks = ChatMasks(tokenizer)
    text = '{"format":{"format":"date"},"when":"%s"}'
    assert writable(masks, tokenizer, parameters, text % "2026-11-30")
    assert writable(masks, tokenizer, parameters, text % "2026-11")


@pytest.mark.parametrize(
    ("value", "text", "can_be"),
    [
        ({"type": "string"}, r'"\u001b[0m\u0000\u007F\u00e9"', True),
        ({}, r'"\u001b"', True),
        ({"type": "string"}, r'"\ud83d"', False),
        ({"type": "string", "maxLength": 3}, r'"\u001b"', False),
        ({"type": "string", "pattern": "b"}, r'"\u0062"', False),
        ({"enum": ["b"]}, r'"\u0062"', False),
        ({"type": "object"}, r'{"\u0061":1}', False),
    ],
)
def test_control_characters_can_be_written_in_values(
    tokenizer: Tokenizer, value: Any, text: str, can_be: bool
) -> None:
    parameters = {"type": "object", "properties": {"a": value}, "required": ["a"]}
    arguments = f'{{"a":{text}}}'
    assert writable(ChatMasks(tokenizer), tokenizer, parameters, arguments) == can_be

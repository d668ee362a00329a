"""A call whose id names no tool goes to the one that its arguments fit, or nowhere."""

import json
from typing import Any

import pytest

from openk2.chat import parse_output_text, tool_schemas

HOTEL = {
    "type": "object",
    "properties": {"town": {"type": "string"}, "nights": {"type": "integer", "minimum": 1}},
    "required": ["town", "nights"],
}
TRAIN = {
    "type": "object",
    "properties": {"town": {"type": "string"}, "class": {"enum": [1, 2]}},
    "required": ["town"],
}
LIGHT = {
    "type": "object",
    "properties": {"device": {"const": "light"}, "level": {"type": "number"}},
    "required": ["device"],
}
HEATER = {
    "type": "object",
    "properties": {"device": {"const": "heater"}, "level": {"type": "number"}},
    "required": ["device"],
}
FIND = {
    "type": "object",
    "properties": {"by": {"anyOf": [{"type": "integer"}, {"type": "array"}]}},
    "required": ["by"],
}
LOOK = {
    "type": "object",
    "properties": {"by": {"$ref": "#/$defs/name"}},
    "required": ["by"],
    "$defs": {"name": {"type": "string"}},
}
SCHEMAS: dict[str, Any] = {
    "hotel": HOTEL,
    "train": TRAIN,
    "light": LIGHT,
    "heater": HEATER,
    "find": FIND,
    "look": LOOK,
}
FOREIGN = [
    *("call_7Fz01bKq", "call-1", "toolu_01XAbc", "tooluse_dK3", "chatcmpl-tool-0a1b2c3d", "fc_1"),
    *("tool_call_0", "123e4567-e89b-12d3-a456-426614174000", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
]


def said(call_id: str, arguments: str) -> str:
    call = f"<|tool_call_begin|>{call_id}<|tool_call_argument_begin|>{arguments}<|tool_call_end|>"
    return f"<|tool_calls_section_begin|>{call}<|tool_calls_section_end|>"


def names(call_id: str, arguments: Any, schemas: dict[str, Any] = SCHEMAS) -> list[str]:
    text = said(call_id, arguments if isinstance(arguments, str) else json.dumps(arguments))
    calls = parse_output_text(text, schemas, schemas=schemas).tool_calls
    assert all(call.id.startswith(f"functions.{call.name}:") for call in calls)
    return [call.name for call in calls]


@pytest.mark.parametrize("call_id", [*FOREIGN, "3"])
@pytest.mark.parametrize(
    ("arguments", "placed"),
    [
        ({"town": "Oslo", "nights": 2}, ["hotel"]),  # a train takes it too, but knows no nights
        ({"town": "Oslo"}, ["train"]),
        ({"town": "Oslo", "nights": 0}, ["train"]),
        ({"device": "heater"}, ["heater"]),
        ({"device": "light", "level": 0.5}, ["light"]),
        ({"device": "kettle", "level": 1}, []),
        ({"by": [1]}, ["find"]),
        ({"by": "me"}, ["look"]),
        ({"by": None}, []),
        ({"town": 5}, []),
        ({}, []),
        ("[1]", []),
        ('{"town": "Os', []),
    ],
)
def test_the_tool_is_the_one_whose_schema_holds(
    call_id: str, arguments: Any, placed: list[str]
) -> None:
    assert names(call_id, arguments) == placed


@pytest.mark.parametrize("call_id", FOREIGN)
def test_the_only_tool_is_meant_whatever_the_arguments(call_id: str) -> None:
    assert names(call_id, {"town": 5}, {"hotel": HOTEL}) == ["hotel"]


@pytest.mark.parametrize("call_id", ["functions.drive:0", "drive", "drive:1", "callous", "call_"])
def test_a_tool_that_is_not_declared_is_no_id_of_a_client(call_id: str) -> None:
    assert names(call_id, {"town": "Oslo"}) == []
    assert names(call_id, {"town": "Oslo"}, {"train": TRAIN}) == []


@pytest.mark.parametrize("wrong", [None, {"type": "word"}, {"$ref": "#/nowhere"}, {"pattern": "("}])
def test_a_schema_that_is_none_fits_nothing(wrong: Any) -> None:
    tools = [
        {"function": {"name": "broken", "parameters": wrong and {"properties": {"by": wrong}}}},
        {"function": {"name": "look", "parameters": LOOK}},
    ]
    schemas = tool_schemas(tools)
    # Without parameters any arguments fit, but of two the one that knows the key is meant.
    assert names("call_1", {"by": "me"}, schemas) == ["look"]


def test_calls_of_clients_are_numbered_like_others() -> None:
    text = said("call_9", '{"town": "Oslo"}') + said("call_2", '{"by": 1}')
    calls = parse_output_text(text, SCHEMAS, schemas=SCHEMAS, first_number=4).tool_calls
    assert [call.id for call in calls] == ["functions.train:4", "functions.find:5"]

"""Forced calls and JSON answers through the official client, whole and streamed.

Behind the server is a generator of random ids that obeys nothing but its mask.
"""

import json
import re

import httpx
import openai
import pytest
from jsonschema import Draft202012Validator

MODEL = "openk2-test"
MESSAGES = [{"role": "user", "content": "go"}]
WEATHER = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1, "maxLength": 9},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
# Closed, so that random ids come to an end.
SEARCH = {
    "type": "object",
    "properties": {"q": {"enum": ["a", "b"]}},
    "required": ["q"],
    "additionalProperties": False,
}
SCHEMAS = {"get_weather": WEATHER, "web.search-it": SEARCH}
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": schema, "strict": True}}
    for name, schema in SCHEMAS.items()
]
NAMED = {"type": "function", "function": {"name": "web.search-it"}}
CALLED = [
    {"role": "user", "content": "go"},
    {
        "role": "assistant",
        "tool_calls": [
            {"id": f"call_{i}", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            for i in range(3)
        ],
    },
    *({"role": "tool", "tool_call_id": f"call_{i}", "content": "1"} for i in range(3)),
]


@pytest.fixture
def ask(client, random_tokens, masks):
    """One answer: content, calls as (id, name, arguments), finish reason."""

    def send(seed, stream, first=None, **fields):
        api = client(random_tokens(seed, first), masks=masks)
        fields = {"model": MODEL, "messages": MESSAGES, "max_tokens": 400, **fields}
        if not stream:
            [choice] = api.chat.completions.create(**fields).choices
            calls = choice.message.tool_calls or []
            found = [(c.id, c.function.name, c.function.arguments) for c in calls]
            return choice.message.content or "", found, choice.finish_reason
        content, joined, reasons = "", {}, []
        for chunk in api.chat.completions.create(stream=True, **fields):
            [choice] = chunk.choices
            content += choice.delta.content or ""
            for delta in choice.delta.tool_calls or []:
                call = joined.setdefault(delta.index, [delta.id, delta.function.name, ""])
                call[2] += delta.function.arguments
            reasons += [choice.finish_reason] if choice.finish_reason else []
        [reason] = reasons
        return content, [tuple(joined[i]) for i in range(len(joined))], reason

    return send


def check_calls(calls, first_number=0):
    for number, (call_id, name, arguments) in enumerate(calls, first_number):
        assert call_id == f"functions.{name}:{number}"
        Draft202012Validator(SCHEMAS[name]).validate(json.loads(arguments))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_required_gives_valid_calls_and_nothing_else(ask, seed, stream):
    content, calls, reason = ask(seed, stream, tools=TOOLS, tool_choice="required")
    assert (content, reason) == ("", "tool_calls")
    assert calls
    check_calls(calls)


def test_calls_are_numbered_on_from_the_history(ask):
    _, calls, _ = ask(1, False, tools=TOOLS, tool_choice="required", messages=CALLED)
    check_calls(calls, first_number=3)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_a_named_tool_is_called_once(ask, seed, stream):
    content, calls, reason = ask(seed, stream, tools=TOOLS, tool_choice=NAMED)
    assert (content, reason) == ("", "tool_calls")
    assert [name for _, name, _ in calls] == ["web.search-it"]
    check_calls(calls)


@pytest.mark.parametrize("stream", [False, True])
def test_without_parallel_calls_there_is_one(ask, stream):
    many = [len(ask(seed, stream, tools=TOOLS, tool_choice="required")[1]) for seed in range(8)]
    assert max(many) > 1
    for seed in range(8):
        fields = {"tools": TOOLS, "tool_choice": "required", "parallel_tool_calls": False}
        assert len(ask(seed, stream, **fields)[1]) == 1


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_in_auto_what_is_begun_is_a_valid_call(ask, tokenizer, seed, stream):
    begin = tokenizer.special("<|tool_calls_section_begin|>")
    _, calls, reason = ask(seed, stream, first=begin, tools=TOOLS)
    assert reason == "tool_calls"
    check_calls(calls)


@pytest.mark.parametrize("stream", [False, True])
def test_none_gives_text(ask, stream):
    content, calls, reason = ask(0, stream, tools=TOOLS, tool_choice="none", max_tokens=20)
    assert content
    assert not calls
    assert reason == "length"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_json_answers_are_json_that_obeys(ask, seed, stream):
    content, calls, reason = ask(seed, stream, response_format={"type": "json_object"})
    assert reason == "length" or isinstance(json.loads(content), dict)
    assert not calls
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}
    content, calls, reason = ask(seed, stream, response_format=form)
    Draft202012Validator(WEATHER).validate(json.loads(content))
    assert (calls, reason) == ([], "stop")


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("choice", [None, "auto", "required", NAMED, "none"])
def test_a_format_beside_tools_gives_a_call_or_json_whole_and_streamed(ask, seed, choice):
    form = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}
    fields = {"tools": TOOLS, "response_format": form}
    fields |= {} if choice is None else {"tool_choice": choice}
    content, calls, reason = ask(seed, False, **fields)
    assert ask(seed, True, **fields) == (content, calls, reason)
    if calls:
        assert choice != "none"
        assert (content, reason) == ("", "tool_calls")
        check_calls(calls)
    else:
        assert choice in (None, "auto", "none")
        Draft202012Validator(WEATHER).validate(json.loads(content))
        assert reason == "stop"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_call_that_is_begun_beside_a_format_is_valid_and_alone(ask, tokenizer, seed, stream):
    begin = tokenizer.special("<|tool_calls_section_begin|>")
    fields = {"tools": TOOLS, "response_format": {"type": "json_object"}}
    content, calls, reason = ask(seed, stream, first=begin, **fields)
    assert (content, reason) == ("", "tool_calls")
    check_calls(calls)


def tool(parameters, **more):
    return [{"type": "function", "function": {"name": "f", "parameters": parameters, **more}}]


SETS = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}}


LOOSE = {"name": "x", "schema": {"uniqueItems": True}}
FORMAT = {"type": "json_schema", "json_schema": {**LOOSE, "strict": True}}


@pytest.mark.parametrize(
    ("fields", "param", "said"),
    [
        ({"tools": TOOLS, "tool_choice": "required", "max_tokens": 5}, "max_tokens", "shortest"),
        ({"tool_choice": "required"}, "tool_choice", "no tools"),
        ({"tool_choice": NAMED}, "tool_choice", "web.search-it"),
        ({"tools": tool(WEATHER), "tool_choice": NAMED}, "tool_choice", "web.search-it"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice", "must be"),
        ({"tools": TOOLS, "tool_choice": {"type": "allowed_tools"}}, "tool_choice", "support"),
        (
            {"tools": tool(SETS, strict=True)},
            "tools[0].function.parameters",
            "#/properties/a/uniqueItems",
        ),
        ({"response_format": FORMAT}, "response_format.json_schema.schema", "uniqueItems"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema.schema",
            "missing",
        ),
        ({"response_format": {"type": "xml"}}, "response_format.type", "json_object"),
        (
            {"response_format": FORMAT, "tools": TOOLS},
            "response_format.json_schema.schema",
            "uniqueItems",
        ),
        (
            {"response_format": {"type": "json_object"}, "tools": tool(SETS, strict=True)},
            "tools[0].function.parameters",
            "#/properties/a/uniqueItems",
        ),
        (
            {"response_format": {"type": "json_object"}, "tools": TOOLS, "max_tokens": 1},
            "max_tokens",
            "shortest",
        ),
    ],
)
def test_what_cannot_be_met_is_refused_by_name(client, random_tokens, masks, fields, param, said):
    api = client(random_tokens(0), masks=masks)
    with pytest.raises(openai.BadRequestError, match=re.escape(said)) as refused:
        api.chat.completions.create(model=MODEL, messages=MESSAGES, **fields)
    assert refused.value.param == param


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_that_the_limit_cuts_is_told_as_far_as_it_came(ask, tokenizer, stream):
    fields = {"first": tokenizer.special("<|tool_calls_section_begin|>"), "tools": tool(WEATHER)}
    for seed in range(4):
        _, whole, _ = ask(seed, stream, **fields)
        # The shortest call has 40 tokens; where calls are optional one is begun all the same.
        content, cut, reason = ask(seed, stream, max_tokens=28, **fields)
        assert (content, reason) == ("", "length")
        [(call_id, name, arguments)] = cut
        assert whole[0][:2] == (call_id, name)
        # Half a character is shown as what it is.
        assert whole[0][2].startswith(arguments.rstrip("\ufffd"))
        assert arguments != whole[0][2]


def test_a_tool_that_is_not_strict_is_never_refused(client, random_tokens, masks):
    api = client(random_tokens(0), masks=masks)
    fields = {"model": MODEL, "messages": MESSAGES, "max_tokens": 9, "tools": tool(SETS)}
    assert api.chat.completions.create(**fields).choices


@pytest.mark.parametrize("strict", [{}, {"strict": False}, {"strict": None}])
def test_a_format_that_is_not_strict_is_not_refused(client, random_tokens, masks, strict):
    api = client(random_tokens(0), masks=masks)
    form = {"type": "json_schema", "json_schema": {**LOOSE, **strict}}
    fields = {"model": MODEL, "messages": MESSAGES, "max_tokens": 9, "response_format": form}
    assert api.chat.completions.create(**fields).choices


def test_without_a_grammar_strict_tools_are_refused(serve, random_tokens):
    url = serve(random_tokens(0)) + "/v1/chat/completions"
    answer = httpx.post(url, json={"model": MODEL, "messages": MESSAGES, "tools": TOOLS})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "tools[0].function.strict"

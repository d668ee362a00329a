"""What a chat request refuses about itself, before anything reads it."""

import pytest

from openk2.generation import ChatRequest, JsonFormat, NamedTool, RequestError

MESSAGES = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"tool_choice": "required"}, "tool_choice", '"required", but there are no tools'),
        ({"tool_choice": NamedTool("f")}, "tool_choice", "names the tool 'f': declare it"),
        ({"tools": TOOLS, "tool_choice": NamedTool("h")}, "tool_choice", "names the tool 'h'"),
        ({"tools": [*TOOLS, TOOLS[0]]}, "tools[2].function.name", "'f', which is declared twice"),
    ],
)
def test_a_request_that_contradicts_itself_is_refused_with_its_field(fields, param, message):
    with pytest.raises(RequestError, match=message) as caught:
        ChatRequest(MESSAGES, **fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "choice", ["any", "f", None, True, {"type": "function", "function": {"name": "f"}}]
)
def test_a_tool_choice_of_another_form_is_refused_with_the_forms_there_are(choice):
    with pytest.raises(RequestError, match=r'tool_choice is .*NamedTool\("NAME"\)') as caught:
        ChatRequest(MESSAGES, TOOLS, tool_choice=choice)
    assert caught.value.param == "tool_choice"
    assert repr(choice) in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", "5"),
        ("max_tokens", 5.5),
        ("logprobs", True),
        ("temperature", None),
        ("seed", "x"),
        ("logit_bias", {"3": 1.0}),
    ],
)
def test_a_number_of_another_type_is_refused_with_its_field(field, value):
    with pytest.raises(RequestError, match=f"{field}.* is .*: it must be an int"):
        ChatRequest(MESSAGES, **{field: value})


@pytest.mark.parametrize("form", [{"type": "json_object"}, "json", JsonFormat])
def test_a_response_format_of_another_form_is_refused_with_the_form_there_is(form):
    with pytest.raises(RequestError, match=r"response_format is .*JsonFormat\(") as caught:
        ChatRequest(MESSAGES, response_format=form)
    assert caught.value.param == "response_format"


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": TOOLS, "tool_choice": NamedTool("g")},
        {"tools": TOOLS, "tool_choice": "required"},
        {"tools": TOOLS, "tool_choice": "none", "response_format": JsonFormat()},
        {"response_format": JsonFormat()},
        {"tools": TOOLS, "response_format": JsonFormat()},
        {"tools": [{"type": "function"}]},  # left to the renderer, which names what is missing
    ],
)
def test_a_request_that_can_be_obeyed_is_not(fields):
    assert ChatRequest(MESSAGES, **fields).messages == MESSAGES

import json
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.chat import RenderError, Tokenizer, encode_chat, render
from openk2.chat.prompt_style import ToolFormat

DEFAULT_SYSTEM = (
    "<|im_system|>system<|im_middle|>"
    "You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>\n"
)
SYSTEM = {"role": "system", "content": "S"}
USER: dict[str, Any] = {"role": "user", "content": "hi"}


def call(call_id: str, arguments: Any, name: str = "f") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def prompt(*messages: dict[str, Any], tools: Any = None, generation_prompt: bool = False) -> str:
    pieces = render(messages, tools, generation_prompt=generation_prompt)
    return "".join(piece.text for piece in pieces)


def test_the_golden_prompt_has_the_published_27_ids(real_tokenizer: Tokenizer) -> None:
    # fmt: off
    golden = [
        163594, 14062, 163601, 3900, 554, 24980, 72, 11, 519, 22572, 26626, 5232, 673, 30218,
        10065, 22572, 13, 163586, 198, 163587, 2482, 163601, 9663, 163586, 163588, 69702, 163601,
    ]
    # fmt: on
    assert encode_chat(real_tokenizer, [USER]).token_ids == golden


def test_the_default_system_prompt_and_its_newline_come_only_without_a_system_message() -> None:
    assert prompt(USER) == DEFAULT_SYSTEM + "<|im_user|>user<|im_middle|>hi<|im_end|>"
    own = prompt(SYSTEM, USER)
    assert own == (
        "<|im_system|>system<|im_middle|>S<|im_end|><|im_user|>user<|im_middle|>hi<|im_end|>"
    )
    late = prompt(USER, SYSTEM)
    assert late.startswith(DEFAULT_SYSTEM)
    assert late.endswith("<|im_system|>system<|im_middle|>S<|im_end|>")


def test_a_conversation_with_calls_and_results_renders_as_the_template_writes_it() -> None:
    calls = [call("functions.f:0", '{"q":1}'), call("functions.f:1", "not json")]
    text = prompt(
        SYSTEM,
        {"role": "assistant", "content": "Let me see. ", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "functions.f:0", "name": "f", "content": "one"},
        {"role": "tool", "tool_call_id": "functions.f:1", "content": "two"},
        generation_prompt=True,
    )
    assert text == (
        "<|im_system|>system<|im_middle|>S<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>Let me see. <|tool_calls_section_begin|>"
        '<|tool_call_begin|>functions.f:0<|tool_call_argument_begin|>{"q":1}<|tool_call_end|>'
        "<|tool_call_begin|>functions.f:1<|tool_call_argument_begin|>not json<|tool_call_end|>"
        "<|tool_calls_section_end|><|im_end|>"
        "<|im_system|>f<|im_middle|>## Return of functions.f:0\none<|im_end|>"
        "<|im_system|>tool<|im_middle|>## Return of functions.f:1\ntwo<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>"
    )


def test_tools_come_first_as_compact_json_with_keys_sorted_at_every_depth() -> None:
    tool = {
        "type": "function",
        "function": {
            "name": "f",
            "description": "名 é",
            "parameters": {
                "type": "object",
                "properties": {"b": {"z": 1, "a": [{"y": 1, "x": 2}]}},
            },
        },
    }
    declared = prompt(SYSTEM, tools=[tool]).split("<|im_end|>")[0]
    assert declared == (
        '<|im_system|>tool_declare<|im_middle|>[{"function":{"description":"名 é","name":"f",'
        '"parameters":{"properties":{"b":{"a":[{"x":2,"y":1}],"z":1}},"type":"object"}},'
        '"type":"function"}]'
    )


def test_no_tools_and_an_empty_list_of_tools_are_the_same() -> None:
    assert prompt(USER, tools=[]) == prompt(USER, tools=None) == prompt(USER)


def test_empty_tool_calls_make_no_section() -> None:
    plain = {"role": "assistant", "content": "ok"}
    assert prompt({**plain, "tool_calls": []}) == prompt({**plain, "tool_calls": None})
    assert prompt({**plain, "tool_calls": []}) == prompt(plain)


@pytest.mark.parametrize("content", [None, "", [], [{"type": "text", "text": ""}]])
def test_every_way_to_say_nothing_gives_the_same_prompt(content: Any) -> None:
    message = {"role": "assistant", "tool_calls": [call("functions.f:0", "{}")]}
    assert prompt({**message, "content": content}) == prompt(message)


def test_text_parts_are_joined_without_anything_between() -> None:
    parts = [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]
    assert prompt({"role": "user", "content": parts}) == prompt({"role": "user", "content": "a b"})


def test_argument_objects_are_written_with_default_separators() -> None:
    message = {"role": "assistant", "tool_calls": [call("i", {"b": "é", "a": [1, 2]})]}
    assert '<|tool_call_argument_begin|>{"b": "é", "a": [1, 2]}<|tool_call_end|>' in prompt(message)


def test_a_name_replaces_the_role_in_the_header() -> None:
    assert "<|im_user|>Ana<|im_middle|>hi" in prompt({**USER, "name": "Ana"})
    assert "<|im_user|>user<|im_middle|>hi" in prompt({**USER, "name": ""})


@pytest.mark.parametrize(
    ("named", "header"), [({"name": "Kelsier"}, "Kelsier"), ({"name": None}, "assistant")]
)
def test_the_name_of_a_message_to_go_on_with_is_in_its_header(named: Any, header: str) -> None:
    begun = {"role": "assistant", "content": "I am", "partial": True, **named}
    written = "".join(piece.text for piece in render([USER], begun=begun))
    assert written.endswith(f"<|im_end|><|im_assistant|>{header}<|im_middle|>I am")


@pytest.mark.parametrize("weight", [None, 1, True, 0, False])
def test_an_assistant_message_of_weight_0_is_read_and_not_learned(weight: int | None) -> None:
    said = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "b"}]
    plain = render([USER, *said], generation_prompt=False)
    first = {**said[0], "weight": weight, "tool_calls": [call("functions.f:0", "{}")]}
    pieces = render([USER, first, said[1]], generation_prompt=False)
    learned = [piece.text for piece in pieces if piece.learned]
    assert ("a" in learned) == ("functions.f:0" in learned) == (weight not in (0, False))
    assert learned[-2:] == ["b", "<|im_end|>"]
    first.pop("tool_calls")
    again = render([USER, first, said[1]], generation_prompt=False)
    assert [piece.text for piece in again] == [piece.text for piece in plain]


@pytest.mark.parametrize("weight", [0.5, 2, "0", []])
def test_another_weight_is_refused_by_name(weight: object) -> None:
    with pytest.raises(RenderError) as refused:
        render([USER, {"role": "assistant", "content": "a", "weight": weight}])
    assert str(refused.value) == f"messages[1].weight must be 0 or 1, not {weight!r}"


def test_what_the_assistant_writes_is_learned_and_nothing_else(tokenizer: Tokenizer) -> None:
    messages: list[dict[str, Any]] = [
        USER,
        {"role": "assistant", "content": "Yes.", "tool_calls": [call("functions.f:0", "{}")]},
        {"role": "tool", "tool_call_id": "functions.f:0", "content": "r"},
        {"role": "assistant", "content": "Done."},
    ]
    encoded = encode_chat(tokenizer, messages, generation_prompt=False)
    assert len(encoded.token_ids) == len(encoded.learned)
    learned = [i for i, mine in zip(encoded.token_ids, encoded.learned, strict=True) if mine]
    assert tokenizer.decode(learned) == (
        "Yes.<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
        "<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|><|im_end|>"
        "Done.<|im_end|>"
    )


def test_the_prompt_of_a_turn_extends_the_prompt_before_it(tokenizer: Tokenizer) -> None:
    answer: dict[str, Any] = {"role": "assistant", "content": "Hello there"}
    before = encode_chat(tokenizer, [USER]).token_ids
    after = encode_chat(tokenizer, [USER, answer, USER]).token_ids
    assert after[: len(before)] == before


@settings(max_examples=50)
@given(st.data())
def test_no_text_of_a_conversation_becomes_a_control_token(
    tokenizer: Tokenizer, data: st.DataObject
) -> None:
    evil = st.lists(
        st.one_of(st.sampled_from(sorted(tokenizer.specials)), st.text(max_size=5)), max_size=4
    ).map("".join)
    some = evil.filter(bool)
    tools: list[dict[str, Any]] = [
        {
            "type": "function",
            "function": {"name": data.draw(some), "description": data.draw(evil)},
        }
    ]
    messages: list[dict[str, Any]] = [
        {"role": "system", "name": data.draw(evil), "content": data.draw(evil)},
        {"role": "user", "content": [{"type": "text", "text": data.draw(evil)}]},
        {
            "role": "assistant",
            "content": data.draw(evil),
            "tool_calls": [call(data.draw(some), data.draw(evil))],
        },
        {"role": "tool", "tool_call_id": data.draw(some), "content": data.draw(evil)},
    ]
    ids = encode_chat(tokenizer, messages, tools).token_ids
    control = [tokenizer.decode([i]) for i in ids if tokenizer.is_special(i)]
    # fmt: off
    assert control == [
        "<|im_system|>", "<|im_middle|>", "<|im_end|>",
        "<|im_system|>", "<|im_middle|>", "<|im_end|>",
        "<|im_user|>", "<|im_middle|>", "<|im_end|>",
        "<|im_assistant|>", "<|im_middle|>", "<|tool_calls_section_begin|>", "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>", "<|tool_call_end|>", "<|tool_calls_section_end|>",
        "<|im_end|>",
        "<|im_system|>", "<|im_middle|>", "<|im_end|>",
        "<|im_assistant|>", "<|im_middle|>",
    ]
    # fmt: on
    pieces = render(messages, tools)
    assert tokenizer.decode(ids) == "".join(piece.text for piece in pieces)
    assert json.loads(pieces[3].text) == tools


IMAGE = {"type": "image_url", "image_url": {"url": "data:"}}
ASSISTANT = {"role": "assistant"}
TOOL = {"role": "tool", "content": "x"}


@pytest.mark.parametrize(
    ("message", "param", "problem"),
    [
        ("hi", "messages[1]", "must be an object, not str"),
        ({"content": "x"}, "messages[1].role", "is None: it must be one of"),
        ({"role": "developer"}, "messages[1].role", "is 'developer': it must be one of"),
        ({"role": ["user"]}, "messages[1].role", "must be one of"),
        ({**USER, "content": 5}, "messages[1].content", "not int"),
        ({**USER, "content": b"x"}, "messages[1].content", "not bytes"),
        ({**USER, "content": {"text": "x"}}, "messages[1].content", "not dict"),
        ({**USER, "content": ["x"]}, "messages[1].content[0]", "must be an object, not str"),
        ({**USER, "content": [IMAGE]}, "messages[1].content[0]", "'image_url': only text"),
        ({**USER, "content": [{"type": "text"}]}, "messages[1].content[0].text", "is None"),
        ({**USER, "name": 1}, "messages[1].name", "must be a string, not int"),
        (TOOL, "messages[1].tool_call_id", "is None: it must be a non-empty string"),
        ({**ASSISTANT, "tool_calls": {}}, "messages[1].tool_calls", "must be a list, not dict"),
        ({**ASSISTANT, "tool_calls": [1]}, "messages[1].tool_calls[0]", "must be an object"),
        (
            {**ASSISTANT, "tool_calls": [call("", "{}")]},
            "messages[1].tool_calls[0].id",
            "non-empty string",
        ),
        (
            {**ASSISTANT, "tool_calls": [{"id": "a"}]},
            "messages[1].tool_calls[0].function",
            "must be an object with name and arguments",
        ),
        (
            {**ASSISTANT, "tool_calls": [call("a", None)]},
            "messages[1].tool_calls[0].function.arguments",
            "not NoneType",
        ),
        (
            {**ASSISTANT, "tool_calls": [call("a", {"x": {1}})]},
            "messages[1].tool_calls[0].function.arguments",
            "cannot be written as JSON",
        ),
    ],
)
def test_a_bad_message_is_named_with_its_place(message: Any, param: str, problem: str) -> None:
    with pytest.raises(RenderError) as caught:
        render([USER, message])
    assert caught.value.param == param
    assert str(caught.value).startswith(param)
    assert problem in str(caught.value)


@pytest.mark.parametrize("messages", [[], "hi", None, {"role": "user"}])
def test_messages_must_be_a_list_of_at_least_one(messages: Any) -> None:
    with pytest.raises(RenderError, match="must be a list of at least one message"):
        render(messages)


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ("f", "tools"),
        ({"f": 1}, "tools"),
        (["f"], "tools[0].function.name"),
        ([{"type": "function", "function": {"name": ""}}], "tools[0].function.name"),
        ([{"type": "function", "function": {"name": "f", "parameters": {1, 2}}}], "tools"),
    ],
)
def test_a_bad_tool_is_named_with_its_place(tools: Any, param: str) -> None:
    with pytest.raises(RenderError) as caught:
        render([USER], tools)
    assert caught.value.param == param


def test_tools_can_be_declared_as_typescript_instead() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    pieces = render([USER], tools, tool_format="typescript")
    assert pieces[3].text == "namespace functions {\ntype f = () => any;\n}"


@pytest.mark.parametrize("value", ["x" * 100_000, [["y"] * 9] * 9999])
@pytest.mark.parametrize(
    "place",
    [
        lambda value: {"role": value},
        lambda value: {"role": "user", "content": [{"type": value}]},
        lambda value: {"role": "tool", "tool_call_id": [value]},
    ],
)
def test_an_error_shows_the_beginning_of_a_bad_value_only(place: Any, value: Any) -> None:
    with pytest.raises(RenderError) as caught:
        render([place(value)])
    assert len(str(caught.value)) < 500


def test_what_is_nested_too_deeply_for_json_is_named() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(RenderError, match=r"arguments cannot be written as JSON"):
        render([{"role": "assistant", "tool_calls": [call("i", deep)]}])
    bad: Any = [{"type": "function", "function": {"name": "f", "parameters": {"const": deep}}}]
    for tool_format in get_args(ToolFormat):
        with pytest.raises(RenderError, match="tools cannot be written as JSON"):
            render([USER], bad, tool_format=tool_format)
    deep = {"items": deep}
    for _ in range(100_000):
        deep = {"items": deep}
    bad = [{"type": "function", "function": {"name": "f", "parameters": deep}}]
    with pytest.raises(RenderError, match="tools cannot be written as JSON"):
        render([USER], bad, tool_format="typescript")

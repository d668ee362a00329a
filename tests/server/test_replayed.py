"""A session goes on whatever earlier turns hold, and what is new is still refused by name."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.server.replayed import past, readable

MODEL = "openk2-test"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iV"}}
HI = {"role": "user", "content": "hi"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    ],
}


def text_parts(message: dict) -> list[str]:
    return [part["text"] for part in message["content"]]


def test_an_assistants_refusal_is_what_it_said_and_its_thoughts_are_dropped() -> None:
    parts = [{"type": "thinking", "thinking": "hm"}, {"type": "refusal", "refusal": "no"},
             {"type": "reasoning", "text": "so"}, {"type": "text", "text": "!"}]  # fmt: skip
    (message,) = readable([{"role": "assistant", "content": parts}])
    assert text_parts(message) == ["no", "!"]
    (message,) = readable([{"role": "assistant", "content": None, "refusal": "never"}])
    assert message["content"] == "never"


def test_a_tools_image_is_a_note_and_a_users_image_is_one_once_something_follows() -> None:
    asked = {"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]}
    result = {"role": "tool", "tool_call_id": "c", "content": [IMAGE]}
    noted = "[image_url omitted: this model reads text only]"
    old, _, shown, new = readable([asked, CALL, result, asked])
    assert text_parts(old) == ["see", noted]
    assert text_parts(shown) == [noted]
    assert new is asked
    # The first was refused, so it has no answer.
    refused, again = readable([asked, HI])
    assert (text_parts(refused), again) == (["see", noted], HI)
    assert readable([asked, asked])[1] is asked


PARTS = st.sampled_from(
    [IMAGE, {"type": "text", "text": "t"}, {"type": "refusal", "refusal": "r"}, {"type": 3}, 4,
     {"type": "thinking"}, {"type": "input_audio"}, {"type": "file"}, None]
)  # fmt: skip
CONTENT = st.none() | st.sampled_from(["", "a"]) | st.lists(PARTS, max_size=3) | st.just(7)
ROLES = st.sampled_from(["user", "assistant", "tool", "system", "owl", None])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": ROLES, "content": CONTENT}) | st.just(5), max_size=5
)


@given(MESSAGES)
def test_readable_never_raises_and_touches_no_other_turn(messages: list) -> None:
    found = readable(messages)
    assert len(found) == len(messages)
    assert readable(found) == found
    for index in range(past(messages), len(messages)):
        if isinstance(messages[index], dict) and messages[index]["role"] in ("user", "system"):
            assert found[index] is messages[index]


@pytest.mark.parametrize(
    "messages",
    [
        [HI, {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}, HI],
        [HI, CALL, {"role": "tool", "tool_call_id": "c", "content": [IMAGE]}, HI],
        [{"role": "user", "content": [IMAGE]}, {"role": "assistant", "content": "?"}, HI],
        [HI, {"role": "assistant", "content": "a", "reasoning_content": "r", "refusal": None}, HI],
        [
            HI,
            CALL,
            {"role": "tool", "tool_call_id": "c", "content": "1"},
            {"role": "user", "content": [IMAGE]},
            HI,
        ],
    ],
)
def test_such_a_history_is_answered(serve, scripted, messages: list) -> None:
    url = serve(scripted("yes«<|im_end|>»"))
    answer = httpx.post(f"{url}/v1/chat/completions", json={"model": MODEL, "messages": messages})
    assert (answer.status_code, answer.json()["choices"][0]["message"]["content"]) == (200, "yes")


def test_an_image_in_an_old_turn_of_the_messages_route_is_a_note(serve, scripted) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [PICTURE]}
    messages = [{"role": "user", "content": [PICTURE]}, {"role": "assistant", "content": [use]},
                {"role": "user", "content": [result]}]  # fmt: skip
    tokens = scripted("yes«<|im_end|>»")
    body = {"model": MODEL, "max_tokens": 5, "messages": messages}
    answer = httpx.post(f"{serve(tokens)}/v1/messages", json=body)
    assert answer.status_code == 200, answer.text
    assert tokens.prompts[0].count("[image omitted: this model reads text only]") == 2


def test_an_image_that_the_messages_route_refused_does_not_end_the_session(serve, scripted) -> None:
    messages = [{"role": "user", "content": [PICTURE]}]
    tokens = scripted("yes«<|im_end|>»")
    url = serve(tokens)
    body = {"model": MODEL, "max_tokens": 5, "messages": messages}
    assert httpx.post(f"{url}/v1/messages", json=body).status_code == 400
    answer = httpx.post(f"{url}/v1/messages", json={**body, "messages": [*messages, HI]})
    assert answer.status_code == 200, answer.text
    assert "[image omitted: this model reads text only]\n\nhi" in tokens.prompts[0]


@pytest.mark.parametrize("flag", ["partial", "prefix"])
def test_the_answer_goes_on_where_the_last_message_ends(serve, scripted, flag: str) -> None:
    begun = {"role": "assistant", "content": "I am", flag: True}
    tokens = scripted(" here«<|im_end|>»")
    url = serve(tokens)
    answer = httpx.post(
        f"{url}/v1/chat/completions", json={"model": MODEL, "messages": [HI, begun]}
    )
    assert answer.json()["choices"][0]["message"]["content"] == " here"
    assert tokens.prompts[0].endswith("<|im_assistant|>assistant<|im_middle|>I am")
    body = {
        "model": MODEL,
        "max_tokens": 5,
        "messages": [HI, {"role": "assistant", "content": "I"}],
    }
    assert httpx.post(f"{url}/v1/messages", json=body).json()["content"][0]["text"] == " here"
    assert tokens.prompts[1].endswith("<|im_assistant|>assistant<|im_middle|>I")

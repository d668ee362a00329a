"""ScriptedChat and the joining of a stream."""

import asyncio

import pytest

from openk2.chat import ToolCall
from openk2.generation import ChatAnswer, ChatRequest, ScoredToken, ScriptedChat, complete

REQUEST = ChatRequest([{"role": "user", "content": "hi"}])
CALLS = (ToolCall("functions.f:0", "f", "{}"), ToolCall("functions.g:1", "g", '{"x":1}'))


@pytest.mark.parametrize(
    "answer",
    [
        ChatAnswer("text", prompt_tokens=3, completion_tokens=1),
        ChatAnswer("", CALLS, "tool_calls", 5, 20),
        ChatAnswer("both", CALLS, "tool_calls", 5, 20),
        ChatAnswer("cut", finish_reason="length"),
        ChatAnswer("x", (), "stop", 5, 2, 3, "END", (ScoredToken(b"x", -0.5, ((b"y", -0.25),)),)),
    ],
)
def test_joining_the_stream_of_an_answer_gives_the_answer(answer):
    assert asyncio.run(complete(ScriptedChat([answer]), REQUEST)) == answer


def test_answers_come_in_order_and_requests_are_kept():
    chat = ScriptedChat(["one", "two"])
    assert [asyncio.run(complete(chat, REQUEST)).content for _ in range(2)] == ["one", "two"]
    assert chat.requests == [REQUEST, REQUEST]
    with pytest.raises(RuntimeError, match="no answer left"):
        asyncio.run(complete(chat, REQUEST))


def test_the_message_of_an_answer_is_openai_history():
    assert ChatAnswer("hi").message() == {"role": "assistant", "content": "hi"}
    message = ChatAnswer("", CALLS[:1], "tool_calls").message()
    assert message["content"] is None
    assert message["tool_calls"] == [
        {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    ]

"""Each measure moves with the mistake it measures, and with no other."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from openk2.chat import ToolCall
from openk2.eval.tool_calls import (
    ToolCallScore,
    reference_turns,
    score_answers,
    score_tool_calls,
)
from openk2.generation import (
    ChatAnswer,
    ChatEvent,
    ChatFinish,
    ChatRequest,
    ContextLengthError,
    ScriptedChat,
)
from openk2.synthesis import generate


def answer(*calls: tuple[str, str], text: str = "") -> ChatAnswer:
    made = tuple(ToolCall(f"functions.{n}:{i}", n, a) for i, (n, a) in enumerate(calls))
    return ChatAnswer(text, made, "tool_calls" if calls else "stop", 1, 1)


def tool(name: str) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "required": ["n"],
        "properties": {"n": {"type": "integer"}},
    }
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


CONVERSATION: dict[str, Any] = {
    "messages": [
        {"role": "user", "content": "Add 3."},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {
                    "id": "functions.add:0",
                    "type": "function",
                    "function": {"name": "add", "arguments": '{"n":3,"m":"x"}'},
                }
            ],
        },
        {
            "role": "tool",
            "tool_call_id": "functions.add:0",
            "name": "add",
            "content": '{"sum": 42, "unit": "apples", "ok": true}',
        },
        {"role": "assistant", "content": "The sum is 42."},
        {"role": "user", "content": "Thanks."},
        {"role": "assistant", "content": "You're welcome!"},
    ],
    "tools": [tool("add"), tool("drop")],
}
RIGHT = [answer(("add", '{"m": "x", "n": 3}')), answer(text="It is 42."), answer(text="Bye.")]


def score(*answers: ChatAnswer) -> ToolCallScore:
    return score_answers(reference_turns(CONVERSATION), answers)


def test_a_right_model_scores_one_everywhere_whatever_its_key_order_and_wording() -> None:
    right = score(*RIGHT)
    assert (right.turns, right.reference_turns, right.result_turns) == (3, 1, 1)
    assert right.trigger_f1 == right.right_tool_share == right.exact_share == 1
    assert right.valid_share == right.told_share == 1
    assert not right.misses


def test_a_call_that_is_missing_costs_recall_and_the_tool() -> None:
    missed = score(answer(text="Sure."), *RIGHT[1:])
    assert missed.trigger_f1 == missed.right_tool_share == missed.exact_share == 0
    assert missed.misses[0].kind == "call"
    assert missed.misses[0].got == "Sure."


def test_a_call_too_many_costs_precision_only() -> None:
    spurious = score(RIGHT[0], RIGHT[1], answer(("drop", '{"n":1}')))
    assert spurious.trigger_f1 == pytest.approx(2 / 3)
    assert spurious.exact_share == 1
    assert spurious.misses[0].kind == "talk"


def test_wrong_tool_wrong_argument_and_invalid_arguments_are_told_apart() -> None:
    wrong_tool = score(answer(("drop", '{"n":3,"m":"x"}')), *RIGHT[1:])
    assert (wrong_tool.right_tool, wrong_tool.exact, wrong_tool.valid_calls) == (0, 0, 1)
    wrong_value = score(answer(("add", '{"n":4,"m":"x"}')), *RIGHT[1:])
    assert (wrong_value.right_tool, wrong_value.exact, wrong_value.valid_calls) == (1, 0, 1)
    for arguments in ('{"n":"3"}', '{"m":"x"}', '{"n":3'):
        invalid = score(answer(("add", arguments)), *RIGHT[1:])
        assert (invalid.right_tool, invalid.exact, invalid.valid_calls) == (1, 0, 0)


def test_a_result_is_told_only_if_every_value_that_the_reference_tells_is_in_the_text() -> None:
    assert score(RIGHT[0], answer(text="It is 41."), RIGHT[2]).told_share == 0
    assert score(RIGHT[0], answer(text="42 apples"), RIGHT[2]).told_share == 1


def test_history_is_the_references_own() -> None:
    chat = ScriptedChat([answer(text="no"), *RIGHT[1:]])
    asyncio.run(score_tool_calls(chat, [CONVERSATION], concurrency=1))
    assert [len(request.messages) for request in chat.requests] == [1, 3, 5]
    assert chat.requests[1].messages[1]["tool_calls"]
    assert all(request.tools == CONVERSATION["tools"] for request in chat.requests)


class Oracle:
    """Answers every request as the reference conversation does; counts requests in flight."""

    def __init__(self, conversations: list[dict[str, Any]]) -> None:
        self.known = {
            json.dumps([c["tools"], turn.messages]): turn
            for c in conversations
            for turn in reference_turns(c)
        }
        self.in_flight = self.most_in_flight = self.asked = 0

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self.asked += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(0)
        self.in_flight -= 1
        turn = self.known[json.dumps([request.tools, request.messages])]
        calls = [(name, json.dumps(arguments)) for name, arguments in turn.reference]
        scripted = ScriptedChat([answer(*calls, text=turn.text)])
        async for event in scripted.stream(request):
            yield event


def test_generated_conversations_score_one_against_themselves_within_limit_and_concurrency() -> (
    None
):
    conversations = list(generate(3, 60, "held_out"))
    oracle = Oracle(conversations)
    result = asyncio.run(score_tool_calls(oracle, conversations, limit=50, concurrency=4))
    assert result.turns == oracle.asked == 50
    assert oracle.most_in_flight == 4
    assert result.reference_turns > 10
    assert result.result_turns > 10
    assert result.trigger_f1 == result.exact_share == result.valid_share == result.told_share == 1
    assert json.loads(json.dumps(result.to_json()))["exact_share"] == 1
    assert len(result.table().rows) == 5


def test_a_failure_is_raised_as_it_is_and_ends_the_other_requests() -> None:
    class Full:
        async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
            if len(request.messages) == 3:
                raise ContextLengthError(9, None, 5)
            await asyncio.sleep(60)
            yield ChatFinish("stop", 1, 1)

    with pytest.raises(ContextLengthError):
        asyncio.run(score_tool_calls(Full(), [CONVERSATION], concurrency=2))

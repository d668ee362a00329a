"""litellm: to the OpenAI interface and to Anthropic's."""

import json
from typing import Any

import litellm
import pytest
from cities import QUESTION, Place, Weather

from conftest import ALIAS, MODEL

TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": Weather.model_json_schema(),
        "strict": True,
    },
}
ROUTES = ["openai", "anthropic"]


@pytest.fixture(params=ROUTES)
def target(request: pytest.FixtureRequest, server: str, v1: str) -> dict[str, Any]:
    route = request.param
    name, base = (MODEL, v1) if route == "openai" else (ALIAS, server)
    messages = [{"role": "user", "content": QUESTION}]
    return {
        "model": f"{route}/{name}", "api_base": base, "api_key": "none", "messages": messages,
        "max_tokens": 200, "temperature": 0, "num_retries": 0,
    }  # fmt: skip


def test_a_forced_tool_obeys_its_schema_whole_and_streamed(target: dict[str, Any]) -> None:
    fields = {**target, "tools": [TOOL], "tool_choice": "required"}
    whole = litellm.completion(**fields).choices[0]
    chunks = list(litellm.completion(**fields, stream=True))
    streamed = litellm.stream_chunk_builder(chunks).choices[0]
    assert whole.finish_reason == streamed.finish_reason == "tool_calls"
    [call], [again] = whole.message.tool_calls, streamed.message.tool_calls
    assert Weather.model_validate_json(call.function.arguments)
    assert json.loads(call.function.arguments) == json.loads(again.function.arguments)


def test_an_answer_obeys_its_class(target: dict[str, Any]) -> None:
    answer = litellm.completion(**target, response_format=Place).choices[0].message.content
    assert Place.model_validate_json(answer)


def test_an_answer_beside_tools_is_a_call_or_obeys(target: dict[str, Any]) -> None:
    [choice] = litellm.completion(**target, tools=[TOOL], response_format=Place).choices
    if choice.finish_reason == "tool_calls":
        assert all(call.function.name == "get_weather" for call in choice.message.tool_calls)
    else:
        assert Place.model_validate_json(choice.message.content)

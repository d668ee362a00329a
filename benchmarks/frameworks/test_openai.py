"""The openai SDK: its parsing of strict tools and of response_format."""

import json
from collections.abc import Iterator

import openai
import pytest
from cities import QUESTION, Place, Weather

from conftest import MODEL

ASKED = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
TOOL = openai.pydantic_function_tool(Weather, name="get_weather")


@pytest.fixture
def client(v1: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=v1, api_key="none", max_retries=0) as client:
        yield client


def test_a_forced_tool_comes_parsed(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(**ASKED, tools=[TOOL], tool_choice="required")
    [call] = answer.choices[0].message.tool_calls
    assert answer.choices[0].finish_reason == "tool_calls"
    assert isinstance(call.function.parsed_arguments, Weather)


def test_an_answer_comes_parsed_whole_and_streamed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.parse(**ASKED, response_format=Place)
    assert whole.choices[0].finish_reason == "stop"
    with client.chat.completions.stream(**ASKED, response_format=Place) as stream:
        streamed = stream.get_final_completion()
    assert isinstance(whole.choices[0].message.parsed, Place)
    assert streamed.choices[0].message.parsed == whole.choices[0].message.parsed


def test_an_answer_beside_tools_is_a_call_or_parses(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(**ASKED, tools=[TOOL], response_format=Place)
    [choice] = answer.choices
    if choice.finish_reason == "tool_calls":
        assert all(call.function.parsed_arguments for call in choice.message.tool_calls)
    else:
        assert isinstance(choice.message.parsed, Place)


def test_after_the_tools_result_the_answer_parses(client: openai.OpenAI) -> None:
    fields = {**ASKED, "tools": [TOOL]}
    called = client.chat.completions.create(**fields, tool_choice="required").choices[0].message
    [call] = called.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": json.dumps({"weather": "Sunny"})}
    fields["messages"] = [*ASKED["messages"], called, result]
    answer = client.chat.completions.parse(**fields, tool_choice="none", response_format=Place)
    assert isinstance(answer.choices[0].message.parsed, Place)

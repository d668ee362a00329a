"""langchain-openai: bound tools, structured output by each of its methods, and both."""

import pytest
from cities import QUESTION, Place, Weather
from langchain_openai import ChatOpenAI

from conftest import MODEL


@pytest.fixture
def chat(v1: str) -> ChatOpenAI:
    return ChatOpenAI(
        model=MODEL, base_url=v1, api_key="none", temperature=0, max_retries=0, timeout=60
    )


def test_a_forced_tool_obeys_its_schema_whole_and_streamed(chat: ChatOpenAI) -> None:
    bound = chat.bind_tools([Weather], tool_choice="any", strict=True)
    [call] = bound.invoke(QUESTION).tool_calls
    first, *more = bound.stream(QUESTION)
    for chunk in more:
        first += chunk
    assert Weather.model_validate(call["args"])
    assert [(c["name"], c["args"]) for c in first.tool_calls] == [("Weather", call["args"])]


@pytest.mark.parametrize("method", ["json_schema", "function_calling"])
def test_structured_output(chat: ChatOpenAI, method: str) -> None:
    answer = chat.with_structured_output(Place, method=method, strict=True).invoke(QUESTION)
    assert isinstance(answer, Place)


def test_structured_output_beside_tools_is_a_call_or_parses(chat: ChatOpenAI) -> None:
    asked = chat.with_structured_output(
        Place, method="json_schema", strict=True, include_raw=True, tools=[Weather]
    )
    answer = asked.invoke(QUESTION)
    assert answer["raw"].tool_calls or isinstance(answer["parsed"], Place)

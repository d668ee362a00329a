"""openai-agents: an agent with a tool, with an output type, and with both."""

from typing import Any

import openai
import pytest
from agents import Agent, ModelSettings, OpenAIChatCompletionsModel, Runner, function_tool
from agents.exceptions import MaxTurnsExceeded
from cities import QUESTION, Place, get_weather

from conftest import MODEL

TOOL = function_tool(get_weather)


@pytest.fixture
def agent(v1: str) -> Any:
    client = openai.AsyncOpenAI(base_url=v1, api_key="none", max_retries=0)
    settings = ModelSettings(temperature=0, max_tokens=200)
    model = OpenAIChatCompletionsModel(MODEL, client)
    return Agent(name="weather", model=model, model_settings=settings)


def test_a_tool_is_called_and_answered(agent: Any) -> None:
    run = Runner.run_sync(agent.clone(tools=[TOOL]), QUESTION)
    assert [item.type for item in run.new_items].count("tool_call_output_item") >= 1
    assert run.final_output


def test_an_output_type(agent: Any) -> None:
    run = Runner.run_sync(agent.clone(output_type=Place), QUESTION)
    assert isinstance(run.final_output, Place)


def test_an_output_type_beside_a_tool(agent: Any) -> None:
    both = agent.clone(tools=[TOOL], output_type=Place)
    try:
        run = Runner.run_sync(both, QUESTION, max_turns=4)
    except MaxTurnsExceeded:  # a model as small as this one may call for ever
        return
    assert isinstance(run.final_output, Place)

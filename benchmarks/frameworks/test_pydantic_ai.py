"""pydantic-ai: an agent with a tool, with an output type, and with both."""

import pytest
from cities import QUESTION, Place, get_weather
from pydantic_ai import Agent, NativeOutput, ToolOutput, UsageLimits
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from conftest import MODEL

SETTINGS = {"temperature": 0, "max_tokens": 200}


@pytest.fixture
def model(v1: str) -> OpenAIChatModel:
    return OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=v1, api_key="none"))


def test_a_tool_is_called_and_answered(model: OpenAIChatModel) -> None:
    run = Agent(model, tools=[get_weather], model_settings=SETTINGS).run_sync(QUESTION)
    assert any(part.part_kind == "tool-return" for m in run.all_messages() for part in m.parts)
    assert run.output


@pytest.mark.parametrize("form", [NativeOutput, ToolOutput])
def test_an_output_type(model: OpenAIChatModel, form: type) -> None:
    run = Agent(model, output_type=form(Place), model_settings=SETTINGS).run_sync(QUESTION)
    assert isinstance(run.output, Place)


@pytest.mark.parametrize("form", [NativeOutput, ToolOutput])
def test_an_output_type_beside_a_tool(model: OpenAIChatModel, form: type) -> None:
    agent = Agent(model, tools=[get_weather], output_type=form(Place), model_settings=SETTINGS)
    try:
        run = agent.run_sync(QUESTION, usage_limits=UsageLimits(request_limit=4))
    except UsageLimitExceeded:  # a model as small as this one may call for ever
        return
    assert isinstance(run.output, Place)

"""The anthropic SDK: its tool runner and its structured output."""

from collections.abc import Iterator

import anthropic
import pytest
from cities import QUESTION, Place, Weather, get_weather

from conftest import ALIAS

ASKED = {
    "model": ALIAS,
    "max_tokens": 200,
    "messages": [{"role": "user", "content": QUESTION}],
    "extra_body": {"temperature": 0},  # the SDK has no argument for it
}


@pytest.fixture
def client(server: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=server, api_key="none", max_retries=0) as client:
        yield client


def test_a_forced_tool_obeys_its_schema_whole_and_streamed(client: anthropic.Anthropic) -> None:
    tool = {"name": "get_weather", "input_schema": Weather.model_json_schema(), "strict": True}
    fields = {**ASKED, "tools": [tool], "tool_choice": {"type": "any"}}
    whole = client.messages.create(**fields)
    with client.messages.stream(**fields) as stream:
        streamed = stream.get_final_message()
    assert whole.stop_reason == streamed.stop_reason == "tool_use"
    assert [block.input for block in whole.content] == [block.input for block in streamed.content]
    assert Weather.model_validate(whole.content[0].input)


def test_an_answer_comes_parsed(client: anthropic.Anthropic) -> None:
    assert isinstance(client.messages.parse(**ASKED, output_format=Place).parsed_output, Place)


def test_the_tool_runner_ends_in_an_answer_that_parses(client: anthropic.Anthropic) -> None:
    runner = client.beta.messages.tool_runner(
        **ASKED, tools=[anthropic.beta_tool(get_weather)], output_format=Place, max_iterations=4
    )
    last = runner.until_done()
    if last.stop_reason == "end_turn":
        assert isinstance(last.parsed_output, Place)
    else:
        assert [block.name for block in last.content] == ["get_weather"]

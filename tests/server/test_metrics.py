"""What /metrics counts."""

import asyncio

import httpx
import pytest
from prometheus_client import CollectorRegistry

from openk2.generation import ChatAnswer, ChatRequest, ScriptedChat, complete
from openk2.server.metrics import Meter, MeteredChat

REQUEST = ChatRequest([{"role": "user", "content": "hi"}])


def test_outcomes_and_tokens_are_counted():
    answers = [
        ChatAnswer("a", prompt_tokens=5, completion_tokens=2),
        ChatAnswer("b", finish_reason="length", prompt_tokens=7, completion_tokens=3),
        "left",
    ]
    registry = CollectorRegistry()
    chat = MeteredChat(ScriptedChat(answers), Meter(registry))

    async def leave():
        events = chat.stream(REQUEST)
        await anext(events)
        running = registry.get_sample_value("openk2_requests_running")
        await events.aclose()
        return running

    assert asyncio.run(complete(chat, REQUEST)) == answers[0]
    asyncio.run(complete(chat, REQUEST))
    assert asyncio.run(leave()) == 1
    with pytest.raises(RuntimeError):
        asyncio.run(complete(chat, REQUEST))
    for outcome in ("stop", "length", "cancelled", "error"):
        assert registry.get_sample_value("openk2_requests_total", {"outcome": outcome}) == 1
    assert registry.get_sample_value("openk2_prompt_tokens_total") == 12
    assert registry.get_sample_value("openk2_completion_tokens_total") == 5
    assert registry.get_sample_value("openk2_requests_running") == 0
    assert registry.get_sample_value("openk2_request_seconds_count") == 2


CALLS = (
    "«<|tool_calls_section_begin|>»"
    "«<|tool_call_begin|>»functions.f:0«<|tool_call_argument_begin|>»{}«<|tool_call_end|>»"
    "«<|tool_call_begin|>»f_1«<|tool_call_argument_begin|>»{x«<|tool_call_end|>»"
    "«<|tool_call_begin|>»functions.g:2«<|tool_call_argument_begin|>»{}«<|tool_call_end|>»"
    "«<|tool_call_begin|>»functions.f:3«<|tool_call_argument_begin|>»{«<|im_end|>»"
)


@pytest.mark.parametrize("stream", [False, True])
def test_what_became_of_calls_is_counted(serve, scripted, stream):
    url = serve(scripted(CALLS), healthy=lambda: True)
    tools = [{"type": "function", "function": {"name": "f"}}]
    body = {"model": "openk2-test", "messages": [{"role": "user", "content": "x"}]}
    httpx.post(f"{url}/v1/chat/completions", json={**body, "tools": tools, "stream": stream})
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    for counted in (
        'calls_total{outcome="completed"} 2.0',
        'calls_total{outcome="undeclared"} 1.0',
        'calls_total{outcome="truncated"} 1.0',
        "call_invalid_arguments_total 1.0",
        "call_recovered_ids_total 1.0",
    ):
        assert f"openk2_tool_{counted}" in lines


def test_the_engines_numbers_are_read_when_asked_for(serve, scripted):
    url = serve(scripted("«<|im_end|>»"), engine_stats=lambda: {"free_pages": 17})
    answer = httpx.get(f"{url}/metrics", verify=False)
    assert answer.headers["content-type"].startswith("text/plain")
    assert "openk2_engine_free_pages 17.0" in answer.text.splitlines()

"""Any JSON at any place of a Messages request: an answer or a refusal, never a failure."""

import asyncio
import copy
import json
from functools import reduce
from operator import getitem

import httpx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openk2.generation import PromptCoder, RenderedChat
from openk2.server import create_app

MODEL = "openk2-test"
END = "«<|im_end|>»"
WORDS = ["", "x", "\ud800", "\x00", "text", "user", "assistant", "tool_use", "tool_result", "any"]
KEYS = ["type", "name", "role", "content", "text", "id", "input", "is_error", "\ud800", "edits"]
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf")])
    | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=8,
)
CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": [
    {"type": "text", "text": "r", "cache_control": {"type": "ephemeral"}}]}  # fmt: skip
FULL = {
    "model": MODEL,
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s"}],
    "messages": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "t"}, CALL]},
        {"role": "user", "content": [RESULT, {"type": "text", "text": "so"}]},
    ],
    "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "auto", "name": None, "disable_parallel_tool_use": False},
    "temperature": 0.5,
    "top_p": 0.9,
    "top_k": 3,
    "stop_sequences": ["x"],
    "stream": False,
    "metadata": {"user_id": "u"},
    "thinking": {"type": "disabled"},
    "output_config": {"effort": "low", "format": None},
    "context_management": {"edits": [{"type": "clear_thinking_20251015"}]},
    "thread": None,
    "container": None,
    "mcp_servers": [],
}


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The path of everything inside a JSON value."""
    inside = value.items() if isinstance(value, dict) else ()
    inside = enumerate(value) if isinstance(value, list) else inside
    return [p for key, inner in inside for p in [(*path, key), *places(inner, (*path, key))]]


@settings(max_examples=100, deadline=None, suppress_health_check=[*HealthCheck])
@given(st.sampled_from(places(FULL)), JSON, st.sampled_from(["", "/count_tokens"]))
def test_no_json_at_any_place_of_a_request_is_a_500(tokenizer, scripted, path, value, route):
    tokens = scripted(f"ok{END}")
    chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids)
    body = copy.deepcopy(FULL)
    *parents, key = path
    reduce(getitem, parents, body)[key] = value
    coder = PromptCoder(tokenizer, tokens.context_length)
    transport = httpx.ASGITransport(create_app(chat, model=MODEL, coder=coder))

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            headers = {"Content-Type": "application/json"}
            content = json.dumps(body).encode()
            return await client.post(f"/v1/messages{route}", content=content, headers=headers)

    answer = asyncio.run(send())
    assert answer.status_code in (200, 400, 404)
    if answer.status_code != 200:
        assert set(answer.json()["error"]) - {"details"} == {"type", "message"}
        assert "\n" not in answer.json()["error"]["message"]

"""What chat completions refuse, and how; and that nothing sent to them is a 500."""

import asyncio
import copy
import json
from functools import reduce
from operator import getitem

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import BadRequestError, NotFoundError

from openk2.generation import RenderedChat
from openk2.protocol import EngineBusyError
from openk2.server import create_app
from openk2.server.refusals import CHAT_NEUTRAL

MODEL = "openk2-test"
MESSAGES = [{"role": "user", "content": "hi"}]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "get-time")
]
END = "«<|im_end|>»"


def post(url: str, body: object) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    return httpx.post(f"{url}/v1/chat/completions", content=content, headers=headers, verify=False)


def request(**fields) -> dict:
    return {"model": MODEL, "messages": MESSAGES, **fields}


NEUTRAL_FIELDS = {
    "n": 1,
    "stop": None,
    "logprobs": False,
    "top_logprobs": None,
    "logit_bias": {},
    "presence_penalty": 0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
    "min_p": 0,
    "top_k": -1,
    "response_format": {"type": "text"},
    "parallel_tool_calls": True,
    "tools": [],
    "tool_choice": "auto",
    "stream": None,
    "stream_options": None,
    "service_tier": "auto",
    "store": True,
    "reasoning_effort": "high",
    "verbosity": "low",
    "thinking": {"type": "enabled"},
    "chat_template_kwargs": {"thinking": False, "enable_thinking": True},
    "thinking_token_budget": 64,
    "include_reasoning": True,
    "separate_reasoning": True,
    "reasoning": {},
    "stop_regex": [],
    "top_p": 0,
    "user": "u-1",
    "metadata": {"a": "b"},
    "a_field_of_some_client": [1],
}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 128, "top_logprobs": 20, "max_tokens": 4_000}, "top_logprobs"),
        ({"n": 128, "top_logprobs": 20, "max_completion_tokens": 4_000}, "top_logprobs"),
        ({"n": 128, "top_logprobs": 20}, None),  # as long as they become, not as the context
        ({"n": 128, "top_logprobs": 20, "max_tokens": 1_000}, None),
        ({"n": 128, "top_logprobs": 20, "max_tokens": 4_000, "stream": True}, None),
        ({"n": 128, "top_logprobs": 5, "max_tokens": 4_000}, None),
        ({"top_logprobs": 20}, None),
    ],
)
def test_scores_that_would_be_kept_for_many_long_answers_are_refused(
    serve, scripted, fields, param
):
    answer = post(serve(scripted(END)), request(logprobs=True, **fields))
    assert answer.status_code == (200 if param is None else 400)
    assert param is None or answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"n": 2}, 200), ({"n": 4}, 400), ({"n": 4, "stream": True}, 200), ({}, 200)],
)
def test_scores_of_answers_without_a_limit_are_counted_as_they_come(
    serve, scripted, monkeypatch, fields, status
):
    monkeypatch.setattr("openk2.server.openai.answer_size.MAX_SCORES", 200)
    text = "ab" * (25 if fields else 250)
    answer = post(serve(scripted([text, END])), request(logprobs=True, top_logprobs=1, **fields))
    assert answer.status_code == status
    assert status == 200 or answer.json()["error"]["param"] == "top_logprobs"


def test_required_without_tools_says_what_is_missing(refusing_url):
    answer = post(refusing_url, request(tool_choice="required"))
    assert answer.status_code == 400
    assert "no tools" in answer.json()["error"]["message"]


def test_neutral_values_and_unknown_fields_are_tolerated(serve, scripted):
    answer = post(serve(scripted(END)), request(**NEUTRAL_FIELDS))
    assert answer.status_code == 200, answer.text


SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}}
STRICT_TOOL = {"type": "function", "function": {"name": "f", "strict": True}}
TWO_OF_A_NAME = [TOOLS[0], TOOLS[0]]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"stop": ""}, "stop[0]"),
        ({"stop": ["x", ""]}, "stop[1]"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": 5}, "stop"),
        ({"logprobs": 3}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "top_logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": False, "top_logprobs": 2}, "top_logprobs"),
        ({"logit_bias": {"5": 100.5}}, "logit_bias.5"),
        ({"logit_bias": {"5": -101}}, "logit_bias.5"),
        ({"logit_bias": {"5": float("nan")}}, "logit_bias.5"),
        ({"logit_bias": {"x": 1}}, "logit_bias.x"),
        ({"logit_bias": {"-1": 1}}, "logit_bias.-1"),
        ({"logit_bias": {"512": 1}}, "logit_bias"),
        ({"logit_bias": [5]}, "logit_bias"),
        ({"presence_penalty": 2.1}, "presence_penalty"),
        ({"frequency_penalty": -2.1}, "frequency_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"repetition_penalty": 2.1}, "repetition_penalty"),
        ({"min_p": 1.1}, "min_p"),
        ({"min_p": -0.1}, "min_p"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": SCHEMA}, "response_format"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "required", "tools": TOOLS}, "tool_choice"),
        (
            {
                "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
                "tools": TOOLS,
            },
            "tool_choice",
        ),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": 3}, "tool_choice"),
        ({"parallel_tool_calls": False, "tools": TOOLS}, "parallel_tool_calls"),
        ({"tools": [STRICT_TOOL]}, "tools[0].function.strict"),
        ({"tools": TWO_OF_A_NAME}, "tools[1].function.name"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"type": "function", "function": {"name": "a b"}}]}, "tools[0].function.name"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]},
            "tools[0].function.parameters",
        ),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": "warm"}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"top_k": -2}, "top_k"),
        ({"seed": 2**70}, "seed"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [3]}, "messages[0]"),
        ({"messages": [{"role": "owl", "content": "x"}]}, "messages[0].role"),
        ({"messages": [*MESSAGES, {"role": "user", "content": 5}]}, "messages[1].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "messages[0].content[0]",
        ),
        ({"model": None}, "model"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"temperature": "0.5"}, "temperature"),
        ({"seed": 1.0}, "seed"),
        ({"chat_template_kwargs": {"tools_in_user": True}}, "chat_template_kwargs.tools_in_user"),
        ({"chat_template_kwargs": 1}, "chat_template_kwargs"),
        ({"stream_options": {"continuous_usage_stats": True}}, "continuous_usage_stats"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}}, "name"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": {}, "strict": "yes"},
                }
            },
            "strict",
        ),
        ({"response_format": {"type": "json_object", "shema": {}}}, "shema"),
        ({"response_format": {"type": "text", "schema": {}}}, "response_format.schema"),
        ({"allowed_token_ids": [5]}, "allowed_token_ids"),
        ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens"),
        ({"regex": "a+"}, "regex"),
        ({"ebnf": 'root ::= "a"'}, "ebnf"),
        ({"stop_regex": ["a+"]}, "stop_regex"),
        ({"input_ids": [1, 2]}, "input_ids"),
        ({"separate_reasoning": False}, "separate_reasoning"),
        ({"include_reasoning": False}, "include_reasoning"),
        ({"moderation": {"model": "m"}}, "moderation"),
        ({"reasoning": {"effort": "high"}}, "reasoning"),
        ({"thinking_token_budget": 0}, "thinking_token_budget"),
        ({"thinking_token_budget": "9"}, "thinking_token_budget"),
        (
            {"thinking_token_budget": 9, "thinking": {"type": "enabled", "budget_tokens": 8}},
            "thinking_token_budget",
        ),
        ({"skip_special_tokens": False}, "skip_special_tokens"),
        ({"messages": [*MESSAGES, {"role": "assistant", "partial": True}]}, "messages[1].content"),
        ({"messages": [{**MESSAGES[0], "partial": True}]}, "messages[0].partial"),
        (
            {"messages": [{"role": "assistant", "content": "a", "prefix": True}, *MESSAGES]},
            "messages[0].prefix",
        ),
        (
            {"messages": [*MESSAGES, {"role": "assistant", "content": "a", "prefix": 1}]},
            "messages[1].prefix",
        ),
        (
            {
                "messages": [*MESSAGES, {"role": "assistant", "content": "a", "partial": True}],
                "response_format": {"type": "json_object"},
            },
            "response_format",
        ),
        (
            {"messages": [{"role": "assistant", "function_call": {"name": "f"}}]},
            "messages[0].function_call",
        ),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_obeyed_is_refused_by_name(refusing_url, fields, param, stream):
    answer = post(refusing_url, request(**fields, stream=stream))
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert error["param"].endswith(param), error
    assert error["type"] == "invalid_request_error"
    assert param in error["message"]


@pytest.fixture(scope="module")
def refusing_url(tokenizer, run_server):
    """One server for all refusals; its model is never reached."""

    class Unreachable:
        context_length = 4096

        def generate(self, prompt, params, mask=None):
            raise AssertionError(f"the request was not refused: {params}")

    with run_server(RenderedChat(tokenizer, Unreachable(), tokenizer.stop_ids)) as url:
        yield url


@pytest.mark.parametrize("stream", ["false", 0, "no"])
def test_only_true_and_false_say_whether_to_stream(refusing_url, stream):
    answer = post(refusing_url, request(stream=stream))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "stream")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 2**63, 10**400, 0.5, 1e-50, 1e308, float("nan"), float("inf")])
    | st.sampled_from(
        ["", "x", "\ud800", "\x00", "<|im_end|>", "text", "user", "function", "none"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "function", "name", "role", "content", "text", "tool_calls", "\ud800"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)
FULL = {
    "model": MODEL,
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ]},
        {"role": "tool", "tool_call_id": "a", "name": "f", "content": "r"},
    ],
    "tools": TOOLS, "tool_choice": "auto", "temperature": 0.5, "top_p": 0.9, "top_k": 3,
    "seed": 1, "max_tokens": 5, "stream": False, "stream_options": {"include_usage": True},
    "min_p": 0.1, "presence_penalty": 0.1, "frequency_penalty": 0.1, "repetition_penalty": 1.1,
    "logit_bias": {"5": 1}, "logprobs": True, "top_logprobs": 2, "n": 2, "stop": ["x"],
}  # fmt: skip


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The path of everything inside a JSON value."""
    children = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list) else ()
    )  # fmt: skip
    return [p for key, inner in children for p in [(*path, key), *places(inner, (*path, key))]]


@settings(max_examples=150, deadline=None, suppress_health_check=[*HealthCheck])
@given(data=st.data())
def test_no_json_at_any_place_of_a_request_is_a_500(data, tokenizer, scripted):
    chat = RenderedChat(tokenizer, scripted(END), tokenizer.stop_ids)
    body = copy.deepcopy(FULL)
    *parents, key = data.draw(st.sampled_from([*places(FULL), *((name,) for name in CHAT_NEUTRAL)]))
    place = reduce(getitem, parents, body)
    place[key] = data.draw(JSON)
    transport = httpx.ASGITransport(create_app(chat, model=MODEL))

    async def send() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://local") as client:
            headers = {"Content-Type": "application/json"}
            content = json.dumps(body).encode()
            return await client.post("/v1/chat/completions", content=content, headers=headers)

    answer = asyncio.run(send())
    assert answer.status_code in (200, 400, 404)
    if answer.status_code != 200:
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_the_client_sees_the_refused_field(client, scripted):
    with pytest.raises(BadRequestError) as caught:
        client(scripted(END)).chat.completions.create(model=MODEL, messages=MESSAGES, n=200)
    assert caught.value.param == "n"


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_token_generator_refuses_is_400(serve, scripted, stream):
    answer = post(serve(scripted([ValueError("the prompt is odd")])), request(stream=stream))
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (400, "invalid_request_error")
    assert error["message"] == "the prompt is odd"


def test_too_long_a_conversation_is_openais_context_length_error(client, scripted):
    tokens = scripted(END)
    with pytest.raises(BadRequestError) as caught:
        client(tokens).chat.completions.create(
            model=MODEL, messages=[{"role": "user", "content": "x" * 5000}], stream=True
        )
    assert caught.value.code == "context_length_exceeded"
    assert "4096" in caught.value.message
    assert tokens.prompts == []


def test_models_are_listed_and_other_names_are_not_found(client, scripted):
    openai = client(scripted(END))
    assert [model.id for model in openai.models.list()] == [MODEL]
    assert openai.models.retrieve(MODEL).id == MODEL
    for ask in (
        lambda: openai.models.retrieve("org/other"),
        lambda: openai.chat.completions.create(model="other", messages=MESSAGES),
    ):
        with pytest.raises(NotFoundError) as caught:
            ask()
        assert caught.value.code == "model_not_found"
        assert MODEL in caught.value.message


def test_a_busy_engine_is_503_with_retry_after(serve, scripted):
    url = serve(scripted([EngineBusyError("64 requests are waiting")]))
    for stream in (False, True):
        answer = post(url, request(stream=stream))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.json()["error"]["code"] == "engine_busy"

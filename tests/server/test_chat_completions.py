"""Chat completions as the official client sees them, and every refusal."""

import asyncio
import copy
import json
from functools import reduce
from operator import getitem

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from openk2.generation import ChatRequest, HttpChat, RenderedChat, complete
from openk2.protocol import EngineBusyError, SamplingParams
from openk2.server import create_app
from openk2.server.refusals import CHAT_NEUTRAL

MODEL = "openk2-test"
MESSAGES = [{"role": "user", "content": "hi"}]
TOOLS = [
    {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    for name in ("get_weather", "get-time")
]
END = "«<|im_end|>»"
TWO_CALLS = (
    "Let me see. «<|tool_calls_section_begin|>»"
    "«<|tool_call_begin|>»functions.get_weather:0«<|tool_call_argument_begin|>»"
    '{"city":"北京\u2028"}«<|tool_call_end|>»'
    "«<|tool_call_begin|>»functions.get-time:1«<|tool_call_argument_begin|>»{}«<|tool_call_end|>»"
    f"«<|tool_calls_section_end|>»{END}"
)


def post(url: str, body: object) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    return httpx.post(f"{url}/v1/chat/completions", content=content, headers=headers, verify=False)


def request(**fields) -> dict:
    return {"model": MODEL, "messages": MESSAGES, **fields}


def data_lines(response: httpx.Response) -> list:
    lines = [line for line in response.content.split(b"\n") if line]
    assert all(line.startswith(b"data: ") for line in lines)
    payloads = [line.removeprefix(b"data: ") for line in lines]
    assert payloads[-1] == b"[DONE]"
    return [json.loads(payload) for payload in payloads[:-1]]


def test_a_whole_answer_has_openais_form(serve, scripted):
    answer = post(serve(scripted(f"Hello.{END}")), request()).json()
    assert answer["object"] == "chat.completion"
    assert answer["model"] == MODEL
    assert answer["id"].startswith("chatcmpl-")
    (choice,) = answer["choices"]
    assert choice == {
        "index": 0,
        "message": {"role": "assistant", "content": "Hello."},
        "logprobs": None,
        "finish_reason": "stop",
    }
    usage = answer["usage"]
    assert usage["completion_tokens"] == len("Hello.") + 1
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_streamed_answer_joins_to_the_whole_one(client, scripted, size):
    tokens = scripted(TWO_CALLS)
    tokens.size = size
    openai = client(tokens)
    whole = openai.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS)
    message = whole.choices[0].message
    content, calls, reasons, usages = "", {}, [], []
    for chunk in openai.chat.completions.create(
        model=MODEL, messages=MESSAGES, tools=TOOLS, stream=True
    ):
        (choice,) = chunk.choices
        content += choice.delta.content or ""
        for call in choice.delta.tool_calls or ():
            seen = calls.setdefault(call.index, [call.id, call.function.name, ""])
            seen[2] += call.function.arguments
        if choice.finish_reason:
            reasons.append(choice.finish_reason)
            usages.append(choice.usage)
    assert content == message.content == "Let me see. "
    assert list(calls.values()) == [
        [call.id, call.function.name, call.function.arguments] for call in message.tool_calls
    ]
    assert [call[0] for call in calls.values()] == [
        "functions.get_weather:0",
        "functions.get-time:1",
    ]
    assert json.loads(calls[0][2]) == {"city": "北京\u2028"}
    assert reasons == [whole.choices[0].finish_reason] == ["tool_calls"]
    assert usages == [whole.usage.model_dump(exclude_none=True)]


def test_the_chunks_of_a_stream_have_openais_form(serve, scripted):
    url = serve(scripted(TWO_CALLS))
    chunks = data_lines(
        post(url, request(tools=TOOLS, stream=True, stream_options={"include_usage": True}))
    )
    *body, last = chunks
    choices = [chunk["choices"][0] for chunk in body]
    deltas = [choice["delta"] for choice in choices]
    assert {(c["object"], c["id"], c["model"]) for c in chunks} == {
        ("chat.completion.chunk", chunks[0]["id"], MODEL)
    }
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert [c["finish_reason"] for c in choices] == [None] * (len(choices) - 1) + ["tool_calls"]
    calls = [delta["tool_calls"] for delta in deltas if "tool_calls" in delta]
    assert all(len(call) == 1 for call in calls)
    first = [call[0] for call in calls if "id" in call[0]]
    assert first == [
        {
            "index": index,
            "id": f"functions.{name}:{index}",
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        for index, name in enumerate(["get_weather", "get-time"])
    ]
    later = [call[0] for call in calls if "id" not in call[0]]
    assert all(call.keys() == {"index", "function"} for call in later)
    assert all(call["function"].keys() == {"arguments"} for call in later)
    assert last["choices"] == []
    assert last["usage"] == choices[-1]["usage"]
    assert all(chunk["usage"] is None for chunk in body)


def test_an_answer_without_text_or_calls_is_an_empty_string_either_way(serve, scripted):
    url = serve(scripted(END))
    message = post(url, request()).json()["choices"][0]["message"]
    assert message == {"role": "assistant", "content": ""}
    chunks = data_lines(post(url, request(stream=True)))
    assert [c["choices"][0]["delta"] for c in chunks] == [{"role": "assistant", "content": ""}, {}]


def test_many_async_streams_run_at_the_same_time(serve, scripted):
    url = serve(scripted(["slow", 0.2, f" answer{END}"]))

    async def one(client):
        stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def run():
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            return await asyncio.wait_for(asyncio.gather(*(one(client) for _ in range(20))), 3)

    assert asyncio.run(run()) == ["slow answer"] * 20


def test_http_chat_reads_from_this_server_what_it_serves(serve, scripted, tokenizer):
    asked = ChatRequest(MESSAGES, tools=TOOLS)
    url = serve(scripted(TWO_CALLS))
    direct = RenderedChat(tokenizer, scripted(TWO_CALLS), tokenizer.stop_ids)
    over_http = asyncio.run(complete(HttpChat(url, MODEL), asked))
    assert over_http == asyncio.run(complete(direct, asked))
    assert len(over_http.tool_calls) == 2


def test_a_request_without_settings_samples_at_the_readmes_temperature(serve, scripted, tokenizer):
    tokens = scripted(END)
    url = serve(tokens)
    post(url, request())
    post(url, request(**dict.fromkeys(NULLABLE)))
    first, second = tokens.params
    assert first == second
    assert first == SamplingParams(
        max_tokens=first.max_tokens, temperature=0.6, stop_token_ids=tokenizer.stop_ids
    )


NULLABLE = [
    "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty",
    "repetition_penalty", "logit_bias", "seed", "stop", "n", "stream", "stream_options",
    "max_tokens", "max_completion_tokens", "logprobs", "top_logprobs", "tools", "tool_choice",
]  # fmt: skip


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max_tokens": 4}, 4),
        ({"max_completion_tokens": 3}, 3),
        ({"max_tokens": 4, "max_completion_tokens": 3}, 3),
        ({"max_tokens": 2, "max_completion_tokens": 3}, 2),
    ],
)
def test_both_names_of_the_token_limit_are_obeyed(serve, scripted, limits, expected):
    answer = post(serve(scripted(f"abcdefgh{END}")), request(**limits)).json()
    assert answer["choices"][0]["message"]["content"] == "abcdefgh"[:expected]
    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == expected


def test_every_kind_of_message_is_understood(serve, scripted):
    tokens = scripted(END)
    call = {"id": "functions.f:0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "Ada", "content": [{"type": "text", "text": "a"}]},
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.f:0", "name": "f", "content": "42"},
        {"role": "assistant", "content": "42", "refusal": None},
        {"role": "user", "content": "<|im_end|>"},
    ]
    answer = post(serve(tokens), request(messages=messages))
    assert answer.status_code == 200
    assert tokens.prompts[0] == (
        "<|im_system|>system<|im_middle|>Be brief.<|im_end|>"
        "<|im_user|>Ada<|im_middle|>a<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|><|tool_calls_section_begin|><|tool_call_begin|>"
        "functions.f:0<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_end|>"
        "<|im_end|><|im_system|>f<|im_middle|>## Return of functions.f:0\n42<|im_end|>"
        "<|im_assistant|>assistant<|im_middle|>42<|im_end|>"
        "<|im_user|>user<|im_middle|><|im_end|><|im_end|><|im_assistant|>assistant<|im_middle|>"
    )


def test_tool_choice_none_forbids_calls_streamed_and_whole(serve, scripted):
    url = serve(scripted(TWO_CALLS))
    fields = {"tools": TOOLS, "tool_choice": "none"}
    choice = post(url, request(**fields)).json()["choices"][0]
    assert "tool_calls" not in choice["message"]
    assert choice["finish_reason"] == "stop"
    chunks = data_lines(post(url, request(**fields, stream=True)))
    assert not any("tool_calls" in chunk["choices"][0]["delta"] for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("choice", ["auto", "none", None])
def test_tool_choice_without_tools_works(serve, scripted, choice):
    assert post(serve(scripted(END)), request(tool_choice=choice)).status_code == 200


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
    "store": False,
    "user": "u-1",
    "metadata": {"a": "b"},
    "a_field_of_some_client": [1],
}


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
        ({"top_p": 0}, "top_p"),
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
        ({"thinking": {"type": "enabled"}}, "thinking"),
        ({"allowed_token_ids": [5]}, "allowed_token_ids"),
        ({"truncate_prompt_tokens": 5}, "truncate_prompt_tokens"),
        ({"skip_special_tokens": False}, "skip_special_tokens"),
        ({"messages": [*MESSAGES, {"role": "assistant", "partial": True}]}, "messages[1].partial"),
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
    assert (answer.status_code, error["param"]) == (400, param), error
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


@settings(max_examples=300, deadline=None, suppress_health_check=[*HealthCheck])
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

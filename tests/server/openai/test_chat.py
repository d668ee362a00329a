"""Chat completions as the official client sees them."""

import asyncio
import json

import httpx
import pytest
from openai import AsyncOpenAI

from openk2.generation import ChatRequest, HttpChat, RenderedChat, ScriptedChat, complete
from openk2.protocol import SamplingParams
from openk2.server.openai.chat import ChatCompletionBody

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


@pytest.mark.parametrize("stream", [False, True])
def test_half_a_character_in_an_answer_is_sent_as_it_is(run_server, stream):
    with run_server(ScriptedChat(["a\ud83d"])) as url:
        answer = post(url, request(stream=stream))
    assert answer.status_code == 200
    assert '"a\\ud83d"' in answer.text


@pytest.mark.parametrize("flag", ["partial", "prefix"])
def test_the_flag_of_a_begun_answer_is_the_requests_and_not_passed_on(flag: str) -> None:
    begun = {"role": "assistant", "content": "a"}
    body = ChatCompletionBody.model_validate(request(messages=[*MESSAGES, {**begun, flag: True}]))
    [asked] = body.requests()
    assert asked.is_continued
    assert asked.messages == [*MESSAGES, begun]

"""Every field of both routes through the official client, sync and async, whole and streamed."""

import asyncio

import pytest
from openai import AsyncOpenAI

MODEL = "openk2-test"
END = "«<|im_end|>»"
CHAT = {"messages": [{"role": "user", "content": "hi"}]}
RAW = {"prompt": "hi"}
# (the client's arguments, what the token generator must be asked for)
SETTINGS = [
    ({"temperature": 0.25}, {"temperature": 0.25}),
    ({"temperature": 0}, {"temperature": 0}),
    ({"top_p": 0.5}, {"top_p": 0.5}),
    ({"extra_body": {"top_k": 7}}, {"top_k": 7}),
    ({"extra_body": {"top_k": -1}}, {"top_k": 0}),
    ({"extra_body": {"min_p": 0.25}}, {"min_p": 0.25}),
    ({"presence_penalty": 1.5}, {"presence_penalty": 1.5}),
    ({"frequency_penalty": -1.5}, {"frequency_penalty": -1.5}),
    ({"extra_body": {"repetition_penalty": 1.25}}, {"repetition_penalty": 1.25}),
    ({"logit_bias": {"5": -100, "511": 2.5}}, {"logit_bias": {5: -100, 511: 2.5}}),
    ({"seed": 0}, {"seed": 0}),
    ({"seed": -7}, {"seed": -7}),
    ({"max_tokens": 3}, {"max_tokens": 3}),
    ({"user": "someone"}, {}),
]
CHAT_SETTINGS = [
    ({"max_completion_tokens": 3}, {"max_tokens": 3}),
    ({"logprobs": True}, {"logprobs": 0}),
    ({"logprobs": True, "top_logprobs": 20}, {"logprobs": 20}),
    ({"logprobs": False}, {"logprobs": None}),
]
RAW_SETTINGS = [
    ({"logprobs": 5}, {"logprobs": 5, "prompt_logprobs": None}),
    ({"logprobs": 5, "echo": True}, {"logprobs": 5, "prompt_logprobs": 5}),
    ({"echo": True, "max_tokens": 0}, {"max_tokens": 0, "prompt_logprobs": 0}),
    ({"best_of": 1}, {}),
]
CASES = [("chat", *case) for case in SETTINGS + CHAT_SETTINGS]
CASES += [("raw", *case) for case in SETTINGS + RAW_SETTINGS]


@pytest.mark.parametrize(("kind", "fields", "expected"), CASES)
@pytest.mark.parametrize("stream", [False, True])
def test_every_setting_reaches_the_token_generator(
    client, scripted, kind, fields, expected, stream
):
    tokens = scripted(f"ok{END}")
    openai = client(tokens)
    create = openai.chat.completions.create if kind == "chat" else openai.completions.create
    prompt = CHAT if kind == "chat" else RAW
    answer = create(model=MODEL, stream=stream, **prompt, **fields)
    if stream:
        list(answer)
    (params,) = tokens.params
    assert {name: getattr(params, name) for name in expected} == expected


STOPS = ["two", ["two"], ["never", "two", "o t"]]


@pytest.mark.parametrize("kind", ["chat", "raw"])
@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize("n", [1, 2])
def test_the_async_client_sees_the_same(serve, scripted, kind, stop, n):
    tokens = scripted(f"one two three{END}")
    url = serve(tokens)
    fields = {"stop": stop, "n": n, "max_tokens": 50, "seed": 1}

    async def run():
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as openai:
            if kind == "chat":
                create, prompt = openai.chat.completions.create, CHAT
            else:
                create, prompt = openai.completions.create, RAW
            whole = await create(model=MODEL, **prompt, **fields)
            stream = await create(model=MODEL, stream=True, **prompt, **fields)
            return whole, [chunk async for chunk in stream]

    def text(choice):
        return choice.message.content if kind == "chat" else choice.text

    def delta(choice):
        return (choice.delta.content or "") if kind == "chat" else choice.text

    whole, chunks = asyncio.run(run())
    streamed = [""] * n
    for chunk in chunks:
        (choice,) = chunk.choices
        streamed[choice.index] += delta(choice)
    assert [text(choice) for choice in whole.choices] == streamed == [whole_text(stop)] * n
    assert {choice.finish_reason for choice in whole.choices} == {"stop"}


def whole_text(stop):
    """The text before the stop string that is complete first."""
    text = "one two three"
    stops = [stop] if isinstance(stop, str) else stop
    for end in range(len(text)):
        for one in stops:
            if text[:end].endswith(one):
                return text[: end - len(one)]
    raise AssertionError


def test_usage_of_a_stream_comes_last_if_asked_for(client, scripted):
    tokens = scripted(f"ok{END}")
    tokens.cached_tokens = 9
    openai = client(tokens)
    for create, prompt in (
        (openai.chat.completions.create, CHAT),
        (openai.completions.create, RAW),
    ):
        whole = create(model=MODEL, **prompt)
        options = {"include_usage": True}
        *chunks, last = create(model=MODEL, stream=True, stream_options=options, **prompt)
        assert last.choices == []
        assert last.usage == whole.usage
        assert last.usage.prompt_tokens_details.cached_tokens == 9
        assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in chunks)
        assert all(len(chunk.choices) == 1 for chunk in create(model=MODEL, stream=True, **prompt))

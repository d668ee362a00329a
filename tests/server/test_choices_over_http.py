"""n > 1: as many answers of one request, whole and streamed, and none is left behind."""

import http.client
import json
import time

import httpx
import pytest

MODEL = "openk2-test"
MESSAGES = [{"role": "user", "content": "hi"}]
END = "«<|im_end|>»"
URLS = {"chat": "/v1/chat/completions", "raw": "/v1/completions"}


def body(kind, **fields):
    prompt = {"messages": MESSAGES} if kind == "chat" else {"prompt": "hi", "max_tokens": 99}
    return {"model": MODEL, **prompt, **fields}


def test_each_choice_is_an_answer_of_its_own_and_the_prompt_counts_once(client, scripted):
    tokens = scripted(f"one{END}", f"three{END}", f"seven{END}")
    tokens.cached_tokens = 4
    answer = client(tokens).chat.completions.create(model=MODEL, messages=MESSAGES, n=3)
    assert sorted(choice.message.content for choice in answer.choices) == ["one", "seven", "three"]
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    usage = answer.usage
    assert usage.prompt_tokens == len(tokens.ids[0])
    assert usage.completion_tokens == len("onethreeseven") + 3
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    assert usage.prompt_tokens_details.cached_tokens == 4


@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize(("seed", "seeds"), [(5, [5, 6, 7]), (None, [None] * 3)])
def test_the_choices_have_seeds_that_follow_each_other(serve, scripted, kind, seed, seeds):
    tokens = scripted(END)
    httpx.post(serve(tokens) + URLS[kind], json=body(kind, n=3, seed=seed), verify=False)
    assert sorted(params.seed or 0 for params in tokens.params) == [seed or 0 for seed in seeds]


def test_a_stream_carries_all_choices_and_each_joins_to_an_answer(client, scripted):
    outputs = ["a" * 9, "b" * 9]
    tokens = scripted(*(text + END for text in outputs))
    texts, reasons = ["", ""], [None, None]
    chunks = client(tokens).chat.completions.create(
        model=MODEL, messages=MESSAGES, n=2, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = chunks
    for chunk in chunks:
        (choice,) = chunk.choices
        texts[choice.index] += choice.delta.content or ""
        assert reasons[choice.index] is None
        reasons[choice.index] = choice.finish_reason
    assert sorted(texts) == outputs
    assert reasons == ["stop", "stop"]
    assert last.usage.completion_tokens == 20
    assert last.usage.prompt_tokens == len(tokens.ids[0])


def all_began(tokens):
    return len(tokens.params) == 3


@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_failing_choice_cancels_the_others(serve, scripted, kind, stream):
    long, failing = ["begin", 600.0], ["begin", all_began, ZeroDivisionError()]
    tokens = scripted(long, failing, long)
    url = serve(tokens) + URLS[kind]
    answer = httpx.post(url, json=body(kind, n=3, stream=stream), timeout=60, verify=False)
    assert answer.status_code == (200 if stream else 500)
    assert "internal_error" in answer.text
    assert tokens.closed == 3


@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels_all_choices(serve, scripted, kind, stream):
    tokens = scripted(["begin", 600.0])
    host, port = serve(tokens).removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port))
    content = json.dumps(body(kind, n=3, stream=stream))
    connection.request("POST", URLS[kind], content, {"Content-Type": "application/json"})
    wait_until(lambda: all_began(tokens))
    assert tokens.closed == 0
    connection.close()
    wait_until(lambda: tokens.closed == 3)


def wait_until(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("kind", URLS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_that_is_refused_is_refused_once_however_many_choices(
    serve, scripted, kind, stream
):
    url = serve(scripted(END)) + URLS[kind]
    long = {"messages": [{"role": "user", "content": "x" * 5000}], "prompt": "x" * 5000}
    answer = httpx.post(url, json={**body(kind, n=3, stream=stream), **long}, verify=False)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "context_length_exceeded")

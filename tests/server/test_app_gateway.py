"""Our server in front of our server: the one behind it answers, and nothing changes."""

import threading
import time

import httpx
import pytest

from openk2.gateway import GuidedMasks, Upstream, UpstreamPool, UpstreamTokens
from openk2.generation import PromptCoder, RawCompletion, RenderedChat
from openk2.grammar import ChatMasks
from openk2.protocol import EngineBusyError

MESSAGES = [{"role": "user", "content": "hi"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "f",
            "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
        },
    }
]
SECTION = (
    "«<|tool_calls_section_begin|>»"
    "«<|tool_call_begin|>»functions.f:0«<|tool_call_argument_begin|>»"
    '{"a":"雪 <|im_end|>"}«<|tool_call_end|>»'
    "«<|tool_call_begin|>»functions.f:1«<|tool_call_argument_begin|>»{}«<|tool_call_end|>»"
    "«<|tool_calls_section_end|>»«<|im_end|>»"
)
BODIES = {
    "text": {"messages": MESSAGES},
    "short": {"messages": MESSAGES, "max_tokens": 5},
    "stop": {"messages": MESSAGES, "stop": ["there"]},
    "scores": {"messages": MESSAGES, "logprobs": True, "top_logprobs": 1},
    "tools": {"messages": MESSAGES, "tools": TOOLS},
    "none": {"messages": MESSAGES, "tools": TOOLS, "tool_choice": "none"},
    "choices": {"messages": MESSAGES, "n": 3},
}


@pytest.fixture
def gateway(tokenizer, run_server):
    """The gateway's server in front of the servers at these URLs."""
    stack = []

    def start(*urls: str, key: str | None = None) -> str:
        pool = UpstreamPool([Upstream(url, "openk2-test", api_key=key) for url in urls])
        pool.probe()
        tokens = UpstreamTokens(pool, tokenizer, 4096)
        masks = GuidedMasks(ChatMasks(tokenizer), tokenizer)
        running = run_server(
            RenderedChat(tokenizer, tokens, tokenizer.stop_ids, masks),
            completion=RawCompletion(tokenizer, tokens, tokenizer.stop_ids),
            coder=PromptCoder(tokenizer, 4096),
            engine_stats=pool.stats,
        )
        stack.append(running)
        return running.__enter__()

    yield start
    for running in reversed(stack):
        running.__exit__(None, None, None)


def plain(answer: httpx.Response) -> object:
    """What is not made up anew for each answer."""
    assert answer.status_code == 200, answer.text
    made_up = ("id", "created")
    if answer.headers["content-type"].startswith("text/event-stream"):
        return [line for line in answer.text.split("\n") if line.startswith("data:")]
    return {name: value for name, value in answer.json().items() if name not in made_up}


def streamed(url: str, body: dict) -> dict[int, tuple[str, str, list]]:
    """By choice: content, finish reason, and calls as [name, id, arguments]."""
    from openai import OpenAI

    choices: dict[int, tuple[str, str, list]] = {}
    with OpenAI(base_url=url + "/v1", api_key="none", max_retries=0) as client:
        for chunk in client.chat.completions.create(**body, stream=True):
            for choice in chunk.choices:
                text, reason, calls = choices.get(choice.index, ("", "", []))
                for call in choice.delta.tool_calls or ():
                    if call.id:
                        calls.append([call.function.name, call.id, ""])
                    calls[call.index][2] += call.function.arguments or ""
                text += choice.delta.content or ""
                choices[choice.index] = (text, choice.finish_reason or reason, calls)
    return choices


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("text", ["Hello 雪 and there«<|im_end|>»", "Well [x] " + SECTION])
def test_the_gateway_answers_as_the_server_behind_it(scripted, serve, gateway, name, text):
    behind = serve(scripted(text))
    front = gateway(behind)
    body = {"model": "openk2-test", **BODIES[name]}
    whole = [
        httpx.post(f"{url}/v1/chat/completions", json=body, timeout=20) for url in (behind, front)
    ]
    assert plain(whole[1]) == plain(whole[0])
    streams = [streamed(url, body) for url in (behind, front)]
    assert streams[1] == streams[0]
    for choice in whole[1].json()["choices"]:
        content, reason, calls = streams[1][choice["index"]]
        assert (choice["message"]["content"] or "") == content
        assert choice["finish_reason"] == reason
        assert [
            [call["function"]["name"], call["id"], call["function"]["arguments"]]
            for call in choice["message"].get("tool_calls") or ()
        ] == calls


@pytest.mark.parametrize("extra", [{}, {"logprobs": 1}, {"stop": ["there"]}, {"echo": True}])
def test_raw_completions_too(scripted, serve, gateway, extra):
    behind = serve(scripted("Hello 雪 and there«<|im_end|>»"))
    front = gateway(behind)
    body = {"model": "openk2-test", "prompt": "x<|im_end|>", "max_tokens": 60, **extra}
    whole = [httpx.post(f"{url}/v1/completions", json=body, timeout=20) for url in (behind, front)]
    assert plain(whole[1]) == plain(whole[0])


def test_an_upstream_that_is_away_is_a_503_and_its_failure_a_502(scripted, serve, gateway):
    behind = serve(scripted([RuntimeError("broken")]))
    front = gateway(behind)
    body = {"model": "openk2-test", **BODIES["text"]}
    answer = httpx.post(f"{front}/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_failed")
    assert behind not in answer.text
    nobody = gateway("http://127.0.0.1:1")
    answer = httpx.post(f"{nobody}/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "engine_busy")


@pytest.mark.parametrize(("asked", "said"), [(7.5, "8"), (999_999_999.0, "60")])
def test_a_busy_upstream_says_when_to_ask_again(scripted, serve, gateway, asked, said):
    front = gateway(serve(scripted(*[[EngineBusyError("full", asked)]] * 3)))
    body = {"model": "openk2-test", **BODIES["text"]}
    answer = httpx.post(f"{front}/v1/chat/completions", json=body)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, said)


def test_a_client_that_leaves_the_gateway_cancels_the_request_behind_it(scripted, serve, gateway):
    tokens = scripted(["a", *[0.02, "b"] * 500])
    front = gateway(serve(tokens))
    body = {"model": "openk2-test", **BODIES["text"], "stream": True}
    with httpx.stream("POST", f"{front}/v1/chat/completions", json=body) as answer:
        next(answer.iter_bytes())
    assert tokens.cancelled.wait(5)


def test_the_metrics_show_the_upstreams(scripted, serve, gateway):
    tokens = scripted(["a", *[0.02, "b"] * 100])
    front = gateway(serve(tokens), "http://127.0.0.1:1")
    body = {"model": "openk2-test", **BODIES["text"]}
    asking = threading.Thread(
        target=lambda: httpx.post(f"{front}/v1/chat/completions", json=body, timeout=20)
    )
    asking.start()
    deadline = time.monotonic() + 5
    while "upstream_0_outstanding 1.0" not in (shown := httpx.get(f"{front}/metrics").text):
        assert time.monotonic() < deadline, shown
    asking.join()
    assert "openk2_engine_upstreams_healthy 1.0" in shown
    assert "openk2_engine_upstream_1_healthy 0.0" in shown

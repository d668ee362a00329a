"""Clients that leave, and answers that fail."""

import asyncio
import http.client
import json
import logging
import socket
import threading
import time

import httpx
import pytest
from anthropic import Anthropic
from openai import OpenAI

from openk2.chat import ContentDelta
from openk2.generation import ChatRequest, HttpChat
from openk2.server.stream import EventStream

MODEL = "openk2-test"
BODY = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
LONG = ["begin", 60.0, "never"]


def send_request(url: str, body: dict) -> socket.socket:
    """Send a request and keep the bare connection."""
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port))
    connection.request(
        "POST",
        "/v1/chat/completions",
        json.dumps(body),
        {"Content-Type": "application/json"},
    )
    return connection.sock


def wait_until(condition, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.005)
    return condition()


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("output", [LONG, [60.0, "never"]], ids=["in the middle", "before it"])
def test_a_client_that_leaves_cancels_its_request(serve, scripted, stream, output):
    tokens = scripted(output)
    connection = send_request(serve(tokens), {**BODY, "stream": stream})
    assert wait_until(lambda: tokens.params)
    time.sleep(0.05)
    assert not tokens.cancelled.is_set()
    connection.close()
    assert tokens.cancelled.wait(20)


def test_a_client_that_leaves_between_two_tokens_of_a_fast_stream_cancels_it(serve, scripted):
    tokens = scripted(["x" * 100_000])
    tokens.context_length = 1_000_000  # more than the sockets hold, however late the client leaves
    connection = send_request(serve(tokens), {**BODY, "stream": True})
    connection.recv(1000)
    connection.close()
    assert tokens.cancelled.wait(20)


def test_closing_an_http_chat_cancels_the_request_on_the_server(serve, scripted):
    tokens = scripted(LONG)
    url = serve(tokens)

    async def leave():
        events = HttpChat(url, MODEL).stream(ChatRequest(BODY["messages"]))
        first = await anext(events)
        await events.aclose()
        return first

    assert asyncio.run(leave()) == ContentDelta("b")
    assert tokens.cancelled.wait(20)


def test_another_request_is_served_while_one_waits(serve, scripted):
    tokens = scripted(LONG, "quick«<|im_end|>»")
    url = serve(tokens)
    connection = send_request(url, {**BODY, "stream": True})
    assert wait_until(lambda: tokens.params)
    answer = httpx.post(f"{url}/v1/chat/completions", json=BODY, timeout=5, verify=False).json()
    assert answer["choices"][0]["message"]["content"] == "quick"
    connection.close()
    assert tokens.cancelled.wait(20)


def test_the_first_token_is_sent_before_the_last_is_made(serve, scripted):
    gate = threading.Event()
    tokens = scripted(["first", 0.5, " last«<|im_end|>»"])
    with httpx.stream(
        "POST", f"{serve(tokens)}/v1/chat/completions", json={**BODY, "stream": True}
    ) as response:
        began = time.monotonic()
        text = b""
        for piece in response.iter_raw():
            text += piece
            if b'"t"' in text and not gate.is_set():
                gate.set()
                assert time.monotonic() - began < 0.4
    assert gate.is_set()
    assert response.headers["content-type"].startswith("text/event-stream")


PING = 'event: ping\ndata: {"type":"ping"}\n\n'


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(EventStream, "silent_seconds", 0.1)


@pytest.mark.parametrize(
    ("path", "sign"), [("chat/completions", ": waiting\n\n"), ("messages", PING)]
)
def test_a_silent_stream_gives_signs_of_life_before_its_first_token_and_after(
    serve, scripted, impatient, path, sign
):
    url = serve(scripted([0.35, "one", 0.35, " two«<|im_end|>»"]))
    body = {**BODY, "stream": True, "max_tokens": 99}
    answer = httpx.post(f"{url}/v1/{path}", json=body, verify=False)
    assert answer.headers["content-type"].startswith("text/event-stream")
    signs = [f"{event}\n\n" == sign for event in answer.text.split("\n\n")[:-1]]
    begin = signs.index(False)
    assert begin >= 1
    assert any(signs[begin:])
    assert not any(signs[-2:])  # none after the end


def test_the_official_clients_take_signs_of_life(serve, scripted, impatient):
    url = serve(scripted([0.35, "one«<|im_end|>»"]))
    body = {**BODY, "max_tokens": 99}
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        chunks = client.chat.completions.create(**BODY, stream=True)
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one"
    anthropic = Anthropic(base_url=url, api_key="none", max_retries=0)
    with anthropic as client, client.messages.stream(**body) as events:
        assert events.get_final_text() == "one"


def test_an_error_after_a_sign_of_life_is_an_error_event(serve, scripted, impatient, caplog):
    url = serve(scripted([0.35, ZeroDivisionError("secret detail")]))
    for path, start in [("chat/completions", 'data: {"error"'), ("messages", "event: error")]:
        body = {**BODY, "stream": True, "max_tokens": 99}
        answer = httpx.post(f"{url}/v1/{path}", json=body, verify=False)
        assert answer.status_code == 200
        assert answer.text.split("\n\n")[-2].startswith(start)
        assert "secret" not in answer.text


def test_a_failure_in_a_stream_is_an_error_event_and_logged(serve, scripted, caplog):
    url = serve(scripted(["some", ZeroDivisionError("secret detail")]))
    with caplog.at_level(logging.ERROR):
        response = httpx.post(
            f"{url}/v1/chat/completions", json={**BODY, "stream": True}, verify=False
        )
    lines = [line for line in response.text.split("\n") if line]
    error = json.loads(lines[-1].removeprefix("data: "))["error"]
    assert (error["type"], error["code"]) == ("server_error", "internal_error")
    assert "secret" not in response.text
    assert not any('finish_reason":"' in line for line in lines)
    assert "secret detail" in caplog.text


def test_a_failure_of_a_whole_answer_is_500_and_logged(serve, scripted, caplog):
    url = serve(scripted(["some", ZeroDivisionError("secret detail")]))
    with caplog.at_level(logging.ERROR):
        response = httpx.post(f"{url}/v1/chat/completions", json=BODY, verify=False)
    assert response.status_code == 500
    assert response.json()["error"]["type"] == "server_error"
    assert "secret" not in response.text
    assert wait_until(lambda: "secret detail" in caplog.text)

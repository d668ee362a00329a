"""The order of a streamed message, however its output was cut, and streams that end early."""

import asyncio
import http.client
import itertools
import json
import logging
import threading
import time
from random import Random

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openk2.generation import ChatRequest, RenderedChat
from openk2.protocol import TokenChunk
from openk2.server.anthropic.answer import (
    input_object,
    message_events,
    sent_events,
    whole_message,
)

MODEL = "openk2-test"
BODY = {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": "hi"}]}
LONG = ["begin", 60.0, "never"]
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "get-time")]
PIECES = (
    "a", " ", "北", "STOP", "ST", "\n", '{"a":1}', '{"s":"<b>', "{}", "[1]", "f", "get-time",
    "functions.f:0", "functions.get-time:1", "functions.other:2",
    "«<|tool_calls_section_begin|>»", "«<|tool_call_begin|>»functions.f:0",
    "«<|tool_call_begin|>»functions.get-time:1«<|tool_call_argument_begin|>»",
    "«<|tool_call_argument_begin|>»", '«<|tool_call_argument_begin|>»{"q":2}',
    "«<|tool_call_end|>»", "«<|tool_calls_section_end|>»", "<|tool_call_section_begin|>",
)  # fmt: skip
DELTAS = {"text": ("text_delta", "text"), "tool_use": ("input_json_delta", "partial_json")}


class Cut:
    """The ids of an output, cut into chunks anywhere, a stop token or the limit at their end."""

    context_length = 100_000

    def __init__(self, ids, rng):
        self.ids, self.rng = ids, rng

    async def generate(self, prompt, params, mask=None):
        ids = self.ids
        while ids:
            size = self.rng.randint(1, 12)
            yield TokenChunk(tuple(ids[:size]), None)
            ids = ids[size:]
        yield TokenChunk((), "length")


def encode(tokenizer, written):
    ids = []
    for index, part in enumerate(written.replace("»", "«").split("«")):
        ids += [tokenizer.special(part)] if index % 2 else tokenizer.encode(part)
    return ids


def answer(tokenizer, ids, rng):
    chat = RenderedChat(tokenizer, Cut(ids, rng), tokenizer.stop_ids)
    request = ChatRequest(BODY["messages"], TOOLS, stop=("STOP",))
    head = {"id": "msg_1", "model": MODEL}
    return message_events(chat.stream(request), head, None)


def read_events(sent):
    """The events of server-sent events, whose names are checked."""
    events = []
    for block in sent.split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        events.append(event)
    return events


def check_order(events):
    """The rules of a stream. Returns its blocks, each with the text of its deltas."""
    first, *middle, last_delta, last = events
    message = first["message"]
    assert (first["type"], message["type"], message["role"]) == (
        "message_start", "message", "assistant")  # fmt: skip
    assert message["content"] == []
    assert message["stop_reason"] is None
    assert message["usage"].keys() == last_delta["usage"].keys()
    assert (last_delta["type"], last["type"]) == ("message_delta", "message_stop")
    assert last_delta["delta"]["stop_reason"] is not None
    blocks, is_open = [], False
    for event in middle:
        match event["type"]:
            case "content_block_start":
                assert not is_open
                assert event["index"] == len(blocks)
                blocks.append([event["content_block"], ""])
                is_open = True
            case "content_block_delta":
                assert is_open
                assert event["index"] == len(blocks) - 1
                kind, field = DELTAS[blocks[-1][0]["type"]]
                assert event["delta"].keys() == {"type", field}
                assert event["delta"]["type"] == kind
                assert event["delta"][field]
                blocks[-1][1] += event["delta"][field]
            case "content_block_stop":
                assert is_open
                assert event["index"] == len(blocks) - 1
                is_open = False
            case other:
                raise AssertionError(other)
    assert not is_open
    return blocks


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.integers(0, 2**32))
def test_one_block_is_open_at_a_time_however_the_output_was_cut(tokenizer, written, seed):
    ids = encode(tokenizer, written)

    async def both():
        sent = [part async for part in sent_events(answer(tokenizer, ids, Random(seed)))]
        return b"".join(sent).decode(), await whole_message(answer(tokenizer, ids, Random(~seed)))

    sent, whole = asyncio.run(both())
    events = read_events(sent)
    blocks = check_order(events)
    assert len(whole["content"]) == len(blocks)
    for block, (start, text) in zip(whole["content"], blocks, strict=True):
        if block["type"] == "text":
            assert block == {"type": "text", "text": text}
            assert text
        else:
            assert {**block, "input": {}} == start
            assert isinstance(block["input"], dict)
    # No two texts in a row: they would be one block.
    types = [block["type"] for block in whole["content"]]
    assert ("text", "text") not in set(itertools.pairwise(types))
    assert {key: whole[key] for key in ("stop_reason", "stop_sequence")} == events[-2]["delta"]
    assert whole["usage"] == events[-2]["usage"]
    if whole["stop_reason"] == "tool_use":
        assert "tool_use" in types


def leave(url, body):
    """Send a request; returns the bare connection."""
    host, port = url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port))
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/v1/messages", json.dumps(body), headers)
    return connection.sock


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("output", [LONG, [60.0, "never"]], ids=["in the middle", "before it"])
def test_a_client_that_leaves_cancels_its_request(serve, scripted, stream, output):
    tokens = scripted(output)
    connection = leave(serve(tokens), {**BODY, "stream": stream})
    deadline = time.monotonic() + 5
    while not tokens.params and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(0.05)
    assert not tokens.cancelled.is_set()
    connection.close()
    assert tokens.cancelled.wait(2.0)


def test_closing_the_official_clients_stream_cancels_the_request(anthropic, scripted):
    tokens = scripted(LONG)
    with anthropic(tokens).messages.stream(**BODY) as stream:
        assert next(iter(stream.text_stream)) == "b"
    assert tokens.cancelled.wait(2.0)


def test_a_stop_sequence_cancels_the_rest(anthropic, scripted):
    tokens = scripted(["a STOP", 60.0, "never"])
    message = anthropic(tokens).messages.create(**BODY, stop_sequences=["STOP"])
    assert message.content[0].text == "a "
    assert tokens.cancelled.wait(2.0)


def test_the_first_event_is_sent_before_the_last_token_is_made(serve, scripted):
    gate = threading.Event()
    tokens = scripted(["first", lambda _: gate.is_set(), " last«<|im_end|>»"])
    with httpx.stream("POST", f"{serve(tokens)}/v1/messages", json={**BODY, "stream": True}) as got:
        assert got.headers["content-type"].startswith("text/event-stream")
        text = ""
        for piece in got.iter_text():
            text += piece
            if text.count("text_delta") == len("first"):
                gate.set()
    assert gate.is_set()
    assert [text for _, text in check_order(read_events(text))] == ["first last"]


def test_a_failure_in_a_stream_is_an_error_event_and_logged(serve, scripted, caplog):
    url = serve(scripted(["some", ZeroDivisionError("secret detail")]))
    with caplog.at_level(logging.ERROR):
        got = httpx.post(f"{url}/v1/messages", json={**BODY, "stream": True}, verify=False)
    *events, last = read_events(got.text)
    assert (last["type"], last["error"]["type"]) == ("error", "api_error")
    assert events[0]["type"] == "message_start"
    assert not any(event["type"] == "message_stop" for event in events)
    assert "secret" not in got.text
    assert "secret detail" in caplog.text


def test_the_official_client_raises_the_error_of_a_stream(anthropic, scripted, caplog):
    import anthropic as sdk

    client = anthropic(scripted(["some", ZeroDivisionError("secret detail")]))
    with (
        caplog.at_level(logging.CRITICAL),
        client.messages.stream(**BODY) as stream,
        pytest.raises(sdk.APIError, match="its log says why"),
    ):
        stream.until_done()


def test_events_are_ascii_lines(serve, scripted):
    url = serve(scripted("a\u2028b\r\nc«<|im_end|>»"))
    got = httpx.post(f"{url}/v1/messages", json={**BODY, "stream": True}, verify=False)
    assert got.content.isascii()
    assert [text for _, text in check_order(read_events(got.text))] == ["a\u2028b\r\nc"]


@pytest.mark.parametrize(
    ("arguments", "whole"),
    [
        ('{"a": 1, "b": 2', {"a": 1}),
        ('{"a": 1, "b": -', {"a": 1}),
        ('{"a": 1, "b": 1.5e', {"a": 1}),
        ('{"a": "no 7", "b": 7', {"a": "no 7"}),
        ('{"a": 1, "b": 7 ', {"a": 1, "b": 7}),
        ('{"a": [1, 2, 34', {}),
        (' { "path" : "/x" , "only": ["a","b', {"path": "/x"}),
        ('{"a": {"b": 1}, "c": {"d": true', {"a": {"b": 1}}),
        ('{"a": true, "b": fals', {"a": True}),
        ('{"b": 1, "a": 2, "b": [', {"b": 1, "a": 2}),
        ('{"a": 1, "b"', {"a": 1}),
        ("{", {}),
    ],
)
def test_of_a_member_that_is_cut_nothing_is_given(arguments: str, whole: dict) -> None:
    assert input_object(arguments) == whole


def test_long_digits_before_a_cut_cost_no_time() -> None:
    text = '{"content": "' + "7" * 200_000 + ' end", "path": "/t'
    began = time.process_time()
    assert list(input_object(text)) == ["content"]
    assert time.process_time() - began < 1

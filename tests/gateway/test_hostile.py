"""Upstreams that lie, go on for ever, or send what is no chunk: bounded, and a 502."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from openk2.chat import Tokenizer, train_tokenizer
from openk2.gateway import Upstream, UpstreamChat, UpstreamError, UpstreamPool, UpstreamTokens
from openk2.generation import ChatRequest, complete
from openk2.protocol import SamplingParams, TokenChunk

Handler = Callable[[asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n"


@asynccontextmanager
async def serving(handler: Handler) -> AsyncGenerator[str, None]:
    answering: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        answering.add(task)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        try:
            await handler(writer)
            await writer.drain()
        except ConnectionError:
            pass
        finally:
            answering.discard(task)
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.wait([*answering, asyncio.create_task(asyncio.sleep(0.01))], timeout=1)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["a"], 512)


def ask(
    tokenizer: Tokenizer, handler: Handler, max_tokens: int = 5, logprobs: int | None = None
) -> list[TokenChunk]:
    async def run() -> list[TokenChunk]:
        async with serving(handler) as url:
            tokens = UpstreamTokens(UpstreamPool([Upstream(url, "k2", timeout=2)]), tokenizer, 4096)
            params = SamplingParams(max_tokens, temperature=0, logprobs=logprobs)
            return [chunk async for chunk in tokens.generate([1, 2], params)]

    return asyncio.run(run())


def event(value: object) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value)
    return f"data: {text}\n\n".encode()


def choice(**fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "text": "", "finish_reason": None, **fields}]}


def sends(*pieces: bytes) -> Handler:
    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return handler


def endless(piece: bytes, head: bytes = OK) -> Handler:
    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return handler


@pytest.mark.parametrize("fields", [{"token_ids": [65]}, {"text": "a"}, {"token_ids": [65] * 300}])
@pytest.mark.parametrize("max_tokens", [1, 5, 40])
def test_no_more_tokens_are_delivered_than_were_asked_for(
    tokenizer: Tokenizer, fields: dict[str, Any], max_tokens: int
) -> None:
    chunks = ask(tokenizer, endless(event(choice(**fields))), max_tokens)
    assert sum(len(chunk.token_ids) for chunk in chunks) == max_tokens
    assert [chunk.finish_reason for chunk in chunks][-1] == "length"
    assert all(chunk.finish_reason is None for chunk in chunks[:-1])


def test_a_late_finish_brings_no_further_tokens(tokenizer: Tokenizer) -> None:
    more = choice(token_ids=[66] * 1000, finish_reason="length")
    chunks = ask(tokenizer, sends(event(choice(token_ids=[65, 65])), event(more)))
    assert [i for chunk in chunks for i in chunk.token_ids] == [65, 65, 66, 66, 66]
    assert chunks[-1].finish_reason == "length"


ENDLESS = {
    "empty chunks": endless(event(choice())),
    "a line without end": endless(b"x" * 65536),
    "data without end": endless(b"data: " + b" " * 65536),
    "empty objects": endless(event({})),
    "comments": endless(b": still here\n" * 1000),
    "an error's body without end": endless(b"x" * 65536, b"HTTP/1.1 500 x\r\n\r\n"),
    "a refusal's body without end": endless(b"x" * 65536, b"HTTP/1.1 404 x\r\n\r\n"),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_what_goes_on_for_ever_ends(tokenizer: Tokenizer, kind: str) -> None:
    began = time.monotonic()
    with pytest.raises(UpstreamError):
        ask(tokenizer, ENDLESS[kind])
    assert time.monotonic() - began < 20


def test_a_line_in_small_pieces_costs_time_that_is_linear(tokenizer: Tokenizer) -> None:
    """1,000,000 bytes in pieces of 100: joined at every piece it would take minutes."""

    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        for _ in range(10_000):
            writer.write(b" " * 100)
            await writer.drain()
        writer.write(b"\n" + event(choice(token_ids=[65], finish_reason="length")))

    began = time.process_time()
    assert ask(tokenizer, handler)[-1].token_ids == (65,)
    assert time.process_time() - began < 5


@pytest.mark.parametrize("status", [b"200 OK", b"500 x", b"400 x"])
def test_compression_is_refused(tokenizer: Tokenizer, status: bytes) -> None:
    bomb = gzip.compress(b"data: " + b" " * 50_000_000)
    head = b"HTTP/1.1 " + status + b"\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n"

    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(head + bomb)

    began = time.process_time()
    with pytest.raises(UpstreamError):
        ask(tokenizer, handler)
    assert time.process_time() - began < 2


ODD: dict[str, object] = {
    "an id of 1e999": '{"choices": [{"token_ids": [1e999]}]}',
    "an id of 400 digits": '{"choices": [{"token_ids": [%s]}]}' % ("9" * 400),
    "an id of 5000 digits": '{"choices": [{"token_ids": [%s]}]}' % ("9" * 5000),
    "an id that is text": choice(token_ids=["65"]),
    "an id that is a fraction": choice(token_ids=[65.5]),
    "an id that is true": choice(token_ids=[True]),
    "an id that is negative": choice(token_ids=[-1]),
    "ids that are an object": choice(token_ids=[{}]),
    "deep": '{"choices": %s}' % ("[" * 100_000),
    "deep and whole": '{"choices": %s}' % ("[" * 100_000 + "]" * 100_000),
    "choices that are a number": {"choices": 7},
    "choices that are an object": {"choices": {"a": 1}},
    "text that is a list": choice(text=[1]),
    "a finish that is a list": choice(finish_reason=["stop"]),
    "cached tokens that are text": {"usage": {"prompt_tokens_details": {"cached_tokens": "9"}}},
    "cached tokens without bound": '{"usage": {"prompt_tokens_details": {"cached_tokens": 1e999}}}',
    "usage that is a list": {"usage": [1]},
    "no object": "[1]",
    "an error that is a list": {"error": [1]},
    "an error that is deep": {"error": {"message": [[[[]]]]}},
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_chunks_are_the_upstreams_fault(tokenizer: Tokenizer, kind: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        ask(tokenizer, sends(event(choice(token_ids=[65])), event(ODD[kind])))
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "Infinity", "1e999", "null", '"x"', "[]"])
@pytest.mark.parametrize("place", ["token", "top"])
def test_scores_that_are_no_numbers_are_the_upstreams_fault(
    tokenizer: Tokenizer, value: str, place: str
) -> None:
    token, top = (value, "-1.0") if place == "token" else ("-1.0", value)
    scores = f'{{"tokens": ["a"], "token_logprobs": [{token}], "top_logprobs": [{{"a": {top}}}]}}'
    chunk = f'{{"choices": [{{"text": "a", "logprobs": {scores}}}]}}'
    with pytest.raises(UpstreamError):
        ask(tokenizer, sends(event(chunk)), logprobs=1)


CARDS = {
    "deep": "[" * 100_000,
    "an owner that is a list": '{"data": [{"id": "k2", "owned_by": ["vllm"]}]}',
    "a length that is true": '{"data": [{"id": "k2", "max_model_len": true}]}',
    "a length of 5000 digits": '{"data": [{"id": "k2", "max_model_len": %s}]}' % ("9" * 5000),
    "an id that is a list": '{"data": [{"id": []}]}',
    "data that is a number": '{"data": 5}',
    "no text": "\xff\xfe",
    "much": json.dumps({"data": [{"id": "x"}] * 100_000}),
}


@pytest.mark.parametrize("kind", CARDS)
def test_the_thread_that_probes_survives_any_list_of_models(kind: str) -> None:
    body = CARDS[kind].encode("latin-1")
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"

    async def handler(writer: asyncio.StreamWriter) -> None:
        writer.write(head + body)

    async def run() -> None:
        async with serving(handler) as url:
            pool = UpstreamPool([Upstream(url, "k2")], probe_every=0.05)

            def watch() -> None:
                with pool:
                    time.sleep(0.5)
                    assert pool._thread.is_alive()

            await asyncio.to_thread(watch)
            upstream = pool.upstreams[0]
            assert upstream.owner is None
            assert upstream.context_length is None
            assert len(upstream.reason) < 400

    asyncio.run(run())


def test_an_upstream_whose_health_trickles_does_not_stop_the_others(monkeypatch) -> None:
    monkeypatch.setattr("openk2.gateway.upstream.PROBE_SECONDS", 0.5)

    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(b"X: y\r\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    async def card(writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"data": [{"id": "k2"}]}')

    async def run() -> None:
        async with serving(trickle) as slow, serving(card) as fast:
            pool = UpstreamPool([Upstream(slow, "k2"), Upstream(fast, "k2")])
            pool.upstreams[1].fail("to be found well again")
            began = time.monotonic()
            await asyncio.to_thread(pool.probe)
            assert time.monotonic() - began < 3
            assert [one.healthy for one in pool.upstreams] == [False, True]
            assert "did not answer within 0.5 seconds" in pool.upstreams[0].reason

    asyncio.run(run())


CHAT_ODD = {
    "content that is a list": {"choices": [{"delta": {"content": [1]}}]},
    "a name that is a number": {"choices": [{"delta": {"tool_calls": [
        {"index": 0, "id": "a", "function": {"name": 5}}]}}]},
    "an index that is text": {"choices": [{"delta": {"tool_calls": [
        {"index": "0", "id": "a", "function": {"name": "f"}}]}}]},
    "usage that is text": {"choices": [{"finish_reason": "stop"}],
                           "usage": {"prompt_tokens": "1", "completion_tokens": 1}},
    "cached tokens without bound": '{"choices": [{"finish_reason": "stop"}], "usage": {'
    '"prompt_tokens": 1, "completion_tokens": 1, '
    '"prompt_tokens_details": {"cached_tokens": 1e999}}}',
    "deep": "[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("kind", CHAT_ODD)
def test_odd_chunks_of_a_chat_are_the_upstreams_fault(kind: str) -> None:
    assert isinstance(chat(sends(event(CHAT_ODD[kind]), event("[DONE]"))), UpstreamError)


def test_a_chat_that_goes_on_for_ever_ends() -> None:
    piece = event({"choices": [{"index": 0, "delta": {"content": "a"}}]})
    assert isinstance(chat(endless(piece)), UpstreamError)


def chat(handler: Handler) -> Exception | object:
    async def run() -> Exception | object:
        async with serving(handler) as url:
            generator = UpstreamChat(UpstreamPool([Upstream(url, "k2", timeout=2)]))
            request = ChatRequest([{"role": "user", "content": "x"}], max_tokens=5)
            try:
                return await complete(generator, request)
            except UpstreamError as error:
                return error

    return asyncio.run(run())

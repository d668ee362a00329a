"""HttpChat against servers that send given bytes."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from openk2.chat import ToolCall
from openk2.generation import (
    ChatAnswer,
    ChatRequest,
    ConnectionLostError,
    EndpointError,
    HttpChat,
    JsonFormat,
    ScoredToken,
    UnreachableError,
    complete,
    served_models,
)
from openk2.generation.http_request import request_body
from openk2.protocol import EngineBusyError

REQUEST = ChatRequest(
    [{"role": "user", "content": "hi"}],
    tools=[{"type": "function", "function": {"name": "f"}}],
    max_tokens=9,
    seed=4,
)


@asynccontextmanager
async def raw_server(pieces: list[bytes], seen: list[bytes]):
    """A server that answers any request with these bytes, one write each, and hangs up."""

    async def answer(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        seen.extend([head, await reader.readexactly(length)])
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def ask(
    pieces: list[bytes], seen: list[bytes] | None = None, request: ChatRequest = REQUEST, **options
) -> ChatAnswer:
    async def run():
        async with raw_server(pieces, [] if seen is None else seen) as url:
            return await complete(HttpChat(url, "k2", **options), request)

    return asyncio.run(run())


def head(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode()


def events(*payloads: object) -> bytes:
    texts = [p if isinstance(p, str) else json.dumps(p, ensure_ascii=False) for p in payloads]
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def delta(fields: dict, **choice: object) -> dict:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": None, **choice}]}


def call(index: int, arguments: str, **fields: object) -> dict:
    function = {"arguments": arguments, **({"name": "f"} if fields else {})}
    return delta({"tool_calls": [{"index": index, "function": function, **fields}]})


USAGE = {"prompt_tokens": 12, "completion_tokens": 5, "total_tokens": 17}


@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_a_stream_is_read_the_same_however_its_bytes_are_cut(size):
    text = "雪\u2028line"
    body = b": keep-alive\n\n" + events(
        delta({"role": "assistant", "content": ""}),
        delta({"content": text}),
        call(0, "", id="functions.f:0", type="function"),
        call(0, '{"a":'),
        call(0, "1}"),
        call(1, "{}", id="functions.f:1", type="function"),
        delta({}, finish_reason="tool_calls", usage=USAGE),
        "[DONE]",
    )
    data = head("200 OK") + body
    pieces = [data[i : i + size] for i in range(0, len(data), size)]
    assert ask(pieces) == ChatAnswer(
        text,
        (ToolCall("functions.f:0", "f", '{"a":1}'), ToolCall("functions.f:1", "f", "{}")),
        "tool_calls",
        12,
        5,
    )


def test_thoughts_are_read_under_either_name():
    body = events(
        delta({"reasoning_content": "h"}),
        delta({"reasoning": "m"}),
        delta({"content": "yes"}),
        delta({}, finish_reason="stop", usage=USAGE),
        "[DONE]",
    )
    assert ask([head("200 OK") + body]) == ChatAnswer("yes", (), "stop", 12, 5, reasoning="hm")


def test_a_call_cut_by_the_limit_is_told_from_whole_ones_and_usage_is_read_from_the_last_chunk():
    body = events(
        call(0, '{"a"', id="functions.f:0", type="function"),
        delta({}, finish_reason="length"),
        {"choices": [], "usage": USAGE},
        "[DONE]",
    )
    assert ask([head("200 OK") + body]) == ChatAnswer(
        "", (), "length", 12, 5, cut_call=ToolCall("functions.f:0", "f", '{"a"')
    )


@pytest.mark.parametrize(
    ("deltas", "said", "reason"),
    [
        ([call(0, "{}", id="x")], "stop", "tool_calls"),
        ([call(0, "{}", id="x")], "length", "length"),
        ([delta({"content": "y"})], "stop", "stop"),
        ([delta({"content": "y"})], "tool_calls", "stop"),
    ],
)
def test_the_finish_is_tool_calls_where_there_are_calls_whatever_the_server_says(
    deltas, said, reason
):
    body = events(*deltas, delta({}, finish_reason=said, usage=USAGE), "[DONE]")
    assert ask([head("200 OK") + body]).finish_reason == reason


@pytest.mark.parametrize(
    ("arguments", "tokens", "is_cut"),
    [
        ('{"path":"/x","only":["a","b', 5, True),
        ('{"a":{"b":1}', 5, True),
        ('{"a":"}', 5, True),
        ('{"a":"\\"}', 5, True),
        ("{", 5, True),
        ('{"a":"}]"}', 9, False),
        (' {"a":1}\n', 9, False),
        ("{'a':1}", 5, False),
        ("{'a':1}", 9, True),
        ("", 9, True),
    ],
)
def test_a_call_that_breaks_off_is_cut_whatever_the_server_says(arguments, tokens, is_cut):
    usage = {**USAGE, "completion_tokens": tokens}
    body = events(
        call(0, "{}", id="x"),
        call(1, arguments, id="y"),
        delta({}, finish_reason="tool_calls", usage=usage),
        "[DONE]",
    )
    answer = ask([head("200 OK") + body])
    begun = ToolCall("y", "f", arguments)
    assert answer.finish_reason == ("length" if is_cut else "tool_calls")
    assert answer.tool_calls == (ToolCall("x", "f", "{}"), *(() if is_cut else (begun,)))
    assert answer.cut_call == (begun if is_cut else None)


def test_a_call_without_arguments_has_an_empty_object():
    body = events(
        call(0, "", id="x"),
        call(1, "", id="y"),
        delta({}, finish_reason="tool_calls", usage=USAGE),
        "[DONE]",
    )
    calls = (ToolCall("x", "f", "{}"), ToolCall("y", "f", "{}"))
    assert ask([head("200 OK") + body]).tool_calls == calls


STOPPED = [delta({"content": piece}, usage=USAGE) for piece in ("one E", "N", "D two")]
END_CALL = [call(0, '{"a":"END"}', id="x")]
ENDED = [delta({}, finish_reason="stop", usage={**USAGE, "completion_tokens": 8}), "[DONE]"]


@pytest.mark.parametrize(
    ("deltas", "content", "reason", "stop"),
    [
        (STOPPED, "one ", "stop", "END"),
        ([*STOPPED, *END_CALL], "one ", "stop", "END"),
        ([*END_CALL, *STOPPED], "one ", "tool_calls", "END"),
        (END_CALL, "", "tool_calls", None),
        ([STOPPED[0], *END_CALL, *STOPPED[1:]], "one END two", "tool_calls", None),
        ([delta({"reasoning_content": "END"}), *STOPPED[:2]], "one EN", "stop", None),
    ],
)
def test_a_stop_string_is_searched_in_the_content_alone(deltas, content, reason, stop):
    request = replace(REQUEST, stop=("END",))
    answer = ask([head("200 OK") + events(*deltas, *ENDED)], request=request)
    assert (answer.content, answer.finish_reason, answer.stop_string) == (content, reason, stop)
    assert answer.completion_tokens == (5 if stop else 8)


def test_at_a_stop_string_the_answer_ends_and_its_connection_is_closed():
    async def run() -> ChatAnswer:
        closed = asyncio.Event()

        async def answer(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(head("200 OK") + events(delta({"content": "one END"})))
            await reader.read()  # the body, and what follows until the client closes
            closed.set()
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            chat, asked = HttpChat(url, "k2", timeout=5), replace(REQUEST, stop=("END",))
            said = await complete(chat, asked)
            await asyncio.wait_for(closed.wait(), 5)
        return said

    assert asyncio.run(run()) == ChatAnswer("one ", stop_string="END")


def test_calls_of_one_index_are_told_apart_by_their_ids():
    body = events(
        call(0, '{"a":1}', id="x"),
        call(0, '{"b":', id="y"),
        call(0, "2"),
        delta({"tool_calls": [{"index": 0, "id": "y", "function": {"arguments": "}"}}]}),
        delta({"tool_calls": [{"index": 0, "id": "", "function": {"name": "f"}}]}),
        delta({}, finish_reason="tool_calls", usage=USAGE),
        "[DONE]",
    )
    assert ask([head("200 OK") + body]).tool_calls == (
        ToolCall("x", "f", '{"a":1}'),
        ToolCall("y", "f", '{"b":2}'),
    )


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_a_character_that_is_cut_between_deltas_is_one_character(cut):
    halves = "a\ud83d\ude00b"
    pieces = [halves[:cut], halves[cut:]]
    body = events_in_ascii(
        *(delta({"reasoning_content": piece}) for piece in pieces),
        *(delta({"content": piece}) for piece in pieces),
        call(0, "", id="x"),
        *(call(0, piece) for piece in pieces),
        delta({}, finish_reason="tool_calls", usage=USAGE),
        "[DONE]",
    )
    answer = ask([head("200 OK") + body])
    said = (answer.reasoning, answer.content, answer.tool_calls[0].arguments)
    assert said == ("a😀b",) * 3


def test_half_a_character_that_nothing_completes_is_kept():
    body = events_in_ascii(
        delta({"content": "a\ude00b\ud83d"}), delta({}, finish_reason="stop", usage=USAGE), "[DONE]"
    )
    assert ask([head("200 OK") + body]).content == "a\ude00b\ud83d"


def events_in_ascii(*payloads: object) -> bytes:
    """As `events`, characters beyond ASCII escaped."""
    texts = [p if isinstance(p, str) else json.dumps(p) for p in payloads]
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def test_the_request_holds_what_was_asked_and_nothing_that_was_not():
    seen: list[bytes] = []
    body = events(delta({"content": "x"}, finish_reason="stop", usage=USAGE), "[DONE]")
    ask([head("200 OK") + body], seen, api_key="secret")
    assert seen[0].startswith(b"POST /v1/chat/completions ")
    assert b"authorization: bearer secret" in seen[0].lower()
    assert json.loads(seen[1]) == {
        "model": "k2",
        "messages": REQUEST.messages,
        "tools": REQUEST.tools,
        "tool_choice": "auto",
        "max_tokens": 9,
        "temperature": 0.6,
        "top_p": 1.0,
        "seed": 4,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_settings_are_sent_under_openais_names():
    seen: list[bytes] = []
    logprobs = {"content": [{"token": "x", "logprob": -1.0}]}
    body = events(
        delta({"content": "x"}, finish_reason="stop", usage=USAGE, logprobs=logprobs), "[DONE]"
    )
    settings = {
        "top_k": 3, "min_p": 0.2, "presence_penalty": 0.3, "frequency_penalty": -0.4,
        "repetition_penalty": 1.2, "seed": 0,
    }  # fmt: skip
    request = ChatRequest(
        REQUEST.messages, logit_bias={7: -1.0}, stop=("a", "b"), logprobs=0, **settings
    )
    ask([head("200 OK") + body], seen, request)
    sent = json.loads(seen[1])
    assert {name: sent[name] for name in settings} == settings
    assert sent["logit_bias"] == {"7": -1.0}
    assert "stop" not in sent
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 0)


def test_scores_and_details_of_the_usage_are_read():
    entries = [
        {"token": "x", "bytes": [120], "logprob": -1.0, "top_logprobs": []},
        {
            "token": "?",
            "bytes": [233],
            "logprob": -2.0,
            "top_logprobs": [{"token": "雪", "bytes": None, "logprob": -0.5}],
        },
    ]
    details = {"completion_tokens_details": {"reasoning_tokens": 1}}
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 8}, **details}
    body = events(
        delta({"content": "x"}, logprobs={"content": entries[:1]}),
        delta({}, finish_reason="stop", logprobs={"content": entries[1:]}),
        {"choices": [], "usage": usage},
        "[DONE]",
    )
    request = ChatRequest(REQUEST.messages, logprobs=1)
    answer = ask([head("200 OK") + body], request=request)
    assert answer.scores == (
        ScoredToken(b"x", -1.0),
        ScoredToken(b"\xe9", -2.0, (("雪".encode(), -0.5),)),
    )
    assert (answer.cached_tokens, answer.reasoning_tokens) == (8, 1)


def test_a_server_that_ignores_logprobs_is_an_error():
    body = events(delta({"content": "x"}, finish_reason="stop", usage=USAGE), "[DONE]")
    with pytest.raises(EndpointError, match="logprobs"):
        ask([head("200 OK") + body], request=ChatRequest(REQUEST.messages, logprobs=0))


@pytest.mark.parametrize("suffix", ["", "/", "/v1", "/v1/"])
def test_the_base_url_may_end_with_or_without_v1(suffix):
    assert HttpChat(f"http://host:1{suffix}", "k2").base_url == "http://host:1/v1"


def test_a_refusal_carries_the_servers_message_and_status():
    body = json.dumps({"error": {"message": "n is 2: not supported"}}).encode()
    with pytest.raises(EndpointError, match="n is 2: not supported") as caught:
        ask([head("400 Bad Request") + body])
    assert caught.value.status == 400


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
def test_a_busy_server_is_a_busy_generator(status):
    with pytest.raises(EngineBusyError) as caught:
        ask([head(status) + b"later"])
    assert caught.value.retry_after is None


@pytest.mark.parametrize(("said", "seconds"), [("30", 30), ("Fri, 01 Jan 2100 00:00:00 GMT", None)])
def test_a_busy_server_may_say_when_to_ask_again(said, seconds):
    with pytest.raises(EngineBusyError) as caught:
        ask([f"HTTP/1.1 429 x\r\nRetry-After: {said}\r\nConnection: close\r\n\r\n".encode()])
    assert caught.value.retry_after == seconds


def test_an_answer_without_usage_counts_as_no_tokens():
    body = events(delta({"content": "x"}), delta({}, finish_reason="stop"), "[DONE]")
    assert ask([head("200 OK") + body]) == ChatAnswer("x")
    with pytest.raises(EndpointError, match="logprobs"):
        ask([head("200 OK") + body], request=ChatRequest(REQUEST.messages, logprobs=0))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (events({"error": {"message": "out of pages"}}), "out of pages"),
        (events(delta({"content": "x"})), "without finish_reason"),
        (b"data: {broken\n", "is not JSON"),
        (events(delta({}, finish_reason="content_filter", usage=USAGE)), "content_filter"),
        (events([1]), "no chat completion"),
        (events({"choices": [5]}), "no chat completion"),
        (events(delta({"tool_calls": [{"function": {"name": "f"}}]})), "no chat completion"),
        (events(delta({}, finish_reason=[], usage=USAGE)), "no chat completion"),
        (events(delta({}, logprobs={"content": [{"token": 5}]})), "no chat completion"),
        (
            events(delta({}, logprobs={"content": [{"token": "a", "bytes": 9, "logprob": 0}]})),
            "no chat completion",
        ),
        (events(delta({}, finish_reason="stop", usage={"prompt_tokens": 1})), "no chat compl"),
    ],
)
def test_a_broken_stream_is_an_error_and_not_a_short_answer(body, message):
    with pytest.raises(EndpointError, match=message):
        ask([head("200 OK") + body])


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CUT = events(delta({"content": "x"}))


# The last one is all that a client sees of a proxy that closes when its server dies.
@pytest.mark.parametrize(
    "pieces",
    [[], [CHUNKED], [CHUNKED + b"%x\r\n%b\r\n" % (len(CUT), CUT)], [head("200 OK") + CUT]],
)
def test_a_connection_that_is_cut_is_told_from_a_broken_answer(pieces):
    with pytest.raises(ConnectionLostError):
        ask(pieces)
    with pytest.raises(EndpointError) as broken:
        ask([head("200 OK") + events("no object")])
    assert type(broken.value) is EndpointError


def test_a_silent_server_is_a_lost_connection():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        chat = HttpChat(f"http://127.0.0.1:{silent.getsockname()[1]}", "k2", timeout=0.05)
        with pytest.raises(ConnectionLostError, match="ReadTimeout"):
            asyncio.run(complete(chat, REQUEST))


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "down", "code": 503}, 503),
        ({"message": "down", "type": "server_error", "code": "engine_failed"}, 500),
        ({"message": "down", "code": 400}, None),
        ({"message": "down"}, None),
        ("down", None),
    ],
)
def test_a_servers_own_fault_in_an_answer_has_its_status(error, status):
    with pytest.raises(EndpointError, match="down") as caught:
        ask([head("200 OK") + events(delta({"content": "x"}), {"error": error})])
    assert caught.value.status == status


def test_an_unreachable_server_is_named():
    with pytest.raises(UnreachableError, match=r"http://127\.0\.0\.1:1/v1"):
        asyncio.run(complete(HttpChat("http://127.0.0.1:1", "k2"), REQUEST))


def test_a_lone_surrogate_in_a_message_is_sent():
    seen: list[bytes] = []
    body = events(delta({"content": "x"}, finish_reason="stop", usage=USAGE), "[DONE]")

    async def run():
        async with raw_server([head("200 OK") + body], seen) as url:
            request = ChatRequest([{"role": "user", "content": "a\ud800"}])
            await complete(HttpChat(url, "k2"), request)

    asyncio.run(run())
    assert json.loads(seen[1])["messages"][0]["content"] == "a\ud800"


@pytest.mark.parametrize("key", ["schlüssel", "a\nb"])
def test_a_key_that_no_header_can_carry_is_an_error_that_does_not_show_it(key):
    for use in (lambda: HttpChat("http://h", "k2", api_key=key), lambda: listed(key)):
        with pytest.raises(EndpointError, match="API key") as caught:
            use()
        assert key not in str(caught.value)


def listed(key: str) -> list[str]:
    return served_models("http://127.0.0.1:1", api_key=key)


def test_an_answer_whose_connection_is_cut_after_the_last_event_is_whole():
    body = events(delta({"content": "x"}, finish_reason="stop", usage=USAGE), "[DONE]")
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert ask([chunked + b"%x\r\n%b\r\n" % (len(body), body)]).content == "x"


@pytest.mark.parametrize("strict", [False, True])
def test_a_format_is_sent_as_strict_as_it_was_asked_for(strict: bool) -> None:
    form = JsonFormat({"type": "object"}, "answer", strict=strict)
    sent = request_body("m", ChatRequest(REQUEST.messages, response_format=form))["response_format"]
    assert sent["json_schema"] == {
        "name": "answer",
        "schema": {"type": "object"},
        "strict": strict,
    }

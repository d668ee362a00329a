"""The reduced mode: chat completions passed through, ids of calls set right."""

import asyncio
import json
import threading
from contextlib import closing
from dataclasses import replace

import pytest

from openk2.chat import ToolCall
from openk2.gateway import RepairedChat, Upstream, UpstreamChat, UpstreamError, UpstreamPool
from openk2.generation import (
    ChatAnswer,
    ChatRequest,
    HttpChat,
    RequestError,
    ThinkingFields,
    complete,
)
from openk2.protocol import EngineBusyError

from ..generation.test_http_chat import USAGE, call, delta, events, head, raw_server

HISTORY = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "toolu_1", "content": "4"},
]
TOOLS = [{"type": "function", "function": {"name": "f"}}]
TEXT = head("200 OK") + events(
    delta({"content": "well"}), delta({}, finish_reason="stop", usage=USAGE), "[DONE]"
)
CALL = head("200 OK") + events(
    call(0, "{}", id="call_9", type="function"),
    delta({}, finish_reason="tool_calls", usage=USAGE),
    "[DONE]",
)


def ask(request: ChatRequest, *answers: bytes) -> tuple[ChatAnswer, list[list[bytes]]]:
    """The answer, and what each upstream saw; a server for each of the answers."""

    async def run(left, seen, urls):
        if left:
            seen.append([])
            async with raw_server([left[0]], seen[-1]) as url:
                return await run(left[1:], seen, [*urls, url])
        pool = UpstreamPool([Upstream(url, "k2") for url in urls])
        answer = await complete(UpstreamChat(pool), request)
        assert all(upstream.outstanding == 0 for upstream in pool.upstreams)
        return answer, seen

    return asyncio.run(run(answers, [], []))


def test_ids_of_calls_are_canonical_both_ways():
    answer, seen = ask(ChatRequest(HISTORY, TOOLS), CALL)
    assert answer.tool_calls == (ToolCall("functions.f:1", "f", "{}"),)
    sent = json.loads(seen[0][1])["messages"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"] == "functions.f:0"


@pytest.mark.parametrize("failing", [b"", head("500 x") + b"{}", head("503 x") + b"{}"])
def test_another_upstream_answers_when_one_fails_before_the_first_event(failing):
    assert ask(ChatRequest(HISTORY), failing, TEXT)[0].content == "well"
    assert ask(ChatRequest(HISTORY), TEXT, failing)[0].content == "well"
    error = EngineBusyError if b"503" in failing else UpstreamError
    with pytest.raises(error):
        ask(ChatRequest(HISTORY), failing)


def test_a_refused_request_is_refused_without_the_upstreams_address():
    body = json.dumps({"error": {"message": "min_p: unknown"}}).encode()
    with pytest.raises(RequestError) as caught:
        ask(ChatRequest(HISTORY, min_p=0.1), head("400 x") + body)
    assert "min_p" in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_upstream_is_told_of_without_its_address(status):
    body = json.dumps({"error": {"message": "all slots taken"}}).encode()
    with pytest.raises(EngineBusyError, match=f"{status}: all slots taken") as caught:
        ask(ChatRequest(HISTORY), head(f"{status} x") + body)
    assert "127.0.0.1" not in str(caught.value)


def test_an_upstream_that_cannot_be_reached_is_asked_no_more_until_it_is_probed():
    async def run() -> None:
        seen: list[bytes] = []
        async with raw_server([TEXT], seen) as url:
            dead, alive = Upstream("http://127.0.0.1:1", "k2"), Upstream(url, "k2")
            alive.outstanding = 1  # so that the dead one comes first
            chat = UpstreamChat(UpstreamPool([dead, alive]))
            for _ in range(3):
                assert (await complete(chat, ChatRequest(HISTORY))).content == "well"
            assert (dead.asked, dead.healthy, alive.asked) == (1, False, 3)
            alive.healthy = False
            with pytest.raises(EngineBusyError, match="no upstream is healthy"):
                await complete(chat, ChatRequest(HISTORY))

    asyncio.run(run())


def test_the_message_about_an_unreachable_upstream_names_no_address(monkeypatch):
    # It stays healthy: else the last error would be that no upstream is.
    monkeypatch.setattr(Upstream, "fail", lambda upstream, reason: None)
    chat = UpstreamChat(UpstreamPool([Upstream("http://127.0.0.1:1", "k2")]))
    with pytest.raises(UpstreamError, match="cannot be reached") as caught:
        asyncio.run(complete(chat, ChatRequest(HISTORY)))
    assert "127.0.0.1" not in str(caught.value)


def test_the_choices_of_a_request_share_one_body_and_keep_their_seeds(monkeypatch):
    written: list[ChatRequest] = []
    write = HttpChat.body

    def counted(chat, request, fields=None):
        written.append(request)
        return write(chat, request, fields)

    monkeypatch.setattr(HttpChat, "body", counted)
    long = [{"role": "user", "content": "雪" * 100_000}]
    one = ChatRequest(long, TOOLS, owner="a", top_p=0.5)
    choices = [replace(one, seed=seed) for seed in (None, 0, -5, 2**62)]
    others = [replace(one, messages=HISTORY, owner=owner) for owner in ("b", None, None)]

    async def run() -> list[bytes]:
        seen: list[bytes] = []
        async with raw_server([TEXT], seen) as url:
            chat = UpstreamChat(UpstreamPool([Upstream(url, "k2")]))
            answers = await asyncio.gather(
                *(complete(RepairedChat(chat, None), asked) for asked in [*choices, *others])
            )
        assert [answer.content for answer in answers] == ["well"] * 7
        return seen[1::2]

    bodies = [json.loads(body) for body in asyncio.run(run())]
    assert len(written) == 4
    mine = [body for body in bodies if body["messages"] == long]
    assert {body.pop("seed", None) for body in mine} == {None, 0, -5, 2**62}
    assert len({json.dumps(body) for body in mine}) == 1


def test_a_large_body_holds_up_no_other_request(monkeypatch):
    gate, write = threading.Event(), HttpChat.body
    large, small = ([{"role": "user", "content": text}] for text in ("large", "small"))

    def slow(chat, request, fields=None):
        if list(request.messages) == large:
            gate.wait(10)
        return write(chat, request, fields)

    monkeypatch.setattr(HttpChat, "body", slow)

    async def run() -> None:
        seen: list[bytes] = []
        async with raw_server([TEXT], seen) as url:
            with closing(UpstreamChat(UpstreamPool([Upstream(url, "k2")]))) as chat:
                waiting = asyncio.create_task(complete(chat, ChatRequest(large)))
                await asyncio.sleep(0)
                try:
                    await asyncio.wait_for(complete(chat, ChatRequest(small)), 5)
                finally:
                    gate.set()
                assert (await waiting).content == "well"
            with pytest.raises(RuntimeError, match="after shutdown"):
                await complete(chat, ChatRequest(small))

    asyncio.run(run())


def test_what_one_refusal_teaches_helps_the_answers_that_are_refused_beside_it():
    refusal = b'{"error":{"message":"unknown field: reasoning_content"}}'

    async def strict(reader, writer):
        asked = await reader.readuntil(b"\r\n\r\n")
        length = int(asked.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        knows = b"reasoning_content" not in await reader.readexactly(length)
        writer.write(TEXT if knows else head("400 x") + refusal)
        await writer.drain()
        writer.close()

    thought = {"role": "assistant", "content": "b", "reasoning_content": "t"}
    request = ChatRequest([HISTORY[0], thought, HISTORY[0]], owner="a")

    async def run() -> None:
        async with await asyncio.start_server(strict, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            chat = UpstreamChat(UpstreamPool([Upstream(url, "k2")]))
            answers = await asyncio.gather(*(complete(chat, request) for _ in range(3)))
            assert [answer.content for answer in answers] == ["well"] * 3

    asyncio.run(run())


def test_a_budget_that_an_openk2_upstream_cannot_enforce_is_left_out_if_it_is_a_hint():
    said = "thinking.budget_tokens cannot be enforced here: leave it out"
    refusal = json.dumps({"error": {"message": said}}).encode()
    budget = {"type": "enabled", "budget_tokens": 9}

    async def without_masks(reader, writer):
        asked = await reader.readuntil(b"\r\n\r\n")
        length = int(asked.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = json.loads(await reader.readexactly(length))
        refused = "budget_tokens" in body["thinking"]
        writer.write(head("400 x") + refusal if refused else TEXT)
        await writer.drain()
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(without_masks, "127.0.0.1", 0) as server:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            chat = UpstreamChat(UpstreamPool([Upstream(url, "k2")]), host_kind="openk2")
            demand, hint = ThinkingFields(budget), ThinkingFields(budget, unasked=True)
            with pytest.raises(RequestError, match=f"the upstream answered 400: {said}"):
                await complete(chat, ChatRequest(HISTORY, thinking=demand))
            assert (await complete(chat, ChatRequest(HISTORY, thinking=hint))).content == "well"

    asyncio.run(run())


def test_a_demanded_call_that_does_not_come_is_an_error():
    with pytest.raises(UpstreamError, match="tool_choice"):
        ask(ChatRequest(HISTORY, TOOLS, tool_choice="required"), TEXT)
    assert ask(ChatRequest(HISTORY, TOOLS, tool_choice="required"), CALL)[0].tool_calls


MISSING = "thinking is enabled but reasoning_content is missing in assistant tool call message at"


@pytest.mark.parametrize("said", [MISSING, "unknown field: reasoning_content"])
def test_an_error_that_only_quotes_a_request_changes_no_other_request(said):
    refusal = head("400 x") + json.dumps({"error": {"message": f"bad schema: {said} 1"}}).encode()

    async def run() -> None:
        seen: list[bytes] = []
        async with raw_server([refusal], seen) as url:
            upstream = Upstream(url, "k2")
            chat = UpstreamChat(UpstreamPool([upstream]))
            with pytest.raises(RequestError, match="bad schema"):
                await complete(chat, ChatRequest(HISTORY))
            assert len(seen) == 4  # it was asked again, in vain
            assert chat._hosts[upstream].kind_name == "unknown"
            assert upstream.refused.without({"reasoning_content": 1})

    asyncio.run(run())


BEGUN = [HISTORY[0], {"role": "assistant", "content": "a"}]


@pytest.mark.parametrize(
    "asked",
    [
        ChatRequest(HISTORY),
        ChatRequest(HISTORY, thinking=ThinkingFields(template={"preserve_thinking": True})),
        ChatRequest(BEGUN, is_continued=True),
    ],
)
def test_a_lesson_that_leaves_no_form_of_the_request_is_forgotten(asked):
    said = "bad schema: 'more than 128 tools'"
    refusal = head("400 x") + json.dumps({"error": {"message": said}}).encode()

    async def run() -> None:
        async with raw_server([refusal], []) as url:
            upstream = Upstream(url, "k2")
            upstream.owner = "vllm"
            chat = UpstreamChat(UpstreamPool([upstream]))
            with pytest.raises(RequestError, match="the upstream answered 400: bad schema"):
                await complete(chat, asked)
            assert chat._hosts[upstream].kind_name == "vllm"

    asyncio.run(run())


@pytest.mark.parametrize("able_is_idle", [True, False])
@pytest.mark.parametrize("failing", [None, "503 x", "500 x"])
def test_a_request_goes_to_an_upstream_that_can_obey_it_whatever_the_load(able_is_idle, failing):
    asked = ChatRequest(BEGUN, is_continued=True)

    async def run() -> None:
        seen: list[bytes] = []
        async with raw_server([head(failing) + b"{}" if failing else TEXT], seen) as url:
            unable, able = Upstream("http://127.0.0.1:1", "k2"), Upstream(url, "k2")
            unable.owner, able.owner = "fireworks", "vllm"
            unable.outstanding, able.outstanding = int(able_is_idle), int(not able_is_idle)
            chat = UpstreamChat(UpstreamPool([unable, able]))
            if failing:
                with pytest.raises((EngineBusyError, UpstreamError)):
                    await complete(chat, asked)
            else:
                assert (await complete(chat, asked)).content == "well"
            assert unable.asked == 0
            able.healthy = False
            with pytest.raises(RequestError, match="begins a new turn"):
                await complete(chat, asked)

    asyncio.run(run())

"""RenderedChat over engines that others run: the answers of one over a generator here, and what
becomes of everything that can fail on the way."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack, aclosing

import pytest

from openk2.chat import ToolCall
from openk2.gateway import Upstream, UpstreamError, UpstreamPool, UpstreamTokens
from openk2.gateway.refused_fields import RefusedFields
from openk2.generation import (
    ChatAnswer,
    ChatRequest,
    CompletionRequest,
    RawCompletion,
    RenderedChat,
    RequestError,
    complete,
    complete_text,
)
from openk2.protocol import EngineBusyError, SamplingParams

from .upstreams import FakeUpstream

MESSAGES = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
CALLS = (
    "Let me see: 雪<b>[x]\n «<|tool_calls_section_begin|>»"
    "«<|tool_call_begin|>»functions.f:0«<|tool_call_argument_begin|>»"
    '{"a":"say <|im_end|> and \\" <|tool_call_end|> or [EOS]"}«<|tool_call_end|>»'
    "«<|tool_call_begin|>»functions.g:1«<|tool_call_argument_begin|>»{}«<|tool_call_end|>»"
    "«<|tool_calls_section_end|>»"
)
OUTPUTS = {
    "calls": CALLS + "«<|im_end|>»",
    "text": "a <|tool 🎿 [E «<|im_end|>»",
    "cut": 'x«<|tool_call_begin|>»functions.f:0«<|tool_call_argument_begin|>»{"a":"<|im',
    "empty": "«[EOS]»",
}


async def pool_of(stack: AsyncExitStack, *fakes: FakeUpstream) -> UpstreamPool:
    for fake in fakes:
        await stack.enter_async_context(fake)
    pool = UpstreamPool([Upstream(fake.url, "k2", timeout=5) for fake in fakes])
    await asyncio.to_thread(pool.probe)
    return pool


def ask(
    tokenizer, request: ChatRequest, *fakes: FakeUpstream, masks=None
) -> tuple[ChatAnswer, UpstreamPool]:
    async def run():
        async with AsyncExitStack() as stack:
            pool = await pool_of(stack, *fakes)
            tokens = UpstreamTokens(pool, tokenizer, 5000)
            chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids, masks)
            answer = await complete(chat, request)
            assert all(upstream.outstanding == 0 for upstream in pool.upstreams)
            return answer, pool

    return asyncio.run(run())


@pytest.mark.parametrize("stop", [(), ("e:",), ("雪<",)])
@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("gives_ids", [True, False])
@pytest.mark.parametrize("output", OUTPUTS)
def test_an_upstreams_answer_is_that_of_a_generator_here(
    tokenizer, scripted_tokens, encode_output, output, gives_ids, size, stop
):
    ids = encode_output(OUTPUTS[output])
    finish = "stop" if ids[-1] in tokenizer.stop_ids else "length"
    request = ChatRequest(MESSAGES, TOOLS, max_tokens=len(ids), stop=stop)
    here = RenderedChat(tokenizer, scripted_tokens(ids, finish), tokenizer.stop_ids)
    fake = FakeUpstream(tokenizer, ids)
    fake.gives_ids, fake.size = gives_ids, size
    assert ask(tokenizer, request, fake)[0] == asyncio.run(complete(here, request))


@pytest.mark.parametrize("gives_ids", [True, False])
@pytest.mark.parametrize("named", [True, False])
def test_scores_name_the_tokens_by_id_or_by_text(tokenizer, encode_output, named, gives_ids):
    ids = encode_output("雪 a«<|im_end|>»")
    fake = FakeUpstream(tokenizer, ids)
    fake.gives_ids = gives_ids
    if not named:
        fake.refuses = {"return_tokens_as_token_ids"}
    answer, _ = ask(tokenizer, ChatRequest(MESSAGES, logprobs=1, max_tokens=99), fake)
    assert answer.content == "雪 a"
    assert [score.token for score in answer.scores] == [
        tokenizer.decode_bytes([token_id]) for token_id in ids[:-1]
    ]
    assert [score.logprob for score in answer.scores] == [-i / 1024 for i in ids[:-1]]
    assert answer.scores[0].top == ((answer.scores[0].token, answer.scores[0].logprob),)


def test_the_request_holds_ids_and_every_setting_that_is_not_off(tokenizer, encode_output):
    settings = {
        "temperature": 0.5, "top_p": 0.9, "top_k": 3, "min_p": 0.2, "presence_penalty": 0.3,
        "frequency_penalty": -0.4, "repetition_penalty": 1.2, "seed": 0,
    }  # fmt: skip
    fake = FakeUpstream(tokenizer, encode_output("a«<|im_end|>»"))
    request = ChatRequest(MESSAGES, max_tokens=7, logit_bias={7: -1.0}, **settings)
    ask(tokenizer, request, fake)
    body = fake.bodies[0]
    assert {name: body[name] for name in settings} == settings
    assert (body["max_tokens"], body["logit_bias"]) == (7, {"7": -1.0})
    assert (body["model"], body["stream"]) == ("k2", True)
    assert body["stop_token_ids"] == sorted(tokenizer.stop_ids)
    assert "<|im_user|>user<|im_middle|>hi<|im_end|>" in tokenizer.decode(body["prompt"])


@pytest.mark.parametrize(("owner", "top_k"), [("vllm", 0), ("sglang", -1), ("somebody", None)])
def test_what_is_off_is_said_only_to_engines_that_have_defaults_of_their_own(
    tokenizer, encode_output, owner, top_k
):
    fake = FakeUpstream(tokenizer, encode_output("a«<|im_end|>»"))
    fake.card["owned_by"] = owner
    ask(tokenizer, ChatRequest(MESSAGES, max_tokens=7), fake)
    off = {"min_p": 0.0, "presence_penalty": 0.0, "repetition_penalty": 1.0, "top_k": top_k}
    body = fake.bodies[0]
    assert {name: body.get(name) for name in off} == (
        off if top_k is not None else dict.fromkeys(off)
    )
    assert not {"seed", "logit_bias", "logprobs"} & set(body)


def test_fields_that_are_refused_by_name_are_left_out_from_then_on(tokenizer, encode_output):
    fake = FakeUpstream(tokenizer, encode_output("hi«<|im_end|>»there"))
    fake.refuses = {"return_token_ids", "stop_token_ids"}

    async def run():
        async with AsyncExitStack() as stack:
            pool = await pool_of(stack, fake)
            tokens = UpstreamTokens(pool, tokenizer, 5000)
            chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids)
            return [await complete(chat, ChatRequest(MESSAGES, max_tokens=30)) for _ in range(2)]

    answers = asyncio.run(run())
    # It did not know where to stop: the reader ends there, and leaves.
    assert [answer.content for answer in answers] == ["hi", "hi"]
    assert [answer.finish_reason for answer in answers] == ["stop", "stop"]
    assert [sorted(fake.refuses & set(body)) for body in fake.bodies] == [
        ["return_token_ids", "stop_token_ids"], [], [],
    ]  # fmt: skip


def test_a_400_that_quotes_the_request_leaves_no_field_out(tokenizer, encode_output):
    fake = FakeUpstream(tokenizer, encode_output("hi«<|im_end|>»"))
    fake.faults = ["echo"]

    async def run():
        async with AsyncExitStack() as stack:
            pool = await pool_of(stack, fake)
            tokens = UpstreamTokens(pool, tokenizer, 5000)
            chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids)
            with pytest.raises(RequestError, match="400: cannot read"):
                await complete(chat, ChatRequest(MESSAGES, max_tokens=30))
            return await complete(chat, ChatRequest(MESSAGES, max_tokens=30))

    assert asyncio.run(run()).content == "hi"
    first, second = fake.bodies
    assert first.keys() == second.keys() > {"return_token_ids", "stop_token_ids"}


def test_what_is_refused_and_taken_again_is_logged_once(tokenizer, encode_output, caplog):
    fake = FakeUpstream(tokenizer, encode_output("hi«<|im_end|>»"))
    clock = iter(range(0, 10**9, 400))  # seconds, at each look: a refusal lasts two of them

    async def run():
        async with AsyncExitStack() as stack:
            pool = await pool_of(stack, fake)
            pool.upstreams[0].refused = RefusedFields(lambda: next(clock))
            tokens = UpstreamTokens(pool, tokenizer, 5000)
            chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids)
            for refuses in ({"stop_token_ids"}, {"stop_token_ids"}, set(), set()):
                fake.refuses = refuses
                await complete(chat, ChatRequest(MESSAGES, max_tokens=30))

    asyncio.run(run())
    said = [record.getMessage().partition(" ")[2].partition(" ")[2] for record in caplog.records]
    assert said == ["refuses: stop_token_ids", "takes again: stop_token_ids"]


def test_a_refused_request_is_refused_with_the_upstreams_words(tokenizer):
    fake = FakeUpstream(tokenizer, [65])
    fake.refuses = {"min_p"}
    with pytest.raises(RequestError, match="min_p"):
        ask(tokenizer, ChatRequest(MESSAGES, min_p=0.5, max_tokens=5), fake)
    assert len(fake.bodies) == 1


def test_echo_with_scores_is_refused_by_name(tokenizer):
    async def run():
        async with AsyncExitStack() as stack:
            pool = await pool_of(stack, FakeUpstream(tokenizer, [65]))
            tokens = UpstreamTokens(pool, tokenizer, 5000)
            raw = RawCompletion(tokenizer, tokens, tokenizer.stop_ids)
            text = await complete_text(raw, CompletionRequest("hi", max_tokens=1, echo=True))
            assert text.text == "hi" + tokenizer.decode([65])
            await complete_text(raw, CompletionRequest("hi", echo=True, logprobs=1))

    with pytest.raises(RequestError, match="echo with logprobs"):
        asyncio.run(run())


def test_what_the_upstream_had_cached_is_told(tokenizer, encode_output):
    fake = FakeUpstream(tokenizer, encode_output("a«<|im_end|>»"))
    fake.cached = 9
    assert ask(tokenizer, ChatRequest(MESSAGES, max_tokens=5), fake)[0].cached_tokens == 9


@pytest.mark.parametrize("fault", ["drop", "500", "busy", "garbage", "missing"])
def test_another_upstream_answers_when_one_fails_before_its_first_token(
    tokenizer, encode_output, fault
):
    fakes = [FakeUpstream(tokenizer, encode_output("well«<|im_end|>»")) for _ in range(2)]
    for fake in fakes:
        fake.faults = [fault]
    alone = FakeUpstream(tokenizer, encode_output("well«<|im_end|>»"))
    alone.faults = [fault] * 3
    request = ChatRequest(MESSAGES, max_tokens=9, seed=1)
    assert ask(tokenizer, request, *fakes)[0].content == "well"
    assert [len(fake.bodies) for fake in fakes] in ([2, 1], [1, 2])
    with pytest.raises(EngineBusyError if fault == "busy" else UpstreamError):
        ask(tokenizer, request, alone)
    assert len(alone.bodies) == 3


def test_one_that_cannot_be_reached_is_passed_over_until_a_probe_finds_it(tokenizer, encode_output):
    async def run():
        fake = FakeUpstream(tokenizer, encode_output("well«<|im_end|>»"))
        async with fake, FakeUpstream(tokenizer, [65]) as gone:
            pass
        url = gone.url
        async with AsyncExitStack() as stack:
            fake = await stack.enter_async_context(FakeUpstream(tokenizer, fake.output))
            pool = UpstreamPool([Upstream(url, "k2"), Upstream(fake.url, "k2")])
            tokens = UpstreamTokens(pool, tokenizer, 5000)
            chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids)
            for _ in range(4):
                pool.upstreams[1].outstanding += 1  # so that the other is asked first
                answer = await complete(chat, ChatRequest(MESSAGES, max_tokens=9))
                assert answer.content == "well"
            assert [upstream.healthy for upstream in pool.upstreams] == [False, True]
            await asyncio.to_thread(pool.probe)
            assert not pool.upstreams[0].healthy
            pool.upstreams[1].healthy = False
            with pytest.raises(EngineBusyError, match="no upstream is healthy"):
                await complete(chat, ChatRequest(MESSAGES, max_tokens=9))
            await asyncio.to_thread(pool.probe)
            assert (await complete(chat, ChatRequest(MESSAGES, max_tokens=9))).content == "well"

    asyncio.run(run())


@pytest.mark.parametrize("gives_ids", [True, False])
def test_an_answer_that_breaks_off_is_gone_on_with(tokenizer, encode_output, gives_ids):
    fake = FakeUpstream(tokenizer, encode_output(OUTPUTS["calls"]))
    fake.gives_ids, fake.faults = gives_ids, ["die", "die"]
    answer, _ = ask(tokenizer, ChatRequest(MESSAGES, TOOLS, max_tokens=400), fake)
    assert [call.name for call in answer.tool_calls] == ["f", "g"]
    assert answer.content == "Let me see: 雪<b>[x]\n "
    assert len(fake.bodies) == 3
    assert answer.completion_tokens == len(encode_output(OUTPUTS["calls"]))


@pytest.mark.parametrize("settings", [{"seed": 4}, {"presence_penalty": 1.0}])
def test_one_that_would_become_another_answer_is_not(tokenizer, encode_output, settings):
    fake = FakeUpstream(tokenizer, encode_output("hello there«<|im_end|>»"))
    fake.faults = ["die"]
    with pytest.raises(UpstreamError, match="broke off"):
        ask(tokenizer, ChatRequest(MESSAGES, max_tokens=99, **settings), fake)
    assert len(fake.bodies) == 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ({"faults": ["abort"] * 3}, "abort"),
        ({"output": lambda done, body: [9999]}, "is not in the vocabulary"),
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error_that_says_so(tokenizer, spoil, words):
    fake = FakeUpstream(tokenizer, [65, 66])
    fake.text = lambda shown, ids, last: ("", b"")
    for name, value in spoil.items():
        setattr(fake, name, value)
    with pytest.raises(UpstreamError, match=words):
        ask(tokenizer, ChatRequest(MESSAGES, max_tokens=2, seed=1), fake)


def test_a_client_that_leaves_closes_the_upstreams_connection(tokenizer):
    fake = FakeUpstream(tokenizer, [65] * 1000)
    fake.pace = 0.01

    async def run():
        async with AsyncExitStack() as stack:
            pool = await pool_of(stack, fake)
            tokens = UpstreamTokens(pool, tokenizer, 5000)
            params = SamplingParams(max_tokens=1000)
            async with aclosing(tokens.generate([1, 2], params)) as chunks:
                async for chunk in chunks:
                    assert chunk.token_ids == (65,)
                    assert pool.stats()["upstream_0_outstanding"] == 1
                    break
            await asyncio.wait_for(fake.left.wait(), 2)
            assert pool.stats() == {
                "upstreams_healthy": 1,
                "upstream_0_healthy": True,
                "upstream_0_outstanding": 0,
                "upstream_0_asked": 1,
            }

    asyncio.run(run())


def test_the_key_is_sent(tokenizer):
    fake = FakeUpstream(tokenizer, [65])

    async def run():
        async with fake:
            upstream = Upstream(fake.url + "/v1/", "k2", api_key="s3cret")
            await asyncio.to_thread(upstream.probe)
            stream = upstream.stream({"prompt": [1], "max_tokens": 1}, {}, {})
            assert [chunk async for chunk in stream]

    asyncio.run(run())
    assert len(fake.headers) == 3
    assert all("authorization: bearer s3cret" in head.lower() for head in fake.headers)


Encode = Callable[[str], list[int]]


def test_calls_are_those_of_the_answer(tokenizer, encode_output: Encode):
    fake = FakeUpstream(tokenizer, encode_output(OUTPUTS["calls"]))
    fake.gives_ids = False
    answer, _ = ask(tokenizer, ChatRequest(MESSAGES, TOOLS, max_tokens=400), fake)
    arguments = '{"a":"say <|im_end|> and \\" <|tool_call_end|> or [EOS]"}'
    assert answer.tool_calls == (
        ToolCall("functions.f:0", "f", arguments),
        ToolCall("functions.g:1", "g", "{}"),
    )

"""RenderedChat: prompts, limits, finish reasons, cancellation."""

import asyncio
import threading
import time

import pytest

from openk2.chat import ContentDelta, RenderError, encode_chat, render
from openk2.generation import (
    ChatFinish,
    ChatRequest,
    ContextLengthError,
    PromptRead,
    RenderedChat,
    RequestError,
    complete,
)
from openk2.generation import chat_format as format_module

MESSAGES = [{"role": "user", "content": "Weather in Beijing?"}]
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": {}}}]
END = "«<|im_end|>»"
CALL = (
    "«<|tool_call_begin|>»functions.get_weather:0«<|tool_call_argument_begin|>»"
    '{"city":"Beijing"}«<|tool_call_end|>»'
)
SECTION = f"«<|tool_calls_section_begin|>»{CALL}«<|tool_calls_section_end|>»"
CUT_CALL = '«<|tool_call_begin|>»functions.get_weather:1«<|tool_call_argument_begin|>»{"ci'


def answer(tokenizer, tokens, **fields):
    chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids)
    return asyncio.run(complete(chat, ChatRequest(MESSAGES, **fields)))


def test_the_prompt_is_the_rendered_conversation_with_its_tools(
    tokenizer, scripted_tokens, encode_output
):
    tokens = scripted_tokens(encode_output("hi" + END))
    result = answer(tokenizer, tokens, tools=TOOLS)
    assert tokens.prompt == encode_chat(tokenizer, MESSAGES, TOOLS).token_ids
    assert result.prompt_tokens == len(tokens.prompt)
    assert result.completion_tokens == 3  # the stop token counts


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_an_answer_does_not_depend_on_how_its_tokens_arrive(
    tokenizer, scripted_tokens, encode_output, size
):
    tokens = scripted_tokens(encode_output(f"我查一下。{SECTION}{END}"), size=size)
    result = answer(tokenizer, tokens, tools=TOOLS)
    assert result.content == "我查一下。"
    assert [(c.id, c.name, c.arguments) for c in result.tool_calls] == [
        ("functions.get_weather:0", "get_weather", '{"city":"Beijing"}')
    ]
    assert result.finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("output", "ended", "reason", "calls"),
    [
        ("Sunny." + END, "stop", "stop", 0),
        ("Sun", "length", "length", 0),
        (SECTION + END, "stop", "tool_calls", 1),
        ("«<|tool_calls_section_begin|>»" + CALL, "length", "length", 1),
        ("«<|tool_calls_section_begin|>»" + CUT_CALL, "length", "length", 0),
        ("«<|tool_calls_section_begin|>»" + CALL + CUT_CALL, "length", "length", 1),
        ("«<|tool_calls_section_begin|>»" + CUT_CALL + END, "stop", "stop", 0),
        ("«<|tool_calls_section_begin|>»" + CALL + CUT_CALL + END, "stop", "tool_calls", 1),
    ],
)
def test_the_finish_is_tool_calls_only_if_a_call_is_complete_and_nothing_cut_by_the_limit(
    tokenizer, scripted_tokens, encode_output, output, ended, reason, calls
):
    result = answer(tokenizer, scripted_tokens(encode_output(output), ended), tools=TOOLS)
    assert (result.finish_reason, len(result.tool_calls)) == (reason, calls)


def test_tool_choice_none_neither_declares_tools_nor_hears_calls(
    tokenizer, scripted_tokens, encode_output
):
    tokens = scripted_tokens(encode_output(f"No.{SECTION}{END}"))
    result = answer(tokenizer, tokens, tools=TOOLS, tool_choice="none")
    assert tokens.prompt == encode_chat(tokenizer, MESSAGES).token_ids
    assert (result.content, result.tool_calls, result.finish_reason) == ("No.", (), "stop")


def test_foreign_call_ids_are_renamed_and_the_next_call_is_numbered_on(
    tokenizer, scripted_tokens, encode_output
):
    call = {"id": "call_9f", "function": {"name": "get_weather", "arguments": "{}"}}
    history = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_9f", "content": "Sunny"},
    ]
    bare = "«<|tool_call_begin|>»get_weather«<|tool_call_argument_begin|>»{}«<|tool_call_end|>»"
    tokens = scripted_tokens(encode_output(bare + END))
    chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids)
    result = asyncio.run(complete(chat, ChatRequest(history, tools=TOOLS)))
    prompt = tokenizer.decode(tokens.prompt)
    assert "call_9f" not in prompt
    assert "get_weather<|im_middle|>## Return of functions.get_weather:0\nSunny" in prompt
    assert result.tool_calls[0].id == "functions.get_weather:1"


def test_sampling_settings_reach_the_token_generator(tokenizer, scripted_tokens, encode_output):
    tokens = scripted_tokens(encode_output(END))
    settings = {
        "max_tokens": 7, "temperature": 0.1, "top_p": 0.5, "top_k": 3, "min_p": 0.2,
        "presence_penalty": 0.3, "frequency_penalty": -0.4, "repetition_penalty": 1.2,
        "logit_bias": {7: -1.0}, "logprobs": 2, "seed": 11,
    }  # fmt: skip
    answer(tokenizer, tokens, **settings)
    assert {name: getattr(tokens.params, name) for name in settings} == settings
    assert tokens.params.stop_token_ids == tokenizer.stop_ids
    assert tokens.params.prompt_logprobs is None


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"logit_bias": {512: 1.0}}, "logit_bias has id 512"),
        ({"logit_bias": {-1: 1.0}}, "logit_bias has id -1"),
        ({"top_p": -0.1}, "top_p is -0.1"),
        ({"stop": "END"}, "stop is 'END'"),
        ({"stop": ("a", "")}, "stop is"),
    ],
)
def test_a_setting_that_cannot_be_obeyed_is_the_requests_fault(
    tokenizer, scripted_tokens, settings, word
):
    with pytest.raises(RequestError, match=word):
        answer(tokenizer, scripted_tokens([]), **settings)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_stop_string_ends_the_answer_and_cancels_the_request(
    tokenizer, scripted_tokens, encode_output, size
):
    tokens = scripted_tokens(encode_output("one two three" + END), size=size)
    result = answer(tokenizer, tokens, stop=("two",), logprobs=1)
    assert (result.content, result.finish_reason, result.stop_string) == ("one ", "stop", "two")
    assert result.completion_tokens == len(result.scores) == len("one two")
    assert tokens.closed


def test_scores_are_there_only_if_they_were_asked_for(tokenizer, scripted_tokens, encode_output):
    ids = encode_output(SECTION + END)
    assert answer(tokenizer, scripted_tokens(ids), tools=TOOLS).scores == ()
    scores = answer(tokenizer, scripted_tokens(ids), tools=TOOLS, logprobs=2).scores
    assert [score.token for score in scores] == [tokenizer.decode_bytes([i]) for i in ids[:-1]]
    assert all(len(score.top) == 2 for score in scores)


def test_without_max_tokens_the_answer_may_fill_the_context(
    tokenizer, scripted_tokens, encode_output
):
    tokens = scripted_tokens(encode_output(END))
    answer(tokenizer, tokens)
    assert tokens.params.max_tokens == tokens.context_length - len(tokens.prompt)


@pytest.mark.parametrize("max_tokens", [None, 1, 50])
def test_a_request_that_exceeds_the_context_is_refused_with_its_sizes(
    tokenizer, scripted_tokens, max_tokens
):
    prompt = len(encode_chat(tokenizer, MESSAGES).token_ids)
    context = prompt + (max_tokens or 1) - 1
    with pytest.raises(ContextLengthError) as caught:
        answer(tokenizer, scripted_tokens([], context_length=context), max_tokens=max_tokens)
    error = caught.value
    assert (error.prompt_tokens, error.max_tokens) == (prompt, max_tokens)
    assert error.context_length == context


def test_a_request_that_exactly_fills_the_context_is_served(
    tokenizer, scripted_tokens, encode_output
):
    context = len(encode_chat(tokenizer, MESSAGES).token_ids) + 5
    tokens = scripted_tokens(encode_output("hi" + END), context_length=context)
    assert answer(tokenizer, tokens, max_tokens=5).content == "hi"


def test_closing_the_stream_closes_the_token_generator(tokenizer, scripted_tokens, encode_output):
    tokens = scripted_tokens(encode_output("A long answer." + END))

    async def leave_early():
        stream = RenderedChat(tokenizer, tokens, tokenizer.stop_ids).stream(ChatRequest(MESSAGES))
        read, first = await anext(stream), await anext(stream)
        await stream.aclose()
        return read, first

    read, first = asyncio.run(leave_early())
    assert read == PromptRead(len(encode_chat(tokenizer, MESSAGES).token_ids))
    assert first == ContentDelta("A")
    assert tokens.closed


def test_the_finish_is_the_last_event_and_comes_once(tokenizer, scripted_tokens, encode_output):
    async def events():
        chat = RenderedChat(
            tokenizer, scripted_tokens(encode_output("hi" + END)), tokenizer.stop_ids
        )
        return [event async for event in chat.stream(ChatRequest(MESSAGES))]

    finishes = [isinstance(event, ChatFinish) for event in asyncio.run(events())]
    assert finishes == [False] * (len(finishes) - 1) + [True]


def test_a_message_that_cannot_be_rendered_is_named(tokenizer, scripted_tokens):
    chat = RenderedChat(tokenizer, scripted_tokens([]), tokenizer.stop_ids)
    with pytest.raises(RenderError, match=r"messages\[0\]\.role"):
        asyncio.run(complete(chat, ChatRequest([{"role": "owl", "content": "hoo"}])))


def test_a_generator_that_ends_without_a_reason_is_an_error(tokenizer, scripted_tokens):
    with pytest.raises(RuntimeError, match="without a finish reason"):
        answer(tokenizer, scripted_tokens([]))


def test_a_stop_token_that_only_a_checkpoint_names_is_no_text(tokenizer, scripted_tokens):
    tokens = scripted_tokens(tokenizer.encode("hi\x07"), size=3)
    assert answer(tokenizer, tokens).content == "hi"
    tokens = scripted_tokens(tokenizer.encode("hi\x07"), "length", size=3)
    assert answer(tokenizer, tokens).content == "hi\x07"


def test_the_event_loop_runs_on_while_a_prompt_is_rendered_and_encoded(
    tokenizer, scripted_tokens, encode_output, monkeypatch
):
    def slow(*arguments, **settings):
        time.sleep(0.2)
        return render(*arguments, **settings)

    async def ticks():
        chat = RenderedChat(tokenizer, scripted_tokens(encode_output(END)), tokenizer.stop_ids)
        answering = asyncio.create_task(complete(chat, ChatRequest(MESSAGES)))
        count = 0
        while not answering.done():
            await asyncio.sleep(0.01)
            count += 1
        return count

    monkeypatch.setattr(format_module, "render", slow)
    assert asyncio.run(ticks()) > 5


class SlowMasks:
    """Masks that wait for a gate; works: what each was to be counted by; made: in which thread."""

    def __init__(self) -> None:
        self.gate, self.works, self.made = threading.Event(), [], []

    def masks(self, request, *, max_tokens, first_number, work):
        self.works.append(work)
        self.gate.wait(10)

        def fresh() -> None:
            self.made.append(threading.get_ident())

        return fresh


def test_the_choices_of_a_request_compile_their_schemas_once(
    tokenizer, scripted_tokens, encode_output
):
    masks = SlowMasks()
    tokens = scripted_tokens(encode_output("hi" + END))
    chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids, masks)
    asked = [ChatRequest(MESSAGES, tools=TOOLS, owner=owner) for owner in ["a"] * 40 + ["b"]]

    async def ask() -> None:
        choices = asyncio.gather(*(complete(chat, one) for one in asked))
        while len(masks.works) < 2:
            await asyncio.sleep(0.001)
        masks.gate.set()
        await choices

    asyncio.run(ask())
    chat.close()
    assert (len(masks.works), len(masks.made)) == (2, 41)
    assert threading.get_ident() not in masks.made  # the event loop's


def test_a_client_that_leaves_ends_the_work_on_its_schemas(tokenizer, scripted_tokens):
    masks = SlowMasks()
    chat = RenderedChat(tokenizer, scripted_tokens([]), tokenizer.stop_ids, masks)
    requests = [ChatRequest(MESSAGES, tools=TOOLS, owner="a")] * 2

    async def leave() -> None:
        first, last = (asyncio.create_task(complete(chat, one)) for one in requests)
        while not masks.works:
            await asyncio.sleep(0.001)
        first.cancel()
        await asyncio.wait([first])
        masks.works[0].check()
        last.cancel()
        await asyncio.wait([last])
        with pytest.raises(RequestError, match="nobody waits"):
            masks.works[0].check()
        masks.gate.set()

    asyncio.run(leave())
    chat.close()

"""logprobs of chat answers: the raw tokens, in order, whole and streamed, with calls too."""

import asyncio

import pytest

from openk2.generation import ChatRequest, HttpChat, RenderedChat, complete

MODEL = "openk2-test"
MESSAGES = [{"role": "user", "content": "hi"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
END = "«<|im_end|>»"
CALL = (
    "«<|tool_calls_section_begin|>»«<|tool_call_begin|>»functions.f:0"
    "«<|tool_call_argument_begin|>»{}«<|tool_call_end|>»«<|tool_calls_section_end|>»"
)
TEXT = f"雪 is snow.{CALL}{END}"


def ask(client, tokens, **fields):
    return client(tokens).chat.completions.create(
        model=MODEL, messages=MESSAGES, tools=TOOLS, logprobs=True, **fields
    )


def test_each_raw_token_has_an_entry_markers_too_and_the_stop_token_has_none(
    client, scripted, tokenizer
):
    tokens = scripted(TEXT)
    answer = ask(client, tokens, top_logprobs=2)
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    ids = tokens.encode(TEXT)[:-1]
    entries = choice.logprobs.content
    assert [bytes(entry.bytes) for entry in entries] == [tokenizer.decode_bytes([i]) for i in ids]
    assert len(entries) == answer.usage.completion_tokens - 1
    assert [entry.token for entry in entries][:4] == [
        "bytes:\\xe9", "bytes:\\x9b", "bytes:\\xaa", " "
    ]  # fmt: skip
    assert "<|tool_call_begin|>" in [entry.token for entry in entries]
    for entry in entries:
        best, second = entry.top_logprobs
        assert best.logprob >= max(second.logprob, entry.logprob)


@pytest.mark.parametrize("top", [None, 0])
def test_without_top_logprobs_only_the_tokens_themselves_are_scored(client, scripted, top):
    tokens = scripted(f"a{END}")
    entries = ask(client, tokens, top_logprobs=top).choices[0].logprobs.content
    assert [(entry.token, entry.top_logprobs) for entry in entries] == [("a", [])]
    assert tokens.params[0].logprobs == 0


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("stop", [None, "sn", "snow.", "now. and more"])
def test_streamed_scores_join_to_the_whole_ones(client, scripted, size, stop):
    tokens = scripted(TEXT)
    tokens.size = size
    whole = ask(client, tokens, stop=stop, top_logprobs=1).choices[0]
    streamed, content = [], ""
    for chunk in ask(client, tokens, stop=stop, top_logprobs=1, stream=True):
        choice = chunk.choices[0]
        content += choice.delta.content or ""
        streamed += choice.logprobs.content if choice.logprobs else []
    assert streamed == whole.logprobs.content
    assert content == whole.message.content


def test_the_tokens_of_a_stop_string_are_scored_and_not_shown(client, scripted):
    answer = ask(client, scripted(f"one two{END}"), stop=["two"])
    choice = answer.choices[0]
    assert (choice.message.content, choice.finish_reason) == ("one ", "stop")
    assert "".join(entry.token for entry in choice.logprobs.content) == "one two"
    assert answer.usage.completion_tokens == len("one two")


def test_without_logprobs_there_are_none(client, scripted):
    openai = client(scripted(f"a{END}"))
    answer = openai.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert answer.choices[0].logprobs is None
    chunks = openai.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert all(chunk.choices[0].logprobs is None for chunk in chunks)


def test_http_chat_reads_the_scores_that_this_server_sends(serve, scripted, tokenizer):
    asked = ChatRequest(MESSAGES, tools=TOOLS, logprobs=2)
    direct = RenderedChat(tokenizer, scripted(TEXT), tokenizer.stop_ids)
    over_http = asyncio.run(complete(HttpChat(serve(scripted(TEXT)), MODEL), asked))
    assert over_http == asyncio.run(complete(direct, asked))
    assert len(over_http.scores) > 20

"""RawCompletion: prompts, text with specials by name, stop strings, echo and scores."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.chat import ContentDelta
from openk2.generation import (
    ChatFinish,
    CompletionRequest,
    ContextLengthError,
    RawCompletion,
    RequestError,
    TokensScored,
    complete_text,
)
from openk2.generation.raw_reader import RawReader
from openk2.protocol import TokenChunk, TokenLogprobs

END = "«<|im_end|>»"
SECTION = "«<|tool_calls_section_begin|>»x«<|tool_calls_section_end|>»"


def run(tokenizer, tokens, prompt="hi", **fields):
    completion = RawCompletion(tokenizer, tokens, tokenizer.stop_ids)
    return asyncio.run(complete_text(completion, CompletionRequest(prompt, **fields)))


def test_names_of_specials_in_a_prompt_are_specials_and_come_out_by_name(
    tokenizer, scripted_tokens, encode_output
):
    tokens = scripted_tokens(encode_output(f"yes{SECTION}{END}"))
    output = run(tokenizer, tokens, "<|im_user|>user<|im_middle|>hi")
    assert tokens.prompt == encode_output("«<|im_user|>»user«<|im_middle|>»hi")
    assert output.text == "yes<|tool_calls_section_begin|>x<|tool_calls_section_end|>"
    assert output.finish_reason == "stop"
    assert output.completion_tokens == len(tokens.ids)


def test_ids_reach_the_generator_as_they_are(tokenizer, scripted_tokens, encode_output):
    tokens = scripted_tokens(encode_output(END))
    run(tokenizer, tokens, [5, 300, 7])
    assert tokens.prompt == [5, 300, 7]


def test_settings_reach_the_generator(tokenizer, scripted_tokens, encode_output):
    tokens = scripted_tokens(encode_output(END))
    settings = {
        "temperature": 0.1, "top_p": 0.5, "top_k": 3, "min_p": 0.2, "presence_penalty": 0.3,
        "frequency_penalty": -0.4, "repetition_penalty": 1.2, "logit_bias": {7: -1.0}, "seed": 4,
        "logprobs": 2, "max_tokens": 9,
    }  # fmt: skip
    run(tokenizer, tokens, **settings)
    assert {name: getattr(tokens.params, name) for name in settings} == settings
    assert tokens.params.stop_token_ids == tokenizer.stop_ids
    assert tokens.params.prompt_logprobs is None
    run(tokenizer, tokens)
    assert (tokens.params.max_tokens, tokens.params.logprobs) == (16, None)


def cut(ids, places, prompt_logprobs=None):
    places = [0, *sorted({place for place in places if 0 < place < len(ids)}), len(ids)]
    for start, end in pairwise(places):
        part = tuple(ids[start:end])
        scores = tuple(TokenLogprobs(token, -float(i)) for i, token in enumerate(part, start))
        last = "length" if end == len(ids) else None
        yield TokenChunk(part, last, scores, prompt_logprobs if start == 0 else None)


def read(tokenizer, request, prompt, chunks):
    """(text, scores, finish) of the chunks."""
    reader = RawReader(tokenizer, request, prompt)
    events = []
    for chunk in chunks:
        events += reader.read(chunk)
        if reader.finished:
            break
    text = "".join(event.text for event in events if isinstance(event, ContentDelta))
    scores = [s for event in events if isinstance(event, TokensScored) for s in event.tokens]
    assert isinstance(events[-1], ChatFinish)
    return text, scores, events[-1]


PARTS = st.sampled_from(["a", "b", "雪", "😀", "«[PAD]»", "«<|tool_call_begin|>»"])
STOPS = st.lists(st.sampled_from(["a", "ab", "ba", "雪", "b雪", "[PAD]", "D]a", "<|"]), max_size=3)


@given(st.lists(PARTS, max_size=8), STOPS, st.sets(st.integers(1, 40)), st.integers(0, 3))
def test_an_output_does_not_depend_on_the_cuts(
    tokenizer, encode_output, parts, stop, places, missing
):
    ids = encode_output("".join(parts))
    ids = ids[: len(ids) - missing]
    request = CompletionRequest("", stop=tuple(stop), logprobs=0)
    whole = text, scores, finish = read(tokenizer, request, [1], cut(ids, []))
    assert read(tokenizer, request, [1], cut(ids, places)) == whole
    assert read(tokenizer, request, [1], cut(ids, range(len(ids)))) == whole
    everything = tokenizer.decode(ids)
    assert everything.startswith(text + (finish.stop_string or ""))
    assert len(scores) == finish.completion_tokens
    if finish.stop_string is None:
        assert (text, finish.reason) == (everything, "length")
    else:
        assert finish.reason == "stop"
        assert not any(s in text for s in stop)


def test_a_character_is_given_when_it_is_whole(tokenizer):
    reader = RawReader(tokenizer, CompletionRequest(""), [1])
    given = [list(reader.read(TokenChunk((token,)))) for token in tokenizer.encode("雪!")]
    assert given == [[], [], [ContentDelta("雪")], [ContentDelta("!")]]


def test_a_character_that_never_becomes_whole_is_replaced(tokenizer):
    request = CompletionRequest("")
    first = tokenizer.encode("雪")[0]
    assert (
        read(tokenizer, request, [1], [TokenChunk((first,), "length")])[0]
        == "\N{REPLACEMENT CHARACTER}"
    )


def test_a_stop_string_cancels_the_generator(tokenizer, scripted_tokens, encode_output):
    tokens = scripted_tokens(encode_output("one two three" + END))
    output = run(tokenizer, tokens, stop=("two",))
    assert (output.text, output.finish_reason, output.completion_tokens) == ("one ", "stop", 7)
    assert tokens.closed


def test_echo_puts_the_prompt_before_the_output_and_its_scores_before_the_outputs(tokenizer):
    prompt = tokenizer.encode("ab")
    request = CompletionRequest(prompt, echo=True, logprobs=1, stop=("b",))
    (other,) = tokenizer.encode("c")
    predicted = TokenLogprobs(prompt[1], -0.5, ((other, -0.25),))
    text, scores, finish = read(
        tokenizer, request, prompt, cut(tokenizer.encode("xby"), [], (None, predicted))
    )
    assert (text, finish.reason, finish.completion_tokens) == ("abx", "stop", 2)
    assert [(s.token, s.logprob) for s in scores] == [
        (b"a", None), (b"b", -0.5), (b"x", 0.0), (b"b", -1.0)
    ]  # fmt: skip
    assert scores[1].top == ((b"c", -0.25),)


def test_a_character_begun_in_an_echoed_prompt_is_ended_by_the_output(tokenizer):
    ids = tokenizer.encode("雪")
    request = CompletionRequest(ids[:1], echo=True)
    assert read(tokenizer, request, ids[:1], [TokenChunk(tuple(ids[1:]), "length")])[0] == "雪"


def test_scores_hold_the_stop_token_which_the_text_does_not(
    tokenizer, scripted_tokens, encode_output
):
    output = run(tokenizer, scripted_tokens(encode_output("a" + END)), logprobs=0)
    assert output.text == "a"
    assert [score.token for score in output.scores] == [b"a", b"<|im_end|>"]


@pytest.mark.parametrize("logprobs", [None, 0, 3])
@pytest.mark.parametrize(("echo", "max_tokens"), [(True, 0), (True, 1), (False, 1)])
def test_prompt_scores_are_asked_for_where_they_are_needed(
    tokenizer, scripted_tokens, logprobs, echo, max_tokens
):
    completion = RawCompletion(tokenizer, scripted_tokens([]), tokenizer.stop_ids)
    request = CompletionRequest("a", echo=echo, max_tokens=max_tokens, logprobs=logprobs)
    params = completion.sampling(request, 1)
    expected = logprobs if echo else None
    assert params.prompt_logprobs == (expected or 0 if max_tokens == 0 else expected)
    assert (params.max_tokens, params.logprobs) == (max_tokens, logprobs if max_tokens else None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [512]}, "prompt"),
        ({"prompt": [3, -1]}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": -1, "echo": True}, None),
        ({"logit_bias": {512: 1.0}}, "logit_bias"),
        ({"logit_bias": {-1: 1.0}}, "logit_bias"),
    ],
)
def test_a_request_that_cannot_be_answered_names_its_field(
    tokenizer, scripted_tokens, fields, param
):
    with pytest.raises(RequestError) as caught:
        run(tokenizer, scripted_tokens([]), **fields)
    assert caught.value.param == param


def test_a_request_that_exceeds_the_context_is_refused_with_its_sizes(tokenizer, scripted_tokens):
    tokens = scripted_tokens([], context_length=10)
    with pytest.raises(ContextLengthError) as caught:
        run(tokenizer, tokens, "12345", max_tokens=6)
    error = caught.value
    assert (error.prompt_tokens, error.max_tokens, error.context_length) == (5, 6, 10)
    assert error.param == "prompt"
    assert "shorten the prompt" in str(error)


def test_a_request_that_exactly_fills_the_context_is_served(
    tokenizer, scripted_tokens, encode_output
):
    tokens = scripted_tokens(encode_output(END), context_length=10)
    assert run(tokenizer, tokens, "12345", max_tokens=5).finish_reason == "stop"

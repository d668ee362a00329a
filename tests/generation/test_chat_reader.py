"""ChatReader: stop strings, scores and finish, however the output was cut into chunks."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openk2.chat import CallArguments, CallEnd, CallStart, ContentDelta, OutputParser
from openk2.generation import ChatFinish, TokensScored
from openk2.generation.chat_reader import ChatReader
from openk2.protocol import TokenChunk, TokenLogprobs

CALL = "«<|tool_call_begin|>»functions.f:0«<|tool_call_argument_begin|>»{}«<|tool_call_end|>»"
PARTS = st.sampled_from(
    ["a", "b", "ab", " ", "雪", "<|", "<|tool", CALL, "«<|tool_call_begin|>»g:", "«[PAD]»"]
)
STOPS = st.lists(
    st.sampled_from(["a", "ab", "ba", "b a", "雪", "{", "<|t", "aab", " "]), max_size=3
)


def read(tokenizer, chunks, stop):
    """(content, calls, scores, finish) of the chunks."""
    parser = OutputParser(tokenizer, ["f"])
    reader = ChatReader(tokenizer, parser, tuple(stop), 7)
    events = []
    for chunk in chunks:
        events += reader.read(chunk)
        if reader.finished:
            break
    content = "".join(event.text for event in events if isinstance(event, ContentDelta))
    calls = [e for e in events if isinstance(e, CallStart | CallEnd)]
    arguments = "".join(event.text for event in events if isinstance(event, CallArguments))
    scores = [s for event in events if isinstance(event, TokensScored) for s in event.tokens]
    assert isinstance(events[-1], ChatFinish)
    return content, calls, arguments, scores, events[-1]


def cut(ids, reason, places):
    """The ids in chunks that end at these places; the last has the reason."""
    places = [0, *sorted({place for place in places if 0 < place < len(ids)}), len(ids)]
    for start, end in pairwise(places):
        part = tuple(ids[start:end])
        scores = tuple(TokenLogprobs(token, -float(i)) for i, token in enumerate(part, start))
        yield TokenChunk(part, reason if end == len(ids) else None, scores)


@given(st.lists(PARTS, max_size=8), STOPS, st.booleans(), st.sets(st.integers(1, 200)))
def test_an_answer_does_not_depend_on_the_cuts(
    tokenizer, encode_output, parts, stop, ended, places
):
    ids = encode_output("".join(parts))
    ids += [tokenizer.special("<|im_end|>")] if ended else []
    reason = "stop" if ended else "length"
    whole = read(tokenizer, cut(ids, reason, []), stop)
    assert read(tokenizer, cut(ids, reason, places), stop) == whole
    assert read(tokenizer, cut(ids, reason, range(len(ids))), stop) == whole


@given(st.text("ab雪", max_size=20), STOPS)
def test_an_answer_ends_with_the_token_that_completes_a_stop_string(
    tokenizer, encode_output, text, stop
):
    ids = tokenizer.encode(text)
    ends = [n for n in range(1, len(ids) + 1) if any(s in tokenizer.decode(ids[:n]) for s in stop)]
    content, _, _, scores, finish = read(tokenizer, cut(ids, "length", []), stop)
    if not ends:
        assert (content, finish.reason, finish.completion_tokens) == (text, "length", len(ids))
        assert finish.stop_string is None
        return
    assert not any(s in content for s in stop)
    assert (content + finish.stop_string) == tokenizer.decode(ids[: ends[0]])
    assert (finish.reason, finish.completion_tokens) == ("stop", ends[0])
    assert len(scores) == ends[0]


def read_text(tokenizer, encode_output, text, stop, reason="stop"):
    return read(tokenizer, cut(encode_output(text), reason, []), stop)


def test_a_stop_string_inside_a_call_is_no_stop(tokenizer, encode_output):
    content, calls, arguments, _, finish = read_text(
        tokenizer, encode_output, f"see {CALL}«<|im_end|>»", ["{", "functions", "f"]
    )
    assert (content, arguments, len(calls)) == ("see ", "{}", 2)
    assert (finish.reason, finish.stop_string) == ("tool_calls", None)


def test_a_stop_string_does_not_reach_across_a_call(tokenizer, encode_output):
    content, calls, _, _, finish = read_text(
        tokenizer, encode_output, f"EN{CALL}D.«<|im_end|>»", ["END"]
    )
    assert (content, len(calls), finish.stop_string) == ("END.", 2, None)


def test_text_that_only_began_a_stop_string_comes_before_the_call_that_follows(
    tokenizer, encode_output
):
    reader = ChatReader(tokenizer, OutputParser(tokenizer, ["f"]), ("END",), 7)
    (chunk,) = cut(encode_output(f"EN{CALL}"), None, [])
    kinds = [type(event) for event in reader.read(chunk) if not isinstance(event, TokensScored)]
    assert kinds[:2] == [ContentDelta, CallStart]


@pytest.mark.parametrize(
    ("text", "ended", "reason"),
    [
        (f"{CALL}so END", "length", "tool_calls"),  # the call was complete
        ("so END" + CALL, "stop", "stop"),  # it came too late
        (f"«<|tool_call_begin|>»h:0«<|tool_call_argument_begin|>»{{}}{'x' * 5} END", "length",
         "length"),  # within a call that nobody declared
    ],
)  # fmt: skip
def test_a_stop_string_ends_an_answer_as_a_stop_token_does(
    tokenizer, encode_output, text, ended, reason
):
    assert read_text(tokenizer, encode_output, text, ["END"], ended)[-1].reason == reason


def test_scores_are_those_of_the_raw_tokens_without_the_stop_token(tokenizer, encode_output):
    ids = encode_output(f"a{CALL}b«<|im_end|>»")
    scores = read(tokenizer, cut(ids, "stop", []), [])[3]
    assert [score.token for score in scores] == [tokenizer.decode_bytes([i]) for i in ids[:-1]]
    assert [score.logprob for score in scores] == [-float(i) for i in range(len(ids) - 1)]


def test_the_scores_of_tokens_come_before_what_the_tokens_say(tokenizer, encode_output):
    reader = ChatReader(tokenizer, OutputParser(tokenizer, []), (), 7)
    (chunk,) = cut(encode_output("a"), None, [])
    assert [type(event) for event in reader.read(chunk)] == [TokensScored, ContentDelta]


def test_cached_tokens_are_passed_on(tokenizer, encode_output):
    reader = ChatReader(tokenizer, OutputParser(tokenizer, []), ("x",), 7)
    ids = tuple(encode_output("abc«<|im_end|>»"))
    events = [
        *reader.read(TokenChunk(ids[:2], cached_tokens=5)),
        *reader.read(TokenChunk(ids[2:], "stop")),
    ]
    assert events[-1] == ChatFinish("stop", 7, 4, cached_tokens=5)

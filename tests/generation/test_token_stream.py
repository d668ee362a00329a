"""What a token generator may refuse, and what it must give."""

import asyncio

import pytest

from openk2.generation import RequestError, token_chunks
from openk2.generation.token_stream import single_tokens
from openk2.protocol import EngineBusyError, SamplingParams, TokenChunk, TokenLogprobs

PARAMS = SamplingParams(max_tokens=9)


class Given:
    """Yields chunks and raises exceptions, in order. early: raised by `generate` itself."""

    context_length = 99

    def __init__(self, *steps, early=None):
        self.steps = steps
        self.early = early
        self.closed = False

    def generate(self, prompt, params, mask=None):
        if self.early:
            raise self.early
        return self.stream()

    async def stream(self):
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                yield step
        finally:
            self.closed = True


def chunks_of(generator, params=PARAMS):
    async def run():
        return [chunk async for chunk in token_chunks(generator, [1], params)]

    return asyncio.run(run())


def test_chunks_pass_up_to_the_finish():
    first, last = TokenChunk((1,)), TokenChunk((2, 3), "length")
    given = Given(first, last, TokenChunk((4,)))
    assert chunks_of(given) == [first, last]
    assert given.closed


@pytest.mark.parametrize(
    "generator", [Given(ValueError("too long")), Given(early=ValueError("too long"))]
)
def test_a_refusal_before_the_first_chunk_is_the_requests_fault(generator):
    with pytest.raises(RequestError, match="too long"):
        chunks_of(generator)


def test_a_failure_after_the_first_chunk_is_not():
    with pytest.raises(ValueError, match="broken") as caught:
        chunks_of(Given(TokenChunk((1,)), ValueError("broken")))
    assert not isinstance(caught.value, RequestError)


def test_other_errors_pass():
    with pytest.raises(EngineBusyError):
        chunks_of(Given(EngineBusyError("busy")))


@pytest.mark.parametrize(
    ("chunk", "params"),
    [
        (TokenChunk((1,)), SamplingParams(max_tokens=9, logprobs=0)),
        (TokenChunk((1, 2), logprobs=(TokenLogprobs(1, -1.0),)), SamplingParams(9, logprobs=0)),
        (TokenChunk((1,)), SamplingParams(max_tokens=9, prompt_logprobs=0)),
    ],
)
def test_scores_that_are_asked_for_and_do_not_come_are_an_error(chunk, params):
    with pytest.raises(RuntimeError, match="logprobs"):
        chunks_of(Given(chunk), params)


def test_single_tokens_join_to_their_chunk():
    scores = tuple(TokenLogprobs(token, -1.0) for token in (4, 5, 6))
    chunk = TokenChunk((4, 5, 6), "stop", scores, (None,), 3)
    first, middle, last = single_tokens(chunk)
    assert first == TokenChunk((4,), None, scores[:1], (None,), 3)
    assert middle == TokenChunk((5,), None, scores[1:2])
    assert last == TokenChunk((6,), "stop", scores[2:])
    empty = TokenChunk((), "length")
    assert list(single_tokens(empty)) == [empty]

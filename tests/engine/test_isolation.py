"""What fails for one request fails for no other: neighbours have the bits they have alone."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch

from openk2.engine import Engine, EngineError
from openk2.kernels import native
from openk2.model import K2Model
from openk2.protocol import SamplingParams, TokenChunk

PAGE = 4
BAD = 47  # the token that poisons
PROMPTS = [[1, 2, 3], [4, 5, 6, 7, 8, 9], [10], [11, 12, 13, 14, 15]]


@pytest.fixture(params=["by products", "packed"])
def poisoned(request: pytest.FixtureRequest, model: K2Model) -> K2Model:
    """The model whose embedding of BAD is NaN; both ways to attend."""
    copy = K2Model(model.config)
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        copy.model.embed_tokens.weight[BAD] = torch.nan
    if request.param == "packed":
        if not native.available():
            pytest.skip("the native kernels are not built here")
        copy.pack()
    return copy


@pytest.fixture
def engine(poisoned: K2Model) -> Iterator[Engine]:
    engine = Engine(poisoned, pages=24, page_size=PAGE, max_batch=4)
    engine.start()
    yield engine
    engine.stop()


def settings(**changed: Any) -> SamplingParams:
    # Never BAD by itself: only a request that has it in its prompt meets NaN.
    return SamplingParams(
        max_tokens=12, temperature=0, logprobs=2, logit_bias={BAD: -100.0}, **changed
    )


def unchecked(name: str, value: Any) -> SamplingParams:
    """Settings that no check lets through, as if a bound were wrong."""
    params = settings()
    object.__setattr__(params, name, value)
    return params


class Failing:
    """Fails in one of its methods, in one of the ways there are, after some tokens."""

    def __init__(self, method: str, error: BaseException | None, after: int = 3) -> None:
        self.method, self.error, self.left = method, error, after

    def fill(self, allowed: Any) -> bool:
        if self.method == "fill" and self.left <= 0:
            if self.error is None:  # allows nothing
                allowed[:] = 0
                return True
            raise self.error
        return False

    def accept(self, token_id: int) -> bool:
        self.left -= 1
        if self.method == "accept" and self.left < 0:
            if self.error is None:  # refuses what it allows
                return False
            raise self.error
        return True


class Panic(BaseException):
    """As a library written in Rust raises it."""


POISONS: dict[str, Callable[[list[int]], tuple]] = {
    "penalty": lambda ids: (ids, unchecked("repetition_penalty", 1e-40)),
    "fill raises": lambda ids: (ids, settings(), Failing("fill", KeyError("x"))),
    "fill panics": lambda ids: (ids, settings(), Failing("fill", Panic("x"))),
    "fill allows nothing": lambda ids: (ids, settings(), Failing("fill", None)),
    "accept raises": lambda ids: (ids, settings(), Failing("accept", RecursionError())),
    "accept panics": lambda ids: (ids, settings(), Failing("accept", Panic("x"))),
    "accept refuses for ever": lambda ids: (ids, settings(), Failing("accept", None)),
    "NaN in the prompt": lambda ids: ([*ids, BAD], settings()),
    "NaN in a page that is full": lambda ids: ([BAD, *ids, *range(20)], settings()),
    "NaN in a prompt that is scored": lambda ids: ([*ids, BAD], settings(prompt_logprobs=1)),
    "scoring of a prompt raises": lambda ids: (ids, unchecked("prompt_logprobs", 1.5)),
}


def together(engine: Engine, requests: Sequence[tuple]) -> list[list[TokenChunk] | Exception]:
    async def read(request: tuple) -> list[TokenChunk]:
        return [chunk async for chunk in engine.generate(*request)]

    async def gather() -> list[Any]:
        return await asyncio.gather(*map(read, requests), return_exceptions=True)

    return asyncio.run(gather())


def said(chunks: list[TokenChunk] | Exception) -> list[tuple]:
    """Ids with what was reported beside them."""
    assert not isinstance(chunks, Exception), chunks
    scores = [score for chunk in chunks for score in chunk.logprobs or ()]
    return list(zip([i for chunk in chunks for i in chunk.token_ids], scores, strict=True))


@pytest.mark.parametrize("poison", POISONS)
@pytest.mark.parametrize("place", range(4))
def test_one_poisoned_request_of_four_ends_alone(engine: Engine, poison: str, place: int) -> None:
    healthy = [(ids, settings()) for ids in PROMPTS]
    expected = [said(chunks) for chunks in together(engine, healthy)]
    requests = [*healthy]
    requests[place] = POISONS[poison](PROMPTS[place])
    for _ in range(2):  # the second time its pages are used again
        answers = together(engine, requests)
        for index, answer in enumerate(answers):
            if index == place:
                assert isinstance(answer, EngineError)
            elif engine._model.packed:
                assert said(answer) == expected[index]
            else:  # products by torch: the last bits depend on what shares the batch
                assert [i for i, _ in said(answer)] == [i for i, _ in expected[index]]
    stats = engine.stats()
    assert (stats.failed_requests, stats.failed_steps) == (2, 0)
    assert stats.free_pages == stats.pages


def test_pages_that_were_full_of_nan_harm_nobody(engine: Engine) -> None:
    """Prompts over all pages fail; whoever gets these pages, and asks for such a prefix, does not
    notice."""
    healthy = [([length, *range(length)], settings()) for length in range(1, 13)]
    expected = [[i for i, _ in said(chunks)] for chunks in together(engine, healthy)]
    for start in range(6):
        bad = [([start, BAD, *range(30)], settings()), ([*range(start, 40), BAD], settings())]
        for answer in together(engine, bad):
            assert isinstance(answer, EngineError)
        answers = together(engine, healthy)
        assert [[i for i, _ in said(chunks)] for chunks in answers] == expected
    # Its healthy beginning may be shared, what is NaN not.
    assert isinstance(together(engine, [([0, BAD, *range(30)], settings())])[0], EngineError)


def test_what_free_pages_hold_harms_nobody(engine: Engine) -> None:
    healthy = [(ids, settings()) for ids in PROMPTS]
    expected = [[i for i, _ in said(chunks)] for chunks in together(engine, healthy)]
    fresh = Engine(engine._model, pages=24, page_size=PAGE, max_batch=4, share_prefixes=False)
    fresh._memory.latents[:] = torch.nan
    fresh.start()
    for _ in range(3):
        answers = together(fresh, healthy)
        assert [[i for i, _ in said(chunks)] for chunks in answers] == expected
    fresh.stop()


def test_a_prompt_computed_in_chunks_fails_at_the_chunk_that_is_no_number(
    poisoned: K2Model,
) -> None:
    engine = Engine(poisoned, pages=24, page_size=PAGE, max_batch=4, step_tokens=4)
    engine.start()
    steps = engine.stats().steps
    [answer] = together(engine, [([BAD, *range(40)], settings())])
    assert isinstance(answer, EngineError)
    assert engine.stats().steps == steps + 1
    assert engine.stats().idle_pages == 0
    engine.stop()


def test_a_step_whose_model_fails_ends_its_requests_and_the_engine_goes_on(model: K2Model) -> None:
    class Broken(K2Model):
        def forward(self, tokens: torch.Tensor, **kwargs: Any) -> torch.Tensor:
            if (tokens == BAD).any():
                raise MemoryError("out of memory")
            return super().forward(tokens, **kwargs)

    copy = Broken(model.config)
    copy.load_state_dict(model.state_dict())
    engine = Engine(copy, pages=24, page_size=PAGE, max_batch=4)
    engine.start()
    for attempt in range(1, 21):
        answers = together(engine, [([1, BAD], settings()), ([2, 3], settings())])
        assert "a step failed: MemoryError: out of memory" in str(answers[0])
        assert engine.stats().failed_steps == attempt
        if isinstance(answers[1], EngineError):
            break
        # On a busy machine the second request may come too late for the first one's step.
        assert len(said(answers[1])) == 12
    assert isinstance(answers[1], EngineError)
    [again] = together(engine, [([2, 3], settings())])
    assert len(said(again)) == 12
    engine.stop()

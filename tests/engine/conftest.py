"""A small model, an engine that serves it, and the slow truth about it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import torch

from openk2.engine import Engine
from openk2.model import K2Model
from openk2.protocol import SamplingParams, TokenChunk, TokenMask
from tiny import TINY

PAGE = 4

Greedy = Callable[[Sequence[int], int], list[int]]
Read = Callable[..., Awaitable[list[TokenChunk]]]
Outputs = Callable[..., list[list[int]]]


@pytest.fixture(scope="session")
def model() -> K2Model:
    """Two layers, one of them a mixture of experts, 48 ids, random weights, float32."""
    config = replace(
        TINY,
        vocab_size=48,
        kv_lora_rank=16,
        moe_intermediate_size=24,
        max_position_embeddings=256,
        initializer_range=0.3,
    )
    return K2Model(config).initialize(3).eval()


@pytest.fixture
def engine(model: K2Model) -> Iterator[Engine]:
    """16 pages of 4 tokens, up to 4 requests in a batch, started."""
    engine = Engine(model, pages=16, page_size=PAGE, max_batch=4, max_waiting=64)
    engine.start()
    yield engine
    engine.stop()


@pytest.fixture
def read() -> Read:
    """All chunks of one request."""

    async def read_all(
        engine: Engine,
        prompt: Sequence[int],
        params: SamplingParams,
        mask: TokenMask | None = None,
    ) -> list[TokenChunk]:
        return [chunk async for chunk in engine.generate(prompt, params, mask)]

    return read_all


@pytest.fixture
def outputs(read: Read) -> Outputs:
    """Output ids of several requests, (prompt, params) or (prompt, params, mask), together."""

    def run_all(engine: Engine, *requests: tuple) -> list[list[int]]:
        async def gather() -> list[list[TokenChunk]]:
            return await asyncio.gather(*(read(engine, *request) for request in requests))

        return [[i for c in chunks for i in c.token_ids] for chunks in asyncio.run(gather())]

    return run_all


@pytest.fixture
def plain_greedy(model: K2Model) -> Greedy:
    """The slow truth: the whole sequence through the model for every token, without a cache."""

    @torch.inference_mode()
    def loop(prompt: Sequence[int], count: int) -> list[int]:
        tokens = list(prompt)
        for _ in range(count):
            logits = model.lm_head(model(torch.tensor([tokens]))[:, -1])
            tokens.append(int(logits.argmax()))
        return tokens[len(prompt) :]

    return loop

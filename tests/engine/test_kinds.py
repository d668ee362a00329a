"""Every kind of network through the engine: packed as plain, and the same in any batch."""

import asyncio
from collections.abc import Sequence

import pytest
import torch

from openk2.architecture import ModelConfig
from openk2.engine import Engine
from openk2.kernels import native
from openk2.model import K2Model
from openk2.model.routing import ranking, route_packed, scores_of
from openk2.protocol import SamplingParams, TokenChunk
from tiny import KINDS
from transformers_twin import random_model

needs_kernels = pytest.mark.skipif(
    not native.available(), reason="needs the native kernels: no C++ compiler when installed"
)
GREEDY = SamplingParams(max_tokens=12, temperature=0, logprobs=1)


def answers(model: K2Model, prompts: Sequence[Sequence[int]], together: bool) -> list[list]:
    """Each prompt's greedy ids with their log-probabilities."""
    engine = Engine(model, pages=100, page_size=8, max_batch=8)
    engine.start()

    async def read(prompt: Sequence[int]) -> list[TokenChunk]:
        return [chunk async for chunk in engine.generate(prompt, GREEDY)]

    async def run() -> list[list[TokenChunk]]:
        if together:
            return await asyncio.gather(*map(read, prompts))
        return [await read(prompt) for prompt in prompts]

    try:
        chunks = asyncio.run(run())
    finally:
        engine.stop()
    return [
        [(i, score.logprob) for c in each for i, score in zip(c.token_ids, c.logprobs, strict=True)]
        for each in chunks
    ]


def drawn_prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(300, (n,), generator=generator).tolist() for n in (3, 9, 17, 30, 41)]


@needs_kernels
@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_a_packed_model_answers_as_the_plain_one(config: ModelConfig) -> None:
    prompts = drawn_prompts()
    plain = answers(random_model(config, 4), prompts, together=False)
    packed = answers(random_model(config, 4).pack(), prompts, together=True)
    for ours, theirs in zip(packed, plain, strict=True):
        assert [i for i, _ in ours] == [i for i, _ in theirs]
        assert [p for _, p in ours] == pytest.approx([p for _, p in theirs], abs=1e-4)


@needs_kernels
@pytest.mark.parametrize("kind", ["DeepSeek-V3", "DeepSeek-V2-Lite", "DeepSeek-V2"])
def test_a_packed_models_answers_have_the_same_bits_in_any_batch(kind: str) -> None:
    model = random_model(KINDS[kind], 4).bfloat16().pack()
    prompts = drawn_prompts()
    assert answers(model, prompts, together=True) == answers(model, prompts, together=False)


@needs_kernels
@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_a_routers_choice_does_not_depend_on_the_other_rows(config: ModelConfig) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(67, config.n_routed_experts, generator=generator)
    bias = (
        torch.randn(config.n_routed_experts, generator=generator)
        if config.has_router_bias
        else None
    )
    weights, chosen = route_packed(logits, bias, config)
    for row in range(67):
        alone = route_packed(logits[row : row + 1], bias, config)
        assert torch.equal(alone[0][0], weights[row])
        assert torch.equal(alone[1][0], chosen[row])
    scores = scores_of(logits, config)
    plain = ranking(scores, bias, config).topk(config.num_experts_per_tok, dim=-1).indices
    assert torch.equal(plain, chosen)

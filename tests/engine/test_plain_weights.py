"""A model with plain weights in the engine: what its steps compute, and what they ask of a GPU.

No GPU is needed: on the meta device a step has shapes and no numbers, so whatever would read one on
the host, or call a kernel of the CPU, fails there.
"""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from launches import Launches
from openk2.architecture import ModelConfig
from openk2.engine.key_waves import WaveSizes, in_groups
from openk2.engine.latent_cache import LatentPages
from openk2.engine.model_input import waved_input
from openk2.engine.request import Request
from openk2.engine.scheduler import ScheduledChunk
from openk2.model import K2Model
from openk2.protocol import SamplingParams
from published import published_config
from tiny import KINDS
from transformers_twin import random_model

K2 = ModelConfig(num_hidden_layers=2)  # the real widths; one dense layer and one with experts
MOONLIGHT = ModelConfig.from_dict(published_config("Moonlight-16B-A3B"))
PAGE = 64


class Steps:
    """Requests of one model, and the hidden states of its steps."""

    def __init__(self, model: K2Model, pages: int, page_size: int = PAGE) -> None:
        weight = model.model.embed_tokens.weight
        self.model, config = model, model.config
        self.memory = LatentPages(config, pages, page_size, weight.dtype, weight.device)
        self.sizes = WaveSizes(
            config.num_attention_heads, config.latent_dim, page_size, weight.dtype
        )
        self.free = list(range(pages))

    def request(self, tokens: Sequence[int]) -> Request:
        count = -(-len(tokens) // self.memory.page_size)
        table, self.free = self.free[:count], self.free[count:]
        return Request(tuple(tokens), SamplingParams(max_tokens=1), page_table=table)

    @torch.no_grad()
    def run(self, feed: dict[Request, int]) -> dict[Request, Tensor]:
        """Logits [T, V] of the next T tokens of each request."""
        chunks = in_groups([ScheduledChunk(request, count) for request, count in feed.items()])
        fed = waved_input(chunks, self.memory, self.sizes)
        hidden = self.model(fed.tokens, positions=fed.positions, cache=fed.cache)
        logits = self.model.lm_head(hidden[:, 0]).split([c.num_tokens for c in chunks])
        for request, count in feed.items():
            request.num_computed_tokens += count
        return {chunk.request: rows for chunk, rows in zip(chunks, logits, strict=True)}


def over_pages(model: K2Model, prompts: list[list[int]]) -> list[Tensor]:
    """The logits of whole prompts, computed in steps of several requests and lengths."""
    steps = Steps(model, pages=60, page_size=4)
    steps.sizes = replace(steps.sizes, products=500)  # several waves a step
    requests = [steps.request(prompt) for prompt in prompts]
    parts: dict[Request, list[Tensor]] = {request: [] for request in requests}
    for counts in ((5, 1, 1, 9), (1, 1, 20, 1), (3, 1, 1, 1)):
        feed = dict(zip(requests, counts, strict=True))
        for request, logits in steps.run(feed).items():
            parts[request].append(logits)
    return [torch.cat(parts[request]) for request in requests]


def prompts() -> list[list[int]]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(300, (n,), generator=generator).tolist() for n in (9, 3, 22, 11)]


@torch.no_grad()
def without_cache(model: K2Model, prompts: list[list[int]]) -> list[Tensor]:
    return [model.lm_head(model(torch.tensor([prompt])))[0] for prompt in prompts]


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_steps_over_pages_compute_what_a_pass_without_a_cache_does(config: ModelConfig) -> None:
    model = random_model(config, 2).eval()
    for ours, plain in zip(
        over_pages(model, prompts()), without_cache(model, prompts()), strict=True
    ):
        torch.testing.assert_close(ours, plain, atol=1e-5 * float(plain.abs().max()), rtol=1e-5)


@pytest.mark.parametrize("kind", ["Moonlight", "DeepSeek-V3"])
def test_in_bfloat16_steps_are_as_near_to_the_truth_as_the_plain_pass(kind: str) -> None:
    truth = without_cache(random_model(KINDS[kind], 2).eval(), prompts())
    model = random_model(KINDS[kind], 2).bfloat16().eval()

    def error(results: list[Tensor]) -> float:
        # The median: a rounding may choose another expert, after which a token is off by far.
        errors = [(r.float() - t).abs().flatten() for r, t in zip(results, truth, strict=True)]
        return float(torch.cat(errors).median())

    ours, plain = error(over_pages(model, prompts())), error(without_cache(model, prompts()))
    print(f"\n  median errors {ours:.1e} and {plain:.1e}")
    assert ours < 1.5 * plain


def step_on_meta(config: ModelConfig, chunks: list[tuple[int, int]]) -> Launches:
    """What a step dispatches that feeds (computed, new) tokens of each request, in bfloat16."""
    with torch.device("meta"):
        model = K2Model(config).bfloat16().eval()
    steps = Steps(model, pages=sum(-(-sum(chunk) // PAGE) for chunk in chunks))
    feed = {}
    for computed, new in chunks:
        request = steps.request([0] * (computed + new))
        request.num_computed_tokens = computed
        feed[request] = new
    with Launches() as launches:
        steps.run(feed)
    return launches


@pytest.mark.parametrize("config", [K2, MOONLIGHT], ids=["K2", "Moonlight"])
def test_a_step_never_makes_the_host_wait_and_calls_nothing_that_only_a_cpu_has(
    config: ModelConfig,
) -> None:
    assert step_on_meta(config, [(500, 1), (80, 1), (0, 70), (100, 30)]).waits == []


@pytest.mark.parametrize("config", KINDS.values(), ids=KINDS)
def test_no_kind_of_network_makes_the_host_wait(config: ModelConfig) -> None:
    assert step_on_meta(config, [(70, 1), (0, 9)]).waits == []


@pytest.mark.parametrize("requests", [1, 32])
def test_a_decoding_step_of_moonlight_launches_at_most_1110_kernels(requests: int) -> None:
    launches = step_on_meta(MOONLIGHT, [(100 + 60 * i, 1) for i in range(requests)])
    print(f"\n  {len(launches.names)} launches")
    assert len(launches.names) <= 1110


@pytest.mark.parametrize(
    "chunks", [[(2**17 - 512, 512)], [(2**17 - 1, 1)] * 32, [(2**17 - 64, 64)] * 8], ids=str
)
def test_a_step_of_k2_at_a_context_of_131072_computes_in_less_than_1_gib(
    chunks: list[tuple[int, int]],
) -> None:
    launches = step_on_meta(K2, chunks)
    print(f"\n  {launches.peak / 2**20:.0f} MiB, largest result {launches.largest / 2**20:.0f}")
    assert launches.peak < 2**30

"""Decoding steps of a model with plain weights, over pages and by the plain twin, in one process.

    python benchmarks/cuda_step.py --device cuda --shape moonlight --batch 1 8 32 --context 2048
    python benchmarks/cuda_step.py --device cpu --shape tiny --batch 1 4 --context 96

Random weights in bfloat16. "pages" is what the engine runs (openk2.model.plain_serving); "twin" is
the layers' own forward pass over a contiguous cache, with a loop over experts. Both decode in turn,
and a figure is the median of its steps. Launches are the profiler's kernels of one step, memory is
the allocator's peak above weights and caches; on a CPU neither is measured.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from shapes import SHAPES as MEASURED
from torch import Tensor

from openk2.architecture import ModelConfig
from openk2.engine.key_waves import WaveSizes, in_groups
from openk2.engine.latent_cache import LatentPages
from openk2.engine.model_input import waved_input
from openk2.engine.request import Request
from openk2.engine.scheduler import ScheduledChunk
from openk2.model import ContiguousCache, K2Model
from openk2.protocol import SamplingParams
from openk2.record.machine import describe_machine

PAGE = 64
SHAPES = {
    "tiny": ModelConfig(
        vocab_size=512,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        q_lora_rank=None,
        kv_lora_rank=32,
        qk_nope_head_dim=16,
        qk_rope_head_dim=8,
        v_head_dim=16,
        intermediate_size=96,
        moe_intermediate_size=32,
        n_routed_experts=8,
        num_experts_per_tok=2,
    ),
    "moonlight": MEASURED["moonlight"],
    # Layers of the real widths; 34 GB of routed experts a layer leave room for one or two.
    "k2": ModelConfig(num_hidden_layers=2),
}


@dataclass(frozen=True)
class Figures:
    """Of one step: seconds, kernels launched, bytes on top of weights; None: not measured."""

    seconds: float
    launches: int | None
    memory: int | None


class Pages:
    """Requests that hold `context` tokens each; `step` decodes one token of each."""

    def __init__(self, model: K2Model, batch: int, context: int) -> None:
        config, weight = model.config, model.model.embed_tokens.weight
        width = context // PAGE + 1
        self.model = model
        self.memory = LatentPages(config, batch * width, PAGE, weight.dtype, weight.device)
        self.sizes = WaveSizes(config.num_attention_heads, config.latent_dim, PAGE, weight.dtype)
        self.requests = [
            Request(
                (1,) * (context + 1),
                SamplingParams(max_tokens=1),
                page_table=list(range(row * width, (row + 1) * width)),
            )
            for row in range(batch)
        ]
        for request in self.requests:
            request.num_computed_tokens = context

    def step(self) -> list[int]:
        chunks = in_groups([ScheduledChunk(request, 1) for request in self.requests])
        fed = waved_input(chunks, self.memory, self.sizes)
        hidden = self.model(fed.tokens, positions=fed.positions, cache=fed.cache)
        return likeliest(self.model, hidden)


class Twin:
    """The same requests through the layers' own forward pass."""

    def __init__(self, model: K2Model, batch: int, context: int) -> None:
        weight = model.model.embed_tokens.weight
        self.model = model
        self.cache = ContiguousCache(model.config, batch, context + 1, weight.dtype, weight.device)
        self.tokens = torch.ones(batch, 1, dtype=torch.long, device=weight.device)
        self.positions = torch.full_like(self.tokens, context)

    def step(self) -> list[int]:
        hidden = self.model(self.tokens, positions=self.positions, cache=self.cache)
        return likeliest(self.model, hidden)


def likeliest(model: K2Model, hidden: Tensor) -> list[int]:
    """hidden [B, 1, hidden_size] -> the likeliest id of each; the host waits for them."""
    ids: list[int] = model.lm_head(hidden[:, 0]).argmax(-1).tolist()
    return ids


def random_model(config: ModelConfig, device: torch.device) -> K2Model:
    with torch.device("meta"):
        model = K2Model(config).bfloat16()
    model.to_empty(device=device)
    model.tie()
    for name, tensor in model.named_parameters():
        if name.endswith("norm.weight"):
            tensor.data.fill_(1)
        else:
            tensor.data.normal_(0, 0.02)
    for buffer in model.buffers():
        buffer.zero_()
    return model.eval()


def measure(steps: dict[str, Callable[[], object]], count: int) -> dict[str, float]:
    """Median seconds of each kind of step, in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(count):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def launches_of(step: Callable[[], object], device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=kinds) as profile:
        step()
        torch.cuda.synchronize(device)
    return sum(str(event.device_type).endswith("CUDA") for event in profile.events())


def memory_of(step: Callable[[], object], device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    return torch.cuda.max_memory_allocated(device) - before


@torch.inference_mode()
def compare(model: K2Model, batch: int, context: int, count: int) -> dict[str, Figures]:
    """The figures of both kinds of step."""
    device = model.model.embed_tokens.weight.device
    steps = {kind.__name__.lower(): kind(model, batch, context).step for kind in (Pages, Twin)}
    for step in steps.values():
        step()
    seconds = measure(steps, count)
    return {
        name: Figures(seconds[name], launches_of(step, device), memory_of(step, device))
        for name, step in steps.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shape", choices=SHAPES, default="moonlight")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--context", type=int, nargs="+", default=[2048])
    parser.add_argument("--steps", type=int, default=20)
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{describe_machine()}; {name}; torch {torch.__version__}; {options.shape}, bfloat16\n")
    model = random_model(SHAPES[options.shape], device)
    print("| batch | context | path | tokens/s | ms a step | launches | MiB | ratio |")
    print("|---|---|---|---|---|---|---|---|")
    for context in options.context:
        for batch in options.batch:
            figures = compare(model, batch, context, options.steps)
            for path, own in figures.items():
                launches = "not measured" if own.launches is None else f"{own.launches:,}"
                memory = "not measured" if own.memory is None else f"{own.memory / 2**20:,.0f}"
                print(
                    f"| {batch} | {context:,} | {path} | {batch / own.seconds:,.1f} "
                    f"| {own.seconds * 1e3:,.2f} | {launches} | {memory} "
                    f"| {figures['twin'].seconds / own.seconds:.2f} |"
                )


if __name__ == "__main__":
    main()

"""What each key of a recipe's `[memory]` table saves, and what it costs.

    python benchmarks/memory.py [--shape nano|small] [--layers N] [--rows 2] [--length 512]
        [--repeats 5] [--products bfloat16|float32] [--device cpu]

For every combination: the bytes a token that one layer with experts keeps from its forward to its
backward pass (a network of N layers less one of N - 1) under bf16 autocast and without, and the
time of a forward and backward pass of the whole network with matrix products in the dtype named.
Combinations take turns in one process; the times are medians, the ratios those of medians.
Documents of 256 tokens are packed into rows. offload is measured on a GPU only: on a CPU it is
refused.
"""

import argparse
import copy
import gc
import statistics
import time
from dataclasses import replace

import torch
from shapes import SHAPES
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from openk2.model import K2Model
from openk2.model.activations import Keeping
from openk2.record.machine import describe_machine

PARTS = ("norms", "swiglu", "mla_up", "moe_down")
ALL = frozenset(PARTS)
COMBINATIONS = {
    "plain": Keeping(),
    **{part: Keeping(frozenset((part,))) for part in PARTS},
    "all four": Keeping(ALL),
    "fp8_inputs": Keeping(fp8_inputs=True),
    "all four, fp8_inputs": Keeping(ALL, fp8_inputs=True),
}


def keep(model: K2Model, keeping: Keeping) -> None:
    for layer in model.decoder_layers:
        layer.keep(keeping)


def forward(model: K2Model, tokens: Tensor, segments: Tensor, narrow: bool) -> Tensor:
    with torch.autocast(tokens.device.type, torch.bfloat16, enabled=narrow):
        return model(tokens, segments=segments)


def alive() -> dict[int, int]:
    gc.collect()
    memories = (t.untyped_storage() for t in gc.get_objects() if issubclass(type(t), Tensor))
    return {memory._cdata: memory.nbytes() for memory in memories}


def kept_bytes(model: K2Model, tokens: Tensor, segments: Tensor, narrow: bool) -> int:
    before = alive()
    with saved_tensors_hooks(Tensor.detach, lambda tensor: tensor):
        hidden = forward(model, tokens, segments, narrow)
    after = alive()
    del hidden
    return sum(size for memory, size in after.items() if memory not in before)


def seconds(model: K2Model, tokens: Tensor, segments: Tensor, narrow: bool) -> float:
    began = time.perf_counter()
    forward(model, tokens, segments, narrow).float().square().mean().backward()
    if tokens.is_cuda:
        torch.cuda.synchronize()
    model.zero_grad()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="nano")
    parser.add_argument("--layers", type=int)
    parser.add_argument("--rows", type=int, default=2)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--products", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    config = SHAPES[options.shape]
    config = replace(config, num_hidden_layers=options.layers or config.num_hidden_layers)
    model = K2Model(config).to(options.device).initialize(0)
    shorter = copy.deepcopy(model)
    del shorter.model.layers[-1]
    shape = options.rows, options.length
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, config.vocab_size, shape, generator=generator).to(options.device)
    segments = (torch.arange(options.length, device=options.device) // 256).expand(shape)

    combinations = dict(COMBINATIONS)
    if options.device == "cuda":
        combinations["offload"] = Keeping(offload=True)
        combinations["all four, fp8_inputs, offload"] = Keeping(ALL, True, True)

    def kept(whole: K2Model, less: K2Model, narrow: bool) -> float:
        """Bytes a token of the layer that `less` lacks."""
        sizes = [kept_bytes(network, tokens, segments, narrow) for network in (whole, less)]
        return (sizes[0] - sizes[1]) / tokens.numel()

    sizes = {}
    for name, keeping in combinations.items():
        keep(model, keeping)
        keep(shorter, keeping)
        sizes[name] = [kept(model, shorter, narrow) for narrow in (True, False)]
    times = {name: [] for name in combinations}
    for _ in range(options.repeats + 1):
        for name, keeping in combinations.items():
            keep(model, keeping)
            times[name].append(seconds(model, tokens, segments, options.products == "bfloat16"))
    medians = {name: statistics.median(runs[1:]) for name, runs in times.items()}
    print(describe_machine(), options.shape, shape, "products of the times:", options.products)
    print(f"{'kept as':>30} {'B a token, bf16':>16} {'float32':>8} {'ms a pass':>10} {'ratio':>6}")
    for name, (half, full) in sizes.items():
        spent = medians[name]
        print(
            f"{name:>30} {half:16.0f} {full:8.0f} {1e3 * spent:10.0f} "
            f"{spent / medians['plain']:6.2f}"
        )


if __name__ == "__main__":
    main()

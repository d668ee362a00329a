"""What greedy bits that do not depend on the batch cost: prompts attend in absorbed form.

    python benchmarks/invariance.py [--shape nano|small] [--dtype bfloat16] [--tokens 2048]

Everything else the promise asks of the kernels (one order of summation) costs nothing against
torch: docs/design/kernels.md. Attending over the latents themselves is what decoding wants and
takes 3.4 times the multiplications that keys and values computed from them take; a prompt does it
too, so that its bits do not depend on how it was cut. Here a prompt's pass is timed, and of it
what attends; then the same by torch's fused attention over expanded keys and values.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from shapes import SHAPES

from openk2.engine.latent_cache import AttendedPages, LatentPages
from openk2.kernels import PackedHeads, PackedLinear
from openk2.model import K2Model
from openk2.record.machine import describe_machine


def seconds(call: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="nano")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--tokens", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    config, dtype, count = SHAPES[options.shape], getattr(torch, options.dtype), options.tokens
    heads, rank, nope = config.num_attention_heads, config.kv_lora_rank, config.qk_nope_head_dim
    model = K2Model(config).to(dtype).initialize(0).eval()
    up = torch.randn(heads * (nope + config.v_head_dim), rank, dtype=dtype) / rank**0.5
    model.pack()
    places = torch.arange(count)
    tables = torch.arange(-(-count // 64), dtype=torch.int32)[None]
    memory = LatentPages(config, tables.numel(), 64, dtype)
    cache = AttendedPages(memory, tables, torch.zeros(count, dtype=torch.int32), places)
    tokens = torch.randint(config.vocab_size, (count, 1))
    whole = seconds(lambda: model(tokens, positions=places[:, None], cache=cache), options.repeats)

    key_up, value_up = (
        PackedHeads.pack(torch.randn(heads, *shape, dtype=dtype))
        for shape in ((rank, nope), (config.v_head_dim, rank))
    )
    q = torch.randn(count, heads, nope + config.qk_rope_head_dim, dtype=dtype)
    folded = torch.randn(count, heads, config.latent_dim, dtype=dtype)

    def absorbed() -> None:
        key_up(q[..., :nope], out=folded[..., :rank])
        value_up(cache.attend(0, folded, config.softmax_scale, rank))

    expand = PackedLinear.pack(up)
    latents = memory.latents[0].flatten(0, 1)[:count]

    def expanded() -> None:
        kv = expand(latents[:, :rank]).view(count, heads, -1)
        shared = latents[:, None, rank:].expand(-1, heads, -1)
        key = torch.cat((kv[..., :nope], shared), -1)
        # Values as wide as keys: torch's fused attention takes no others.
        value = torch.nn.functional.pad(kv[..., nope:], (0, key.shape[-1] - config.v_head_dim))
        torch.nn.functional.scaled_dot_product_attention(
            q.transpose(0, 1)[None],
            key.transpose(0, 1)[None],
            value.transpose(0, 1)[None],
            is_causal=True,
            scale=config.softmax_scale,
        )

    layers = config.num_hidden_layers
    ours, theirs = (layers * seconds(call, options.repeats) for call in (absorbed, expanded))
    fewer = (nope + config.qk_rope_head_dim + config.v_head_dim) / (config.latent_dim + rank)
    result = {
        "pass_ms": 1e3 * whole,
        "absorbed_ms": 1e3 * ours,
        "torch_expanded_ms": 1e3 * theirs,
        "cost_at_most": ours * (1 - fewer) / whole,
    }
    if options.json:
        print(json.dumps({"machine": describe_machine(), **vars(options), **result}))
        return
    print(describe_machine())
    print(f"{options.shape}, {options.dtype}, a prompt of {count} tokens:", end=" ")
    print("{pass_ms:.0f} ms, of which attention {absorbed_ms:.0f} ms".format(**result))
    print("the expanded form by torch takes {torch_expanded_ms:.0f} ms".format(**result))
    print("an expanded form as fast per multiplication as ours would save", end=" ")
    print("{cost_at_most:.0%} of the pass".format(**result))


if __name__ == "__main__":
    main()

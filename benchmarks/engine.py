"""Our engine against transformers' DeepseekV3ForCausalLM: prefill and decode at one precision.

    python benchmarks/engine.py [--shape nano|small] [--dtype float32|bfloat16] [--decode 48]

Random weights, exported by us and read by both, so that both compute the same network. transformers
is driven by its own cache in a plain loop without `generate`'s overhead, which is its fastest way.
Both sides alternate in one process; medians of --repeats. Prompts are all different, so that no
prefix is found again. Decode is measured behind prompts of --context tokens.
"""

import argparse
import json
import statistics
import sys
import time

import torch
from driving import engine_decode, engine_prefill, prompts
from reference import transformers_twin
from shapes import SHAPES
from transformers import DeepseekV3ForCausalLM, DynamicCache

from openk2.engine import Engine
from openk2.kernels import native
from openk2.model import K2Model
from openk2.record.machine import describe_machine


@torch.inference_mode()
def reference_prefill(model: DeepseekV3ForCausalLM, length: int, vocabulary: int) -> float:
    ids = torch.tensor(prompts(1, length, vocabulary))
    began = time.perf_counter()
    logits = model(ids, past_key_values=DynamicCache(), use_cache=True, logits_to_keep=1).logits
    logits[:, -1].argmax(-1).tolist()
    return length / (time.perf_counter() - began)


@torch.inference_mode()
def reference_decode(
    model: DeepseekV3ForCausalLM, batch: int, context: int, count: int, vocabulary: int
) -> float:
    cache = DynamicCache()
    ids = torch.tensor(prompts(batch, context, vocabulary))
    logits = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
    token = logits[:, -1].argmax(-1, keepdim=True)
    began = time.perf_counter()
    for _ in range(count):
        logits = model(token, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        token = logits[:, -1].argmax(-1, keepdim=True)
        token.tolist()
    return batch * count / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="nano")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--decode", type=int, default=48)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    config, dtype = SHAPES[options.shape], getattr(torch, options.dtype)
    torch.manual_seed(0)
    model = K2Model(config).to(dtype).initialize(0).eval()
    reference = transformers_twin(model)
    if native.available():
        model.pack()
    engine = Engine(model, pages=32 * 12 + 64, max_batch=32)
    engine.start()
    vocabulary = config.vocab_size
    sides = {
        f"prefill {length}": (
            lambda length=length: engine_prefill(engine, length, vocabulary),
            lambda length=length: reference_prefill(reference, length, vocabulary),
        )
        for length in (512, 2048)
    }
    sides |= {
        f"decode b{batch}": (
            lambda b=batch: engine_decode(engine, b, options.context, options.decode, vocabulary),
            lambda b=batch: reference_decode(
                reference, b, options.context, options.decode, vocabulary
            ),
        )
        for batch in options.batches
    }
    results = {}
    for name, (ours, theirs) in sides.items():
        pairs = [(ours(), theirs()) for _ in range(options.repeats)]
        mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
        results[name] = {"openk2": mine, "transformers": other, "ratio": mine / other}
        print(name, results[name], file=sys.stderr, flush=True)  # a large shape takes minutes
    engine.stop()
    if options.json:
        print(json.dumps({"machine": describe_machine(), **vars(options), "results": results}))
        return
    parameters = sum(parameter.numel() for parameter in reference.parameters())
    print(describe_machine(), "native kernels" if model.packed else "no native kernels")
    print(f"{options.shape}, {parameters / 1e6:.1f}M parameters, {options.dtype}; tokens/s")
    print("| | openk2 | transformers | ratio |\n|---|---|---|---|")
    for name, row in results.items():
        print(f"| {name} | {row['openk2']:.1f} | {row['transformers']:.1f} | {row['ratio']:.2f} |")


if __name__ == "__main__":
    main()

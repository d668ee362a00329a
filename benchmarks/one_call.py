"""Decode with all layers in one native call, against layer by layer.

    python benchmarks/one_call.py [--shape nano|small] [--batches 1 8 32]

Two engines over one packed model of random weights, in turns, in one process.
"""

import argparse
import statistics

import torch
from driving import engine_decode
from shapes import SHAPES

from openk2.engine import Engine
from openk2.kernels import native
from openk2.model import K2Model
from openk2.record.machine import describe_machine

TOKENS, CONTEXT = 96, 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SHAPES, default="nano")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    config = SHAPES[options.shape]
    model = K2Model(config).bfloat16().initialize(0).eval().pack()
    stack = model.stack
    engine = Engine(model, pages=256, page_size=64, max_batch=max(options.batches))
    engine.start()
    print(describe_machine(), native.instruction_sets()[0], f"{native.threads()} threads, bfloat16")
    print("| requests | one call | layer by layer | ratio |\n|---|---|---|---|")
    torch.manual_seed(0)
    for batch in options.batches:
        rates: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(options.repeats):
            for one_call, found in rates.items():
                model._stack[:] = [stack if one_call else None]
                found.append(engine_decode(engine, batch, CONTEXT, TOKENS, config.vocab_size))
        ours, theirs = (statistics.median(found) for found in rates.values())
        print(f"| {batch} | {ours:.0f} | {theirs:.0f} | {ours / theirs:.2f} |", flush=True)
    engine.stop()


if __name__ == "__main__":
    main()

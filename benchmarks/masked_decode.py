"""What token masks cost a decode step: forced calls against free text, all requests at once.

    python benchmarks/masked_decode.py [--shape nano|small] [--tokenizer FOLDER]

A network with random weights and the vocabulary of FOLDER (default: the
built-in model's), bf16, native kernels. Every request samples at temperature 1; with masks each is
a forced call of a tool with strings, a list and a number. Random weights keep all strings open, so
the outputs have the same length. Both sides in turns in one process; medians.
"""

import argparse
import asyncio
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch
from shapes import SHAPES

from openk2.chat import Tokenizer
from openk2.engine import Engine
from openk2.grammar import DeclaredTool, Enforcer, ToolCalls
from openk2.kernels import native
from openk2.model import K2Model
from openk2.pretrained import find_folder
from openk2.protocol import SamplingParams
from openk2.record.machine import describe_machine

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "count": {"type": "number"},
    },
    "required": ["city", "tags", "count"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokenizer", type=Path, default=find_folder("openk2-nano"))
    parser.add_argument("--shape", choices=SHAPES, default="nano")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=600)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    tokenizer = Tokenizer.load(options.tokenizer)
    config = replace(SHAPES[options.shape], vocab_size=tokenizer.vocab_size)
    model = K2Model(config).to(torch.bfloat16).initialize(0).eval()
    if native.available():
        model.pack()
    pages = options.batch * (options.tokens // 64 + 2)
    engine = Engine(model, pages=pages, max_batch=options.batch)
    engine.start()
    enforcer = Enforcer(tokenizer)
    demand = ToolCalls((DeclaredTool("f", SCHEMA),), required=True, parallel=False)
    params = SamplingParams(options.tokens, temperature=1.0, seed=1)

    async def one(number: int, masked: bool) -> int:
        mask = enforcer.mask(demand, max_tokens=options.tokens) if masked else None
        count = 0
        async for chunk in engine.generate([number, 5, 9], params, mask):
            count += len(chunk.token_ids)
        return count

    async def all_at_once(masked: bool) -> int:
        return sum(await asyncio.gather(*(one(i, masked) for i in range(options.batch))))

    def step_ms(masked: bool) -> float:
        began, steps = time.perf_counter(), engine.stats().steps
        tokens = asyncio.run(all_at_once(masked))
        assert tokens > 0.9 * options.batch * options.tokens, "outputs ended early"
        return 1e3 * (time.perf_counter() - began) / (engine.stats().steps - steps)

    step_ms(True)  # builds the vocabulary's trie
    pairs = [(step_ms(False), step_ms(True)) for _ in range(options.repeats)]
    free, masked = (statistics.median(side) for side in zip(*pairs, strict=True))
    share = statistics.median((with_mask - plain) / plain for plain, with_mask in pairs)
    engine.stop()
    result = {"vocabulary": config.vocab_size, "free_ms": free, "masked_ms": masked, "cost": share}
    if options.json:
        print(json.dumps({"machine": describe_machine(), "batch": options.batch, **result}))
        return
    print(describe_machine())
    print(options.shape, end=", ")
    print("vocabulary {vocabulary}: a step {free_ms:.2f} ms free,".format(**result), end=" ")
    print("{masked_ms:.2f} ms with masks: {cost:.1%}".format(**result))


if __name__ == "__main__":
    main()

"""One request as long as K2's context, 131,072 tokens, on a model of the built-in's width.

    python benchmarks/long_request.py [--tokens 131072] [--dtype bfloat16] [--decode 16]

Random weights; positions as the published config stretches them (YaRN, factor 32 over 4,096). The
memory is stated before the request: the weights, once as they are read and once packed for the
kernels, and the latent cache. Exit status 1 if the process has grown beyond that and --margin MiB.
"""

import argparse
import asyncio
import json
import resource
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.progress import Progress
from shapes import SHAPES

from openk2.architecture import Yarn
from openk2.engine import Engine
from openk2.kernels import native
from openk2.model import K2Model
from openk2.protocol import SamplingParams
from openk2.record.machine import describe_machine

PAGE, STEP = 64, 512


def resident() -> int:
    """Bytes of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def ask(engine: Engine, prompt: list[int], count: int) -> tuple[list[float], int]:
    """When each output token came, and the most memory that was seen."""
    times: list[float] = []
    most, done = 0, False

    async def watch() -> None:
        nonlocal most
        with Progress(transient=True) as bar:
            task = bar.add_task("prompt", total=-(-len(prompt) // STEP))
            while not done:
                most = max(most, resident())
                bar.update(task, completed=engine.stats().steps)
                await asyncio.sleep(0.5)

    watching = asyncio.create_task(watch())
    async for chunk in engine.generate(prompt, SamplingParams(count, temperature=0)):
        times += [time.perf_counter()] * len(chunk.token_ids)
    done = True
    await watching
    return times, max(most, resident())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=131072, help="prompt and output together")
    parser.add_argument("--decode", type=int, default=16)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--margin", type=int, default=128, help="MiB for what a step computes")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    yarn = Yarn(32.0, 4096, beta_fast=1.0, beta_slow=1.0, mscale_all_dim=1.0)
    config = replace(SHAPES["nano"], max_position_embeddings=131072, rope_scaling=yarn)
    dtype = getattr(torch, options.dtype)
    before = resident()
    model = K2Model(config).to(dtype).initialize(0).eval()
    weights = sum(parameter.nbytes for parameter in model.parameters())
    if native.available():
        model.pack()
    pages = -(-options.tokens // PAGE)
    engine = Engine(model, pages=pages, page_size=PAGE, max_batch=1, step_tokens=STEP)
    engine.start()
    bytes_per_token = config.num_hidden_layers * config.latent_dim * dtype.itemsize
    stated = 2 * weights + pages * PAGE * bytes_per_token + (options.margin << 20)
    length = options.tokens - options.decode
    prompt = torch.randint(
        config.vocab_size, (length,), generator=torch.Generator().manual_seed(0)
    ).tolist()
    began = time.perf_counter()
    times, most = asyncio.run(ask(engine, prompt, options.decode))
    engine.stop()
    result = {
        "prompt_tokens": length,
        "bytes_per_token": bytes_per_token,
        "cache_mib": pages * PAGE * bytes_per_token / 2**20,
        "stated_mib": stated / 2**20,
        "grown_mib": (most - before) / 2**20,
        "first_token_s": times[0] - began,
        "prompt_tokens_per_s": length / (times[0] - began),
        "decode_tokens_per_s": (len(times) - 1) / (times[-1] - times[0]),
    }
    if options.json:
        print(json.dumps({"machine": describe_machine(), **vars(options), **result}))
    else:
        print(describe_machine(), options.dtype)
        for name, value in result.items():
            print(f"{name:>20} {value:,.1f}")
    sys.exit(most - before > stated)


if __name__ == "__main__":
    main()

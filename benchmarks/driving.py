"""Tokens a second of an engine of ours, driven in this process."""

import asyncio
import time

import torch

from openk2.engine import Engine
from openk2.protocol import SamplingParams


def prompts(count: int, length: int, vocabulary: int) -> list[list[int]]:
    return torch.randint(vocabulary, (count, length)).tolist()


def engine_prefill(engine: Engine, length: int, vocabulary: int) -> float:
    """Tokens a second from a prompt to its first output token."""
    [prompt] = prompts(1, length, vocabulary)
    began = time.perf_counter()
    asyncio.run(read(engine, prompt, 1, []))
    return length / (time.perf_counter() - began)


async def read(engine: Engine, prompt: list[int], count: int, times: list[float]) -> None:
    params = SamplingParams(max_tokens=count, temperature=0)
    async for chunk in engine.generate(prompt, params):
        times += [time.perf_counter()] * len(chunk.token_ids)


def engine_decode(engine: Engine, batch: int, context: int, count: int, vocabulary: int) -> float:
    """Output tokens a second while all `batch` requests decode."""
    times: list[list[float]] = [[] for _ in range(batch)]

    async def run() -> None:
        asked = zip(prompts(batch, context, vocabulary), times, strict=True)
        # Long enough that the first request still decodes when the last has been read.
        await asyncio.gather(
            *(read(engine, prompt, count + 2 * batch, stamps) for prompt, stamps in asked)
        )

    asyncio.run(run())
    start = max(stamps[0] for stamps in times)
    end = min(stamps[-1] for stamps in times)
    return sum(start < stamp <= end for stamps in times for stamp in stamps) / (end - start)

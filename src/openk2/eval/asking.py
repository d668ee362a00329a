"""How samples are asked: with a seed of their own, and by the likeliest of given options."""

import hashlib
from collections.abc import Callable
from string import ascii_uppercase
from typing import Literal, Unpack

from inspect_ai.model import GenerateConfig, GenerateConfigArgs, get_model
from inspect_ai.solver import Generate, Solver, TaskState, solver

from openk2.eval.streak import Streak

SEED = "seed"  # of this answer, in the store of its sample

ToolCalls = Literal["loop", "single", "none"]


def sample_seed(seed: int, sample: str | int, epoch: int) -> int:
    """A seed below 2^31 for one answer to one question: another for each epoch of Avg@k."""
    digest = hashlib.sha256(f"{seed}/{sample}/{epoch}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


@solver
def seeded(
    inner: Solver, seed: int, streak: Streak, finished: Callable[[], None] | None = None
) -> Solver:
    """`inner`, whose `generate` carries the seed of the sample and the epoch.

    Without it a server with seeds would give the same answer k times. A solver that asks
    `get_model()` itself finds it in the store as `SEED`. finished: called after each sample.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        own = sample_seed(seed, state.sample_id, state.epoch)
        state.store.set(SEED, own)

        async def generate_seeded(
            state: TaskState, tool_calls: ToolCalls = "loop", **config: Unpack[GenerateConfigArgs]
        ) -> TaskState:
            config.setdefault("seed", own)
            return await generate(state, tool_calls, **config)

        try:
            streak.check()
            answer = await inner(state, generate_seeded)
            streak.failures = 0
            return answer
        except Exception:
            streak.failures += 1
            raise
        finally:
            if finished is not None:
                finished()

    return solve


@solver
def continued() -> Solver:
    """Continue the sample's input, up to the strings in its metadata's "stop"."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        stop = list(state.metadata.get("stop", ()))
        return await (generate(state, stop_seqs=stop) if stop else generate(state))

    return solve


@solver
def options() -> Solver:
    """Pick the option with the largest log-likelihood after the prompt; its letter is the output.

    The prompt is the sample's input. Its choices are what may follow, as they follow: " A", " B".
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        continuations = [choice.value for choice in state.choices]
        if len(continuations) < 2:
            raise ValueError(f"sample {state.sample_id} has no options: give it choices")
        output = await get_model().generate(
            state.messages, config=GenerateConfig(extra_body={"continuations": continuations})
        )
        scores = (output.metadata or {}).get("loglikelihoods")
        if scores is not None:
            output.completion = ascii_uppercase[scores.index(max(scores))]
        state.output = output
        state.messages.append(output.message)
        return state

    return solve

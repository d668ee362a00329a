"""The first greedy tokens of the built-in model, ours in a full batch against transformers alone.

    python benchmarks/greedy.py [MODEL] [--prompts 200] [--tokens 32] [--dtype bfloat16]

Prompts are generated conversations, cut before an answer: with --split held_out of tools and words
that the model was not trained on. Where the two sides part, the reference decides in float32
whether it was a matter of rounding: how far apart are the logits of the two tokens there? The
stated error is twice the largest distance of transformers' logits in --dtype from those of the same
weights in float32, over the places of its own outputs: each side may be off by that much. How many
outputs of each side are those of float32 is told too. Exit status 1 if fewer than 95 % of the
prompts agree or a gap is larger than the error.
"""

import argparse
import asyncio
import json
import sys
from dataclasses import dataclass
from random import Random
from typing import Any

import torch
from reference import transformers_twin
from rich.progress import track
from transformers import DeepseekV3ForCausalLM, DynamicCache

from openk2.checkpoint import load_model
from openk2.pretrained import LocalModel, open_model
from openk2.protocol import SamplingParams
from openk2.record.machine import describe_machine
from openk2.synthesis import generate
from openk2.synthesis.values import Split

SHARE = 0.95


@dataclass(frozen=True)
class Divergence:
    """Where two outputs part. gap: between the logits of the two tokens, in float32."""

    prompt: int
    place: int
    gap: float


def make_prompts(model: LocalModel, count: int, split: Split) -> list[list[int]]:
    """Conversations up to an assistant's turn, as ids."""
    rng, prompts = Random(0), []
    for conversation in generate(20261125, count, split):
        messages = conversation["messages"]
        turns = [i for i, message in enumerate(messages) if message["role"] == "assistant"]
        ids, _ = model.chat.encode(messages[: rng.choice(turns)], conversation["tools"])
        prompts.append(ids)
    return prompts


def our_outputs(model: LocalModel, prompts: list[list[int]], count: int) -> list[list[int]]:
    async def read(prompt: list[int]) -> list[int]:
        params = SamplingParams(count, temperature=0, stop_token_ids=model.chat.stop_ids)
        chunks = [chunk.token_ids async for chunk in model.engine.generate(prompt, params)]
        return [token for ids in chunks for token in ids]

    async def run() -> list[list[int]]:
        return await asyncio.gather(*map(read, prompts))

    return asyncio.run(run())


@torch.inference_mode()
def greedy(
    reference: DeepseekV3ForCausalLM, prompt: list[int], count: int, stop_ids: frozenset[int]
) -> list[int]:
    cache, fed, output = DynamicCache(), torch.tensor([prompt]), []
    while len(output) < count and not (output and output[-1] in stop_ids):
        logits = reference(fed, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        output.append(int(logits[0, -1].argmax()))
        fed = torch.tensor([[output[-1]]])
    return output


@torch.inference_mode()
def output_logits(
    reference: DeepseekV3ForCausalLM, prompt: list[int], output: list[int]
) -> torch.Tensor:
    """Of each output token's place: float32 [len(output), V]."""
    ids = torch.tensor([prompt + output[:-1]])
    return reference(ids, logits_to_keep=len(output)).logits[0].float()


def compare(options: argparse.Namespace) -> dict[str, Any]:
    dtype = getattr(torch, options.dtype)
    with open_model(options.model, dtype=dtype) as model:
        plain = load_model(model.folder, dtype=dtype)
        reference, exact = transformers_twin(plain), transformers_twin(plain.float())
        prompts = make_prompts(model, options.prompts, options.split)
        ours = our_outputs(model, prompts, options.tokens)
        stop_ids = model.chat.stop_ids
    error, divergences, exact_ours, exact_theirs = 0.0, [], 0, 0
    for i, prompt in enumerate(track(prompts, "transformers", disable=options.json)):
        theirs = greedy(reference, prompt, options.tokens, stop_ids)
        logits = output_logits(exact, prompt, theirs)
        rounded = output_logits(reference, prompt, theirs)
        error = max(error, 2 * float((rounded - logits).abs().max()))
        exact_theirs += logits.argmax(-1).tolist() == theirs
        mine = logits if ours[i] == theirs else output_logits(exact, prompt, ours[i])
        exact_ours += mine.argmax(-1).tolist() == ours[i]
        if ours[i] != theirs:
            pairs = enumerate(zip(ours[i], theirs, strict=False))
            place, (token, other) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
            gap = float((logits[place, token] - logits[place, other]).abs())
            divergences.append(Divergence(i, place, gap))
    equal = 1 - len(divergences) / len(prompts)
    return {
        "prompts": len(prompts),
        "prompt_tokens": sum(map(len, prompts)),
        "equal": equal,
        "ours_as_float32": exact_ours / len(prompts),
        "theirs_as_float32": exact_theirs / len(prompts),
        "error": error,
        "divergences": [vars(divergence) for divergence in divergences],
        "ok": equal >= SHARE and all(d.gap <= error for d in divergences),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="openk2-nano")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="bfloat16")
    parser.add_argument("--split", choices=("train", "held_out"), default="held_out")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = compare(options)
    if options.json:
        print(json.dumps({"machine": describe_machine(), **vars(options), **result}))
    else:
        print(describe_machine())
        print(f"{options.model}, {options.dtype}, {options.split}: {result['prompts']} prompts")
        print(f"same first {options.tokens} greedy tokens: {result['equal']:.1%}")
        print(f"ours those of float32: {result['ours_as_float32']:.1%}")
        print(f"transformers' those of float32: {result['theirs_as_float32']:.1%}")
        print(f"stated error of a gap: {result['error']:.4f}")
        for divergence in result["divergences"]:
            print("prompt {prompt}, token {place}: gap {gap:.4f}".format(**divergence))
    sys.exit(not result["ok"])


if __name__ == "__main__":
    main()

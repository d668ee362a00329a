"""A real vLLM behind the gateway: our engine's greedy tokens, demands obeyed, what it costs.

    python benchmarks/vllm_gateway.py --vllm VENV [MODEL] [--dtype float32] [--prompts 200]
        [--tokens 32] [--demands 100] [--rounds 10] [--install]

Both sides compute the same exported (bfloat16) weights in --dtype. Prompts and stated error are
those of benchmarks/greedy.py: where the two part, the weights one precision finer (float32, or
float64 for float32) decide whether it was a matter of rounding. --demands sends forced calls and
JSON answers through `openk2 serve --upstream` and judges them by `jsonschema`. --rounds times
client -> vLLM against client -> `openk2 serve --upstream` -> vLLM, one request at a time, in turns.
Exit status 1 if fewer than 95 % agree, a gap is larger than the error, or an answer is not valid.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from greedy import SHARE, greedy, make_prompts, our_outputs, output_logits
from reference import transformers_twin
from served import serving
from vllm_demands import demand, forced_calls, json_answers
from vllm_server import NAME, install, vllm

from gateway import ask
from openk2.checkpoint import export_checkpoint, load_model
from openk2.gateway import Upstream, UpstreamPool, UpstreamTokens
from openk2.pretrained import LocalModel, find_folder, open_model
from openk2.protocol import SamplingParams
from openk2.record.machine import describe_machine

QUESTIONS = ("Who are you?", "How is the weather?", "What is a good name for a cat?", "Thanks!")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="openk2-nano")
    parser.add_argument("--vllm", type=Path, required=True)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--demands", type=int, default=100, help="of each kind")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--log", type=Path, default=None, help="where vLLM's words go")
    options = parser.parse_args()
    if options.install:
        install(options.vllm)
    print(describe_machine(), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "model"
        export_checkpoint(find_folder(options.model), folder)
        sys.exit(not measure(options, folder))


def measure(options: argparse.Namespace, folder: Path) -> bool:
    """Print everything; whether it is enough."""
    dtype = getattr(torch, options.dtype)
    with open_model(folder, dtype=dtype) as model:
        prompts = make_prompts(model, options.prompts, "held_out")
        ours = our_outputs(model, prompts, options.tokens)
    with vllm(options.vllm, folder, dtype=options.dtype, log=options.log) as url:
        pool = UpstreamPool([Upstream(url, NAME)])
        pool.probe()
        tokens = UpstreamTokens(pool, model.tokenizer, model.config.max_position_embeddings)
        theirs = asyncio.run(outputs(tokens, prompts, options.tokens, model.chat.stop_ids))
        gateway = ["--upstream", url, "--upstream-model", NAME, "--tokenizer", str(folder)]
        valid = True
        with serving(*gateway) as front:
            for kind in (forced_calls, json_answers):
                found = asyncio.run(demand(front.url, kind(options.demands)))
                print(f"{kind.__name__}: {found}", flush=True)
                valid &= found.valid == found.answers
            if options.rounds:
                asyncio.run(overhead(model, url, front.url, options.rounds))
    return report(options, model, prompts, ours, theirs) and valid


async def outputs(
    tokens: UpstreamTokens, prompts: list[list[int]], count: int, stop_ids: frozenset[int]
) -> list[list[int]]:
    """All at once, as our own engine is asked."""

    async def read(prompt: list[int]) -> list[int]:
        params = SamplingParams(count, temperature=0, stop_token_ids=stop_ids)
        return [i async for chunk in tokens.generate(prompt, params) for i in chunk.token_ids]

    return list(await asyncio.gather(*map(read, prompts)))


async def overhead(model: LocalModel, behind: str, front: str, rounds: int) -> None:
    """Chats through the gateway against the completions of the same ids, the same text."""
    direct, through, count = [], [], 64
    # An answer ends at its length, and is text: times then compare token by token.
    banned = {*model.chat.stop_ids, model.tokenizer.special("<|tool_calls_section_begin|>")}
    common = {"max_tokens": count, "logit_bias": {str(i): -100 for i in sorted(banned)}}
    ports = [int(url.removesuffix("/v1").rpartition(":")[2]) for url in (behind, front)]
    for number in range(rounds + 1):
        messages = [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}]
        ids, _ = model.chat.encode(messages, [])
        one = await ask(ports[0], "/v1/completions", {**common, "prompt": ids})
        other = await ask(ports[1], "/v1/chat/completions", {**common, "messages": messages})
        if one.text != other.text:
            sys.exit(f"vLLM said {one.text!r}, through the gateway it was {other.text!r}")
        if number:  # the first warms up
            direct.append(one.times)
            through.append(other.times)
    sides = (direct, through)
    first = [statistics.median(times[0] for times in side) * 1e3 for side in sides]
    rest = [statistics.median(t[-1] - t[0] for t in side) * 1e3 / (count - 1) for side in sides]
    print(f"{count} tokens, {rounds} rounds, medians; the gateway a process of its own")
    print(f"first token: {first[0]:.2f} ms direct, {first[1]:.2f} ms: {first[1] - first[0]:+.2f}")
    print(
        f"per token: {rest[0]:.3f} ms direct, {rest[1]:.3f} ms: {rest[1] / rest[0] - 1:+.2%}",
        flush=True,
    )


def report(
    options: argparse.Namespace,
    model: LocalModel,
    prompts: list[list[int]],
    ours: list[list[int]],
    theirs: list[list[int]],
) -> bool:
    """Print what agrees; whether it is enough, and every divergence within the error."""
    plain = load_model(model.folder, dtype=model.dtype)
    reference, exact = transformers_twin(plain), transformers_twin(plain.float())
    if model.dtype == torch.float32:
        exact.set_experts_implementation("eager")  # the grouped product knows no float64
        exact = exact.double()
    error = 0.0
    for prompt in prompts[:: max(1, len(prompts) // 50)]:
        output = greedy(reference, prompt, options.tokens, model.chat.stop_ids)
        rounding = output_logits(reference, prompt, output) - output_logits(exact, prompt, output)
        error = max(error, 2 * float(rounding.abs().max()))
    gaps = []
    for prompt, mine, other in zip(prompts, ours, theirs, strict=True):
        if mine == other:
            continue
        pairs = enumerate(zip(mine, other, strict=False))
        place, (token, second) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
        logits = output_logits(exact, prompt, other)[place]
        gaps.append(float((logits[token] - logits[second]).abs()))
    equal = 1 - len(gaps) / len(prompts)
    print(f"{len(prompts)} prompts, same first {options.tokens} greedy tokens: {equal:.1%}")
    print(f"stated error of a gap: {error:.2e}; gaps: {[f'{gap:.1e}' for gap in gaps]}")
    return equal >= SHARE and all(gap <= error for gap in gaps)


if __name__ == "__main__":
    main()

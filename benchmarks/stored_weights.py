"""Serving weights as they are stored: memory, time to load, tokens a second, bytes a second.

    python benchmarks/stored_weights.py write FOLDER --shape small|moonlight --weights FORMAT
    python benchmarks/stored_weights.py measure FOLDER [--weights stored|plain] [--batches 1 8]

`write` makes a checkpoint of random weights, after a look at the free disk: one draw for each shape
of matrix, times a random factor. `measure` opens it as `openk2 serve` does and drives the engine;
the rate of a plain read of memory is measured between the batches, in the same process and with as
many threads.
"""

import argparse
import math
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import torch
from driving import engine_decode, engine_prefill
from shapes import SHAPES
from torch import Tensor

from openk2.architecture import ModelConfig, count_parameters
from openk2.chat import Tokenizer
from openk2.checkpoint.format import Format
from openk2.checkpoint.names import PublishedTensor, published_tensors
from openk2.checkpoint.save import write_tensors
from openk2.kernels import native, quantize, quantize_int4
from openk2.pretrained import LocalModel, WeightForm, open_model
from openk2.record.machine import describe_machine

DEVIATION = 0.02
SPECIALS = 256


class RandomTensors:
    """A source that is never read: `RandomFormat` draws what it writes."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config

    def tensor(self, published: PublishedTensor) -> Tensor:
        return torch.empty(published.shape, device="meta")


class RandomFormat(Format):
    """Writes random values in place of the tensor's."""

    def encode(self, published: PublishedTensor, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        specs = self.specs(published)
        if len(published.shape) == 1:
            value = 0.0 if published.is_router_bias else 1.0
            dtype = torch.float32 if published.is_router_bias else self.dtype
            yield published.name, torch.full(published.shape, value, dtype=dtype)
        elif len(specs) == 1:
            yield published.name, plain(published.shape)
        else:
            values, scales = (fp8 if len(specs) == 2 else int4)(published.shape)
            yield specs[0].name, values
            yield specs[1].name, scales * (0.5 + torch.rand(()).item())
            if len(specs) == 3:
                yield specs[2].name, torch.tensor(published.shape, dtype=torch.int32)


@cache
def plain(shape: tuple[int, ...]) -> Tensor:
    return torch.empty(shape, dtype=torch.bfloat16).normal_(0, DEVIATION)


@cache
def fp8(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return quantize(plain(shape))


@cache
def int4(shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    return quantize_int4(plain(shape))


def random_tokenizer(size: int) -> Tokenizer:
    """A vocabulary of `size` ids, specials included: all short byte strings in order."""
    tokens = [bytes([byte]) for byte in range(256)]
    tokens += [bytes(divmod(n, 256)) for n in range(min(1 << 16, size - SPECIALS - 256))]
    tokens += [n.to_bytes(3, "big") for n in range(size - SPECIALS - len(tokens))]
    return Tokenizer(tokens)


def write(folder: Path, shape: str, weights: str) -> None:
    config, form = SHAPES[shape], RandomFormat.named(weights)
    size = sum(s.bytes for p in published_tensors(config) for s in form.specs(p))
    folder.mkdir(parents=True)
    free = shutil.disk_usage(folder).free
    if free < 1.2 * size:
        sys.exit(f"{folder} has {free / 1e9:.1f} GB free: {size / 1e9:.1f} GB are to be written")
    began = time.perf_counter()
    write_tensors(RandomTensors(config), folder, form)
    random_tokenizer(config.vocab_size).save(folder)
    print(f"{size / 1e9:.2f} GB in {time.perf_counter() - began:.0f} s")


def bytes_of_token(config: ModelConfig, folder: Path, stored: bool, dtype: torch.dtype) -> float:
    """Weights that one token reads: all but the embedding, and of the experts the chosen ones."""
    read = 0.0
    quantized = ModelConfig.read(folder).quantization
    for published in published_tensors(config):
        if published.name == "model.embed_tokens.weight":
            continue
        share = 1.0
        if published.expert is not None:
            share = config.num_experts_per_tok / config.n_routed_experts
        if stored and published.stays_stored(quantized):
            size = sum(spec.bytes for spec in published.specs(quantized, "BF16"))
        else:
            size = math.prod(published.shape) * dtype.itemsize
        read += share * size
    return read


def read_rate(threads: int) -> float:
    """Bytes a second that `threads` threads read from memory, at best of three."""
    parts = [torch.ones(1 << 26, dtype=torch.int32) for _ in range(threads)]

    def once() -> float:
        began = time.perf_counter()
        list(pool.map(torch.max, parts))
        return sum(part.nbytes for part in parts) / (time.perf_counter() - began)

    with ThreadPoolExecutor(threads) as pool:
        return max(once() for _ in range(3))


def memory(field: str) -> float:
    """A field of this process's memory in GB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) * 1024 / 1e9


def measure(folder: Path, options: argparse.Namespace) -> None:
    before, began = memory("VmRSS"), time.perf_counter()
    with open_model(
        folder, weights=WeightForm(options.weights), context_length=2048, cache_bytes=1 << 30
    ) as local:
        took = time.perf_counter() - began
        print(describe_machine(), native.instruction_sets()[0], f"{native.threads()} threads")
        print(local.summary)
        print(
            f"open: {took:.1f} s, {local.weights.bytes / took / 1e9:.2f} GB/s; resident "
            f"{memory('VmRSS') - before:.2f} GB more, at most {memory('VmHWM') - before:.2f}"
        )
        report(local, folder, options)


def report(local: LocalModel, folder: Path, options: argparse.Namespace) -> None:
    config, vocabulary = local.config, local.config.vocab_size
    stored = "as stored" in local.weights.form
    token = bytes_of_token(config, folder, stored, local.dtype)
    count = count_parameters(config)
    print(f"{count.total / 1e9:.2f}G parameters, {token / 1e9:.3f} GB of weights a token")
    print("| | tokens/s | GB/s of weights | a plain read, GB/s | share |\n|---|---|---|---|---|")
    for length in options.prompts:
        rate = max(engine_prefill(local.engine, length, vocabulary) for _ in range(2))
        print(f"| prefill {length} | {rate:.0f} | | | |", flush=True)
    for batch in options.batches:
        runs = [
            (
                engine_decode(local.engine, batch, options.context, options.decode, vocabulary),
                read_rate(native.threads()),
            )
            for _ in range(options.repeats)
        ]
        rate, read = (max(values) for values in zip(*runs, strict=True))
        line = f"| decode b{batch} at {options.context} | {rate:.2f} |"
        if batch == 1:
            line += f" {rate * token / 1e9:.2f} | {read / 1e9:.2f} | {rate * token / read:.2f} |"
        else:
            line += " | | |"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("step", choices=("write", "measure"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shape", choices=SHAPES, default="moonlight")
    parser.add_argument("--weights", default=None, help="bf16, block-fp8, int4; stored, plain")
    parser.add_argument("--prompts", type=int, nargs="*", default=[512])
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8])
    parser.add_argument("--context", type=int, default=128)
    parser.add_argument("--decode", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.step == "write":
        write(options.folder, options.shape, options.weights or "int4")
    else:
        options.weights = options.weights or "stored"
        measure(options.folder, options)


if __name__ == "__main__":
    main()

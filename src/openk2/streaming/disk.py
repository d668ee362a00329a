"""How fast a disk reads experts, and how many tokens a second that allows."""

import mmap
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import perf_counter

import torch

from openk2.architecture import ModelConfig
from openk2.kernels import ExpertSlots, Fp8Weight, Int4Weight, Weight
from openk2.streaming.budget import moe_layers, resident_part
from openk2.streaming.direct_file import FileReads, ShardFiles
from openk2.streaming.load import expert_form
from openk2.streaming.ranges import ALIGNMENT, FileRange

SCRATCH_BYTES = 1 << 30
COMPUTE_SECONDS = 1.0
DEPTHS = (1, 2, 4, 8)
# Share of a step's computing during which the disk reads, measured with look-ahead
# (benchmarks/streaming.md): while experts that have arrived are computed, and on guesses.
OVERLAP = 0.6
# What is read more than the experts that were missed, for guesses that are given up; there too.
GUESSING = 1.2


@dataclass(frozen=True)
class DiskRate:
    """order: sequential or random; depth: reads of an expert under way; rate: bytes a second."""

    order: str
    depth: int
    rate: float


@dataclass(frozen=True)
class Prediction:
    """Of one sequence's decoding, by token. bytes_read: of missed experts and wrong guesses.
    read_seconds, compute_seconds: alone; pack_seconds: of a layer's last expert, which no reading
    hides; bound: tokens a second if only the disk counted."""

    bytes_read: float
    read_seconds: float
    compute_seconds: float
    pack_seconds: float
    tokens_per_second: float
    bound: float


@contextmanager
def files_to_read(place: Path, size: int) -> Iterator[list[Path]]:
    """The shards in a folder that hold `size` bytes; without any, a scratch file of 1 GiB in it."""
    files = [each for each in sorted(place.glob("*.safetensors")) if each.stat().st_size >= size]
    if files:
        yield files
        return
    with NamedTemporaryFile(dir=place, prefix=".openk2-disk-") as scratch:
        for _ in range(SCRATCH_BYTES // (64 << 20)):
            scratch.write(os.urandom(64 << 20))
        scratch.flush()
        os.fsync(scratch.fileno())
        yield [Path(scratch.name)]


def measure_disk(
    files: list[Path],
    size: int,
    seconds: float,
    depths: tuple[int, ...] = DEPTHS,
    tell: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[DiskRate]:
    """Read `size` bytes at a time, past the page cache, for `seconds` in each of several ways."""
    shards = ShardFiles(FileReads.direct, tell)
    size = -(-size // ALIGNMENT) * ALIGNMENT
    places = [
        (file, begin) for file in files for begin in range(0, file.stat().st_size - size + 1, size)
    ]
    ways = [("sequential", 1), *(("random", depth) for depth in depths)]
    rates = []
    for number, (order, depth) in enumerate(ways):
        progress(number, len(ways))
        if order == "random":
            random.shuffle(places)
        rates.append(DiskRate(order, depth, rate_of(shards, places, size, seconds, depth)))
    progress(len(ways), len(ways))
    shards.close()
    return rates


def rate_of(
    shards: ShardFiles, places: list[tuple[Path, int]], size: int, seconds: float, depth: int
) -> float:
    """Bytes a second with `depth` threads that read until the time is over."""
    begun, read = perf_counter(), 0

    def work(first: int) -> int:
        done = 0
        buffer = torch.frombuffer(mmap.mmap(-1, size), dtype=torch.uint8)
        for index in range(first, 1 << 30, depth):
            file, begin = places[index % len(places)]
            done += len(shards.read(FileRange(file, begin, begin + size, ()), buffer))
            if perf_counter() - begun > seconds:
                break
        return done

    with ThreadPoolExecutor(depth) as pool:
        read = sum(pool.map(work, range(depth)))
    return read / (perf_counter() - begun)


def measure_compute(config: ModelConfig, dtype: torch.dtype, stored: bool) -> float:
    """Bytes of weights a second that one token's products read: 8 experts, out of the cache."""
    form = expert_form(config, dtype, stored)
    slots = ExpertSlots(form, 8, 8)
    slots.fill()
    x = torch.randn(1, config.hidden_size).to(dtype)
    weights, chosen, table = torch.ones(1, 8), torch.arange(8)[None], torch.arange(8)
    slots.add(x, weights, chosen, table, torch.empty_like(x))
    begun, times = perf_counter(), 0
    # A mean, not the best: whatever else runs on the machine counts.
    while times < 3 or perf_counter() - begun < COMPUTE_SECONDS:
        slots.add(x, weights, chosen, table, torch.empty_like(x))
        times += 1
    return times * 8 * form.bytes / (perf_counter() - begun)


def measure_packing(config: ModelConfig, dtype: torch.dtype, stored: bool) -> float:
    """Seconds for which an expert that was read is packed, with all threads."""
    form = expert_form(config, dtype, stored)
    slots = ExpertSlots(form, 1, 2)
    inner, hidden = form.inner, form.hidden
    shapes = ((inner, hidden), (inner, hidden), (hidden, inner))
    gate, up, down = (zeros_like(form.sample, *shape) for shape in shapes)
    slots.fill()
    slots.pack(0, (gate, up, down))
    begun, times = perf_counter(), 0
    while times < 3 or perf_counter() - begun < COMPUTE_SECONDS / 2:
        slots.pack(times % 2, (gate, up, down))
        times += 1
    return (perf_counter() - begun) / times


def zeros_like(sample: Weight, rows: int, k: int) -> Weight:
    """A weight [rows, k] in the form of `sample`."""
    if isinstance(sample, Int4Weight):
        scales = torch.ones(rows, k // sample.group, dtype=sample.multipliers.dtype)
        return Int4Weight(torch.zeros(rows, k // 8, dtype=torch.int32), scales)
    if isinstance(sample, Fp8Weight):
        scales = torch.ones(-(-rows // sample.block[0]), -(-k // sample.block[1]))
        values = torch.zeros(rows, k, dtype=sample.values.dtype)
        return Fp8Weight(values, scales, sample.block)
    return torch.zeros(rows, k, dtype=sample.dtype)


def predict(
    config: ModelConfig,
    *,
    disk: float,
    compute: float,
    packing: float,
    hit_rate: float,
    dtype: torch.dtype = torch.bfloat16,
    stored: bool = True,
) -> Prediction:
    """disk, compute: bytes a second. packing: seconds an expert. hit_rate: experts in memory of
    those that a token chooses, guesses apart."""
    slot = expert_form(config, dtype, stored).bytes
    chosen = moe_layers(config) * config.num_experts_per_tok
    embedding = 0 if config.tie_word_embeddings else config.vocab_size * config.hidden_size
    active = resident_part(config, dtype, stored) - embedding * dtype.itemsize + chosen * slot
    bytes_read = chosen * (1 - hit_rate) * slot * GUESSING
    reading, computing = bytes_read / disk, active / compute
    hidden = min(reading, computing * OVERLAP)
    missing = 1 - hit_rate**config.num_experts_per_tok
    last = moe_layers(config) * missing * packing
    return Prediction(
        bytes_read,
        reading,
        computing,
        last,
        1 / (reading + computing + last - hidden),
        disk / bytes_read if bytes_read else float("inf"),
    )

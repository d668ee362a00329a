"""Converting a checkpoint: bf16 -> block-fp8 -> int4 -> bf16, beside the disk's own speed.

    python benchmarks/convert.py FOLDER --gigabytes 2 --kills 10

Writes a random checkpoint with experts of K2's width, converts it three times, each time twice:
once undisturbed, once killed at random moments and run again until it is done; both must be the
same bytes. Each run is a process of its own; where cgroups can be made, in one of 2 GiB that counts
the page cache. The bound is the time of reading the source's bytes and writing the target's, one
after the other, measured in the same run. `--load` also times loading beside a raw read.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch

from openk2.architecture import ModelConfig
from openk2.checkpoint import (
    Format,
    PublishedTensor,
    load_model,
    load_packed,
    verify_checkpoint,
    write_tensors,
)
from openk2.checkpoint.names import published_tensors
from openk2.record import describe_machine

STEPS = ("block-fp8", "int4", "bf16")
LIMIT = 2 << 30
BLOCK = 16 << 20
CHILD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from openk2.checkpoint import convert_checkpoint
done = asdict(convert_checkpoint(*sys.argv[1:4], max_shard_bytes=int(sys.argv[4])))
status = Path("/proc/self/status").read_text()
done["peak"] = int(status.split("VmHWM:")[1].split()[0]) * 1024
print(json.dumps({**done, "folder": ""}))
"""


class RandomTensors:
    """Gaussian weights: every tensor is a piece of one block of values, begun elsewhere."""

    def __init__(self, config: ModelConfig) -> None:
        self.config = config
        largest = max(torch.Size(each.shape).numel() for each in published_tensors(config))
        generator = torch.Generator().manual_seed(0)
        self.values = torch.randn(largest + (1 << 20), generator=generator).mul(0.02).bfloat16()
        self.random = random.Random(0)

    def tensor(self, published: PublishedTensor) -> torch.Tensor:
        count = torch.Size(published.shape).numel()
        begin = self.random.randrange(len(self.values) - count)
        values = self.values[begin : begin + count].view(published.shape)
        return values.float() if published.is_router_bias else values


def network(gigabytes: float) -> ModelConfig:
    """One dense layer and one of experts, as many as fill the size, of K2's widths."""
    experts = max(8, int(gigabytes * 1e9 / 2 / (3 * 7168 * 2048)) - 6)
    return ModelConfig(
        vocab_size=16384,
        num_hidden_layers=2,
        intermediate_size=4096,
        n_routed_experts=experts,
        num_attention_heads=16,
    )


def forget(folder: Path) -> None:
    """Have the system drop the folder's files from its page cache."""
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def raw_read(folder: Path) -> float:
    """Bytes a second of reading the shards in order, into one buffer."""
    forget(folder)
    buffer, total, begun = bytearray(BLOCK), 0, time.perf_counter()
    for file in sorted(folder.glob("*.safetensors")):
        with file.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                total += count
    return total / (time.perf_counter() - begun)


def raw_write(folder: Path, size: int) -> float:
    """Bytes a second of writing `size` bytes and syncing them."""
    file, block = folder / "raw", os.urandom(BLOCK)
    begun = time.perf_counter()
    with file.open("wb", buffering=0) as stream:
        for _ in range(size // BLOCK):
            stream.write(block)
        os.fsync(stream.fileno())
    speed = size // BLOCK * BLOCK / (time.perf_counter() - begun)
    file.unlink()
    return speed


def limited() -> Path | None:
    """A new cgroup of LIMIT bytes, or None where it cannot be made."""
    root = Path("/sys/fs/cgroup")
    for group, limit in (
        (root / "openk2", "memory.max"),
        (root / "memory/openk2", "memory.limit_in_bytes"),
    ):
        try:
            group.mkdir(exist_ok=True)
            (group / limit).write_text(str(LIMIT))
        except OSError:
            continue
        return group
    return None


def begin(
    source: Path, target: Path, form: str, group: Path | None, shard: int
) -> subprocess.Popen[str]:
    """Start a conversion in the cgroup."""
    enter = None if group is None else lambda: (group / "cgroup.procs").write_text("0")
    command = [sys.executable, "-c", CHILD, str(source), str(target), form, str(shard)]
    return subprocess.Popen(  # the child writes one short file before it becomes Python
        command, stdout=subprocess.PIPE, text=True, preexec_fn=enter
    )


def finish(process: subprocess.Popen[str]) -> dict[str, float]:
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"the conversion ended with {process.returncode}")
    return json.loads(out)


def content(folder: Path) -> dict[str, str]:
    """Checksums of the shards, and of what lies beside them its text."""
    verify_checkpoint(folder, deep=True)
    texts = {file.name: file.read_text() for file in folder.glob("*.json")}
    return texts | {"files": ",".join(sorted(file.name for file in folder.iterdir()))}


def killed(
    source: Path,
    target: Path,
    form: str,
    group: Path | None,
    kills: int,
    seconds: float,
    shard: int,
) -> int:
    """Convert with `kills` kills at random moments; shards that the last run kept."""
    while kills:
        process = begin(source, target, form, group, shard)
        time.sleep(random.uniform(0.1, seconds))
        process.send_signal(signal.SIGKILL)
        kills -= process.wait() == -signal.SIGKILL  # else it was done before
        if target.exists():
            shutil.rmtree(target)
    return int(finish(begin(source, target, form, group, shard))["kept_shards"])


def steps(folder: Path, kills: int, shard: int) -> Iterator[dict[str, object]]:
    """Each conversion's figures."""
    group, source = limited(), folder / "source"
    for number, form in enumerate(STEPS):
        target = folder / form.replace("bf16", "bf16-again")
        read, write = raw_read(source), raw_write(folder, 1 << 30)
        forget(source)
        done = finish(begin(source, target, form, group, shard))
        bound = done["bytes_read"] / read + done["bytes"] / write
        expected = content(target)
        shutil.rmtree(target)
        mine = kills // 3 + (number < kills % 3)
        kept = killed(source, target, form, group, mine, done["seconds"], shard)
        yield {
            "step": f"{source.name} -> {form}",
            "GB read": round(done["bytes_read"] / 1e9, 2),
            "GB written": round(done["bytes"] / 1e9, 2),
            "seconds": round(done["seconds"], 1),
            "raw read MB/s": round(read / 1e6),
            "raw write MB/s": round(write / 1e6),
            "share of the disk's speed": round(bound / done["seconds"], 2),
            "peak memory MB": round(done["peak"] / 1e6),
            "limit": "cgroup of 2 GiB" if group else "none",
            "kills": mine,
            "shards kept at the last": kept,
            "same bytes": content(target) == expected,
            "error": done["added_error"],
        }
        shutil.rmtree(source)
        source = target
    shutil.rmtree(source)


def load(folder: Path) -> None:
    """Loading, plain and packed for serving, beside a raw read, in changing order."""
    size = verify_checkpoint(folder).bytes
    ways = {"raw": raw_read, "load_model": load_model, "load_packed": load_packed}
    names = list(ways)
    if ModelConfig.read(folder).quantization is None:
        ways["load_packed"] = partial(load_packed, stored=False)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(6):
        for name in names[number % 3 :] + names[: number % 3]:
            forget(folder)
            begun = time.perf_counter()
            ways[name](folder)
            seconds[name].append(time.perf_counter() - begun)
    raw = statistics.median(seconds["raw"])
    for name in names:
        spent = statistics.median(seconds[name])
        print(
            json.dumps(
                {
                    name: [round(each, 2) for each in seconds[name]],
                    "MB/s": round(size / spent / 1e6),
                    "share of a raw read": round(raw / spent, 2),
                }
            ),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--max-shard-gigabytes", type=float, default=0.5)
    parser.add_argument("--load", action="store_true")
    arguments = parser.parse_args()
    print(json.dumps(describe_machine()), f"load {os.getloadavg()}", flush=True)
    source = arguments.folder / "source"
    source.mkdir(parents=True)
    tensors = RandomTensors(network(arguments.gigabytes))
    shard = int(arguments.max_shard_gigabytes * 1e9)
    write_tensors(tensors, source, Format(), shard)
    if arguments.load:
        load(source)
    for figures in steps(arguments.folder, arguments.kills, shard):
        print(json.dumps(figures), f"load {os.getloadavg()}", flush=True)


if __name__ == "__main__":
    main()

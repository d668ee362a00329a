"""Serving a checkpoint larger than memory, in a memory control group that counts the page cache.

    openk2 checkpoint synthesize --layers 2 ./k2-two-layers
    python benchmarks/streaming.py ./k2-two-layers --memory 8GiB --limit 10GiB

Each way runs in a process of its own inside the group: ours; ours without look-ahead; and the plain
twin, which maps the shards and leaves caching to the system (its slab holds what one step needs).
The disk's own rate is measured in the same process before and after its tokens. Needs root and
control groups of version 1.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time

from openk2.cli.size import read_size
from openk2.record import describe_machine

GROUP = Path("/sys/fs/cgroup/memory")
WAYS: dict[str, dict[str, object]] = {
    "streamed": {},
    "no look-ahead": {"look_ahead": False},
    "mmap": {"reads": "mapped", "look_ahead": False, "slots": 24},
}
CACHE_BYTES = 64 << 20


@dataclass(frozen=True)
class Task:
    folder: Path
    memory: int
    tokens: int
    warm: int


def run(task: Task, way: str) -> dict[str, float]:
    """Decode one sequence at temperature 1; what a token took."""
    import torch

    from openk2.checkpoint import open_checkpoint
    from openk2.engine import Engine
    from openk2.protocol import SamplingParams
    from openk2.streaming import (
        FileReads,
        load_streamed,
        measure_compute,
        measure_packing,
        plan_streaming,
        predict,
    )
    from openk2.streaming.disk import measure_disk

    options = dict(WAYS[way])
    checkpoint = open_checkpoint(task.folder)
    config = checkpoint.config
    budget = plan_streaming(config, task.memory, CACHE_BYTES)
    slots = int(options.pop("slots", budget.slots))  # type: ignore[call-overload]
    reads = FileReads(options.pop("reads", "direct"))
    model, store = load_streamed(checkpoint, slots=slots, reads=reads, **options)  # type: ignore[arg-type]
    engine = Engine(model, pages=64, page_size=64, max_batch=1)
    engine.start()

    async def decode(seed: int, count: int) -> None:
        params = SamplingParams(max_tokens=count, temperature=1.0, seed=seed)
        async for _ in engine.generate([seed, seed + 1], params):
            pass

    def disk() -> float:
        shards = sorted(task.folder.glob("*.safetensors"))
        return measure_disk(shards, budget.slot_bytes, 1.5, (4,))[-1].rate

    asyncio.run(decode(1, task.warm))
    before, old = disk(), store.stats()
    begun, computing = perf_counter(), process_time()
    asyncio.run(decode(2, task.tokens))
    seconds, computing = perf_counter() - begun, process_time() - computing
    new, after = store.stats(), disk()
    got = {name: getattr(new, name) - getattr(old, name) for name in vars(new)}
    engine.stop()
    store.close()
    raw = (before + after) / 2
    hit = got["hits"] / got["requests"]
    compute = measure_compute(config, torch.bfloat16, True)
    predicted = predict(
        config,
        disk=raw,
        compute=compute,
        packing=measure_packing(config, torch.bfloat16, True),
        hit_rate=hit - got["guessed"] / got["requests"],
    )
    return {
        "slots": slots,
        "experts": budget.experts,
        "seconds_a_token": seconds / task.tokens,
        "cpu_a_token": computing / task.tokens,
        "bytes_a_token": got["bytes_read"] / task.tokens,
        "hit_rate": hit,
        "late": got["late"] / got["requests"],
        "wrong": got["wrong"] / max(1, got["reads"]),
        "waited_a_token": got["waited_seconds"] / task.tokens,
        "read_seconds_a_token": got["read_seconds"] / task.tokens,
        "rate_while_reading": got["bytes_read"] / max(1e-9, got["read_seconds"]),
        "compute_rate": compute,
        "disk_before": before,
        "disk_after": after,
        "predicted_seconds": 1 / predicted.tokens_per_second,
    }


def in_group(arguments: list[str], limit: int) -> tuple[dict[str, float], int]:
    """Run this script again in a new control group: its result, and the group's largest use."""
    group = GROUP / f"openk2-streaming-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(limit))
        done = subprocess.run(
            [sys.executable, __file__, *arguments],
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: (group / "cgroup.procs").write_text(str(os.getpid())) and None,
        )
        if done.returncode:
            raise SystemExit(
                f"{' '.join(arguments)} failed ({done.returncode}): {done.stderr[-2000:]}"
            )
        used = int((group / "memory.max_usage_in_bytes").read_text())
        return json.loads(done.stdout.splitlines()[-1]), used
    finally:
        (group / "memory.force_empty").write_text("0")
        group.rmdir()


def forget_cached(folder: Path) -> None:
    """Drop the shards from the page cache: what others have read would not count in the group."""
    for shard in folder.glob("*.safetensors"):
        with shard.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def report(way: str, found: dict[str, float], used: int) -> str:
    """One line of the page's table."""
    seconds, raw = found["seconds_a_token"], (found["disk_before"] + found["disk_after"]) / 2
    share = found["bytes_a_token"] / seconds / raw
    return (
        f"| {way} | {found['slots']:.0f} of {found['experts']:.0f} | {1 / seconds:.2f} | "
        f"{found['bytes_a_token'] / 1e6:.0f} MB | {found['hit_rate']:.0%} + {found['late']:.0%} | "
        f"{found['disk_before'] / 1e9:.2f} / {found['disk_after'] / 1e9:.2f} | {share:.0%} | "
        f"{found['waited_a_token']:.2f} of {seconds:.2f} s | "
        f"{1 / found['predicted_seconds']:.2f} | {used / 2**30:.1f} GiB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--memory", type=read_size, default=8 << 30)
    parser.add_argument("--limit", type=read_size, default=10 << 30)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--warm", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--inside", action="store_true", help="run one way here, for the group")
    given = parser.parse_args()
    if given.inside:
        task = Task(given.folder, given.memory, given.tokens, given.warm)
        print(json.dumps(run(task, given.only)))
        return
    print(describe_machine())
    for number in range(given.rounds):
        for way in WAYS if given.only is None else [given.only]:
            arguments = [str(given.folder), "--inside", "--only", way]
            for name in ("memory", "tokens", "warm"):
                arguments += [f"--{name}", str(getattr(given, name))]
            forget_cached(given.folder)
            found, used = in_group(arguments, given.limit)
            print(f"round {number + 1}", report(way, found, used), json.dumps(found), flush=True)


if __name__ == "__main__":
    main()

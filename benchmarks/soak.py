"""Many clients for minutes, some of which leave: is every request answered, does memory stay flat?

    python benchmarks/soak.py [MODEL] [--minutes 5] [--clients 64]

Starts `openk2 serve` and sends it streamed and whole chats and completions of random lengths over
the loopback. A client leaves its stream with probability --leave. Prints a line every ten seconds
and fails if a request that was not left ended without its answer, if a page is held at the end, or
if memory in the last minute is more than 5 % above that of the second.
"""

import argparse
import asyncio
import random
import re
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
from served import serving

from openk2.record.machine import describe_machine

WORDS = [
    "weather",
    "Beijing",
    "please",
    "tell",
    "the",
    "tool",
    "what",
    "is",
    "a",
    "name",
    "for",
    "today",
    "in",
    "and",
    "of",
    "Paris",
]


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} tells no VmRSS")


async def client(
    http: httpx.AsyncClient, model: str, rng: random.Random, end: float, leave: float, seen: Counter
) -> None:
    """One request after the other until `end`."""
    while time.monotonic() < end:
        text = " ".join(rng.choices(WORDS, k=rng.choice((3, 30, 200))))
        body: dict = {"model": model, "max_tokens": rng.randint(1, 80), "stream": True}
        if rng.random() < 0.7:
            path, body["messages"] = "chat/completions", [{"role": "user", "content": text}]
        else:
            path, body["prompt"] = "completions", text
        leaving = rng.random() < leave
        left_after, chunks, last = rng.randint(0, 20), 0, ""
        try:
            async with http.stream("POST", path, json=body) as response:
                if response.status_code != 200:
                    seen[f"status {response.status_code}"] += 1
                    continue
                async for line in response.aiter_lines():
                    last, chunks = line or last, chunks + 1
                    if leaving and chunks > left_after:
                        break
        except httpx.HTTPError as error:
            seen[f"error {type(error).__name__}"] += 1
            continue
        done = last == "data: [DONE]"
        seen["answered" if done else "left" if leaving else "cut off"] += 1


async def watch(pid: int, began: float, end: float, seen: Counter) -> list[tuple[float, float]]:
    """Seconds and MiB, every ten seconds."""
    sizes = []
    while time.monotonic() < end:
        await asyncio.sleep(10)
        sizes.append((time.monotonic() - began, resident_mib(pid)))
        print(f"{sizes[-1][0]:5.0f} s {sizes[-1][1]:7.0f} MiB {dict(seen)}", flush=True)
    return sizes


async def soak(url: str, pid: int, options: argparse.Namespace) -> bool:
    seen: Counter = Counter()
    began = time.monotonic()
    end = began + 60 * options.minutes
    limits = httpx.Limits(max_connections=options.clients)
    async with httpx.AsyncClient(base_url=url, timeout=120, limits=limits) as http:
        model = (await http.get("models")).json()["data"][0]["id"]
        clients = [
            client(http, model, random.Random(i), end, options.leave, seen)
            for i in range(options.clients)
        ]
        sizes, *_ = await asyncio.gather(watch(pid, began, end, seen), *clients)
        await asyncio.sleep(1)
        metrics = (await http.get(url.removesuffix("/v1/") + "/metrics")).text
    pages = {
        name: float(value)
        for name, value in re.findall(r"^openk2_engine_(\w*pages) (\S+)$", metrics, re.MULTILINE)
    }
    second = max(size for at, size in sizes if at <= 120)
    last = max(size for at, size in sizes if at >= sizes[-1][0] - 60)
    checks = {
        f"every request answered: {dict(seen)}": set(seen) <= {"answered", "left"},
        f"no page held: {pages}": pages["pages"] == pages["free_pages"],
        f"memory {second:.0f} -> {last:.0f} MiB": last <= 1.05 * second,
    }
    for name, ok in checks.items():
        print("ok " if ok else "BAD", name)
    return all(checks.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="openk2-nano")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--leave", type=float, default=0.3)
    options = parser.parse_args()
    print(describe_machine(), flush=True)
    with serving(options.model) as server:
        ok = asyncio.run(soak(server.url + "/", server.pid, options))
    sys.exit(not ok)


if __name__ == "__main__":
    main()

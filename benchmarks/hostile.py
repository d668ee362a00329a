"""What a plain client feels while another sends hostile requests to the same server.

    python benchmarks/hostile.py [--seconds 6] [--only NAME] [MODEL]

Beside every input, one client in a process of its own asks for short streamed answers, and another
sends the input again and again, each time changed a little so that nothing is found in a cache. The
plain client's figures with nobody beside it are taken in turns with those, in the same run. The row
"plain" has a second plain client in the hostile one's place: what sharing costs.
"""

import argparse
import json
import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from served import serving

from openk2.record.machine import describe_machine

NAME = {"model": "k2"}
CHAT = {
    **NAME,
    "messages": [{"role": "user", "content": "Tell me about Paris."}],
    "max_tokens": 32,
}
MEGABYTES = 8 * 10**6


@dataclass(frozen=True)
class Hostile:
    """A request's body, in which NONCE is another number each time."""

    body: str
    path: str = "/chat/completions"


def answering(schema: Mapping[str, Any], max_tokens: int = 32) -> Hostile:
    """A chat whose answer has this schema."""
    named = {"name": "x", "schema": {"title": "NONCE", **schema}}
    demand = {"type": "json_schema", "json_schema": named}
    return Hostile(json.dumps({**CHAT, "max_tokens": max_tokens, "response_format": demand}))


def saying(text: str) -> Hostile:
    """A chat about this text."""
    return Hostile(json.dumps({**CHAT, "messages": [{"role": "user", "content": "NONCE" + text}]}))


def listing(field: str, item: str) -> Hostile:
    """Eight megabytes of one item."""
    items = ",".join([item] * (MEGABYTES // (len(item) + 1)))
    return Hostile(f'{{"{field}":[{items}]}}')


def pattern(text: str, max_tokens: int = 32) -> Hostile:
    return answering({"type": "string", "pattern": text}, max_tokens)


def names(count: int) -> list[str]:
    return [f"a{index}" for index in range(count)]


def inputs() -> dict[str, Hostile]:
    """What is sent, by the name that the table gives it."""
    many = names(1_000)
    ids = {"type": "object", "patternProperties": {"_id$": {"type": "string"}}}
    overlapping = {f"^a{index}": {"type": "string"} for index in range(300)}
    branches = [{"properties": {name: {"const": 1}}} for name in names(60)]
    return {
        "plain": Hostile(json.dumps({**CHAT, "stream": True})),
        "R1: 40,000 required names": answering({"type": "object", "required": names(40_000)}),
        "3,900 required names": answering({"type": "object", "required": names(3_900)}),
        "R2: 8 MB of ones as messages": listing("messages", "1"),
        "8 MB of empty objects as tools": listing("tools", "{}"),
        "8 MB of empty texts as ids": listing("tokens", '""'),
        "8 MB nested": Hostile('{"messages":' + "[" * MEGABYTES),
        "8 MB of words": saying("word " * (MEGABYTES // 5)),
        "8 MB of one letter": saying("a" * MEGABYTES),
        "8 MB of the beginnings of markers": Hostile(
            json.dumps({**NAME, "prompt": "NONCE" + "<|" * (MEGABYTES // 2)}), "/completions"
        ),
        "400 kB of words": saying("word " * 80_000),
        "O1: ids at the end of a key": answering({**ids, "additionalProperties": False}, 100),
        "file names": pattern(r"^(x|.*\.(png|jpg))$", 100),
        "six letters 500 times": pattern("^(a|b|c|d|e|f){500}_z$", 100),
        "60,000 optional letters": pattern("^" + "a?" * 60_000 + "$"),
        "5,000 optional letters": pattern("^" + "a?" * 5_000 + "$"),
        "a multiple of 2^30": answering({"type": "integer", "multipleOf": 2**30}),
        "a list of 3,000 numbers": answering({"const": list(range(3_000))}),
        "an enum of 3,900 names": answering({"enum": names(3_900)}),
        "an enum beside 50 patterns": answering(
            {"enum": names(3_900), "allOf": [{"pattern": f"^a.*{n % 10}?$"} for n in range(50)]}
        ),
        "propertyNames of 3,000": answering(
            {"type": "object", "propertyNames": {"enum": names(3_000)}}
        ),
        "1,000 properties beside 300 patterns": answering(
            {"properties": {name: {} for name in many}, "patternProperties": overlapping}
        ),
        "1,000 bounded properties": answering(
            {"properties": {name: {"minimum": at} for at, name in enumerate(many)}}
        ),
        "900 prefixItems": answering(
            {"type": "array", "prefixItems": [{"const": index} for index in range(900)]}
        ),
        "oneOf of 60": answering({"type": "object", "oneOf": branches}),
        "M1: repetition_penalty 1e-40": Hostile(
            json.dumps({**CHAT, "repetition_penalty": "TINY"}).replace('"TINY"', "1e-40")
        ),
        "a bias of 1,000 ids": Hostile(
            json.dumps({**CHAT, "logit_bias": {str(index): 1 for index in range(1_000)}})
        ),
        "n 128": Hostile(json.dumps({**CHAT, "n": 128})),
    }  # fmt: skip


def be_hostile(url: str, hostile: Hostile, counts: Any) -> None:
    """Send it until killed; `counts` gets the status of every answer."""
    os.nice(5)  # what sending costs is not the server's
    headers = {"content-type": "application/json"}
    before, _, after = hostile.body.partition("NONCE")
    nonce = 0
    with httpx.Client(timeout=300, headers=headers) as client:
        while True:
            nonce += 1
            body = f"{before}{nonce}{after}" if after else before
            counts.put(client.post(url + hostile.path, content=body.encode()).status_code)


@dataclass(frozen=True)
class Answered:
    """One plain answer: seconds to the first token, and for each of the others."""

    first: float
    each: float


def plain_answers(url: str, seconds: float) -> list[Answered]:
    """Answers one after another, for so long."""
    end, answers = time.monotonic() + seconds, []
    with httpx.Client(timeout=300) as client:
        while time.monotonic() < end:
            answers.append(plain_answer(client, url))
    return answers


def plain_answer(client: httpx.Client, url: str) -> Answered:
    body = {**CHAT, "temperature": 0, "stream": True, "stream_options": {"include_usage": True}}
    began = time.perf_counter()
    times: list[float] = []
    usage: Mapping[str, int] = {}
    with client.stream("POST", f"{url}/chat/completions", json=body) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if '"content"' in line:
                times.append(time.perf_counter())
            if '"usage":{' in line.replace(" ", ""):
                usage = json.loads(line.removeprefix("data:")).get("usage") or usage
    tokens = max(2, usage["completion_tokens"])
    return Answered(times[0] - began, (times[-1] - times[0]) / (tokens - 1))


def beside(url: str, hostile: Hostile, seconds: float) -> tuple[list[Answered], dict[int, int]]:
    """A plain client's answers while another sends this; and how that was answered, by status."""
    context = multiprocessing.get_context("spawn")
    counts = context.Queue()
    other = context.Process(target=be_hostile, args=(url, hostile, counts))
    other.start()
    time.sleep(2)
    answers = plain_answers(url, seconds)
    assert other.pid is not None
    os.kill(other.pid, signal.SIGKILL)
    other.join()
    statuses: dict[int, int] = {}
    while not counts.empty():
        status = counts.get()
        statuses[status] = statuses.get(status, 0) + 1
    return answers, statuses


def memory(pid: int) -> int:
    """Megabytes that a process has in memory."""
    fields = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(fields[0]) // 1024


def rows(url: str, pid: int, chosen: Mapping[str, Hostile], seconds: float) -> Iterator[str]:
    """The table's lines."""
    yield "| beside | first, ms | worst | alone | per token, ms | alone | ratio | answers | MB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    plain_answers(url, 2)
    for name, hostile in chosen.items():
        alone = plain_answers(url, seconds / 2)
        disturbed, statuses = beside(url, hostile, seconds)
        time.sleep(1)
        alone += plain_answers(url, seconds / 2)
        each = statistics.median(one.each for one in disturbed)
        each_alone = statistics.median(one.each for one in alone)
        first = [one.first * 1000 for one in disturbed]
        yield (
            f"| {name} | {statistics.median(first):.0f} | {max(first):.0f} "
            f"| {statistics.median(one.first for one in alone) * 1000:.0f} "
            f"| {each * 1000:.2f} | {each_alone * 1000:.2f} | {each / each_alone:.2f} "
            f"| {', '.join(f'{n} x {status}' for status, n in statuses.items()) or 'none yet'} "
            f"| {memory(pid)} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", help="default: the built-in one")
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--only", default="", help="inputs whose name has this in it")
    options = parser.parse_args()
    print(describe_machine())
    chosen = {name: one for name, one in inputs().items() if options.only in name}
    with serving(*([options.model] if options.model else []), "--name", "k2") as server:
        for line in rows(server.url, server.pid, chosen, options.seconds):
            print(line, flush=True)


if __name__ == "__main__":
    main()

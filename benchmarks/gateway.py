"""What the gateway adds to an engine's answers, and whether it loses any under load.

    python benchmarks/gateway.py [--pace 0.02] [--tokens 200] [--rounds 10]
    python benchmarks/gateway.py --soak 120 [--streams 200] [--chat]

An engine made up for this, a process of its own, sends tokens at a fixed pace; `openk2 serve
--upstream` stands in front of it, a third process. The client asks both in turns, one request at a
time, for the same answer. With --soak it holds --streams streams open for that many seconds and
fails if one is lost, or if the gateway's memory at the end is more than 3 % above that after the
first half, when every connection has been through its first answers. With --chat the engine is
asked for chat completions, half of whose tokens are thoughts, and each request's history lacks one:
the gateway looks them up and remembers all answers, in a file that holds far fewer.
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
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from openk2.chat import Tokenizer
from openk2.pretrained import find_folder
from openk2.record.machine import describe_machine

TEXT = " The weather in Beijing is fine today, and what is more, the tool says so twice."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pace", type=float, default=0.02, help="seconds between tokens")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--soak", type=float, default=0.0, help="seconds")
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--chat", action="store_true", help="soak the repairs of histories")
    parser.add_argument("--engine", action="store_true", help="be the engine")
    options = parser.parse_args()
    if options.engine:
        asyncio.run(engine(options.pace))
        return
    print(describe_machine())
    command = [sys.executable, __file__, "--engine", "--pace", str(options.pace)]
    serve = [sys.executable, "-m", "openk2.cli.main", "serve", "--port", "0", "--upstream-model"]
    with (
        contextlib.ExitStack() as stack,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as behind,
    ):
        port = int(behind.stdout.readline())
        serve += ["k2", "--tokenizer", "openk2-nano", "--upstream", f"http://127.0.0.1:{port}"]
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if options.chat:
            serve += ["--upstream-mode", "chat", "--state", f"{folder}/state"]
            serve += ["--state-size", "512KiB"]
        with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as front:
            front_port = int(front.stdout.readline().rsplit(":", 1)[1].removesuffix("/v1\n"))
            try:
                if options.soak:
                    asyncio.run(soak(options, front_port, front.pid))
                else:
                    asyncio.run(compare(options, port, front_port, front.pid))
            finally:
                front.kill()
                behind.kill()


async def engine(pace: float) -> None:
    """Token k comes k + 1 paces behind the request; ids beside the text, as vLLM sends them."""
    tokenizer = Tokenizer.load(find_folder("openk2-nano"))
    ids = tokenizer.encode(TEXT)
    chunks = [
        {"choices": [{"index": 0, "text": tokenizer.decode([i]), "token_ids": [i]}]} for i in ids
    ]
    card = json.dumps({"data": [{"id": "k2", "max_model_len": 100_000}]}).encode()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Connections are kept, as vLLM keeps them.
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                if head.startswith(b"GET"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: ")
                    writer.write(b"%d\r\n\r\n" % len(card) + card)
                    continue
                length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
                asked = json.loads(await reader.readexactly(length))
                await stream(writer, asked["max_tokens"], chat="messages" in asked)
                if b"connection: close" in head.lower():
                    break
        writer.close()

    async def stream(writer: asyncio.StreamWriter, count: int, *, chat: bool) -> None:
        began = time.perf_counter()
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for number in range(count):
            await asyncio.sleep(began + pace * (number + 1) - time.perf_counter())
            chunk = chunks[number % len(chunks)]
            chunk["choices"][0]["finish_reason"] = "length" if number == count - 1 else None
            if chat:
                chunk = chat_chunk(chunk["choices"][0], number, count)
            writer.write(http_chunk(b"data: " + json.dumps(chunk).encode() + b"\n\n"))
            await writer.drain()
        writer.write(http_chunk(b"data: [DONE]\n\n") + http_chunk(b""))

    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=1000)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def chat_chunk(choice: dict, number: int, count: int) -> dict:
    """The same token in a chat completion: the first half are thoughts."""
    kind = "reasoning_content" if number < count // 2 else "content"
    usage = {"prompt_tokens": 3, "completion_tokens": count} if number == count - 1 else None
    return {"choices": [{**choice, "delta": {kind: choice["text"]}}], "usage": usage}


def http_chunk(data: bytes) -> bytes:
    """A piece of a chunked body; an empty one ends it."""
    return b"%x\r\n%b\r\n" % (len(data), data)


@dataclass(frozen=True)
class Timing:
    """Of one answer. times: when each event with text came, seconds behind the request."""

    times: list[float]
    text: str
    finish_reason: str | None


async def ask(port: int, path: str, body: dict) -> Timing:
    """One streamed answer, read from the socket: a client library would cost more than both."""
    data = json.dumps({**body, "model": "k2", "stream": True, "temperature": 0}).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(head.encode() + data)
    times, text, reason = [], "", None
    async for line in reader:
        if line.startswith(b"data: [DONE]"):
            break
        if not line.startswith(b"data: {"):
            continue
        now = time.perf_counter() - began
        for choice in json.loads(line[6:])["choices"]:
            said = choice.get("text") or choice.get("delta", {}).get("content") or ""
            if said:
                times.append(now)
                text += said
            reason = choice.get("finish_reason") or reason
    writer.close()
    return Timing(times, text, reason)


CHAT = {"messages": [{"role": "user", "content": "How is the weather?"}]}


def broken_history(name: str) -> dict:
    """Messages of a conversation of this name, in which an answer came without its thought."""
    said = [("user", name), ("assistant", "well"), ("user", "How is the weather?")]
    return {"messages": [{"role": role, "content": text} for role, text in said]}


async def compare(options: argparse.Namespace, behind: int, front: int, pid: int) -> None:
    """The two sides in turns; medians over the rounds."""
    direct, through = [], []
    raw = {"prompt": [1, 2, 3], "max_tokens": options.tokens}
    for number in range(options.rounds + 1):
        one = await ask(behind, "/v1/completions", raw)
        used = cpu_seconds(pid)
        other = await ask(front, "/v1/chat/completions", {**CHAT, "max_tokens": options.tokens})
        used = cpu_seconds(pid) - used
        assert one.text == other.text, (one.text, other.text)
        if number:  # the first warms up
            direct.append(one)
            through.append((other, used))
    first = [statistics.median(t.times[0] for t in ts) for ts in (direct, [t for t, _ in through])]
    rest = [statistics.median(per_token(t) for t in ts) for ts in (direct, [t for t, _ in through])]
    late = statistics.median(
        then - now
        for one, (other, _) in zip(direct, through, strict=True)
        for now, then in zip(one.times, other.times, strict=True)
    )
    busy = statistics.median(used for _, used in through) / options.tokens
    print(f"{options.tokens} tokens, one every {options.pace * 1e3:g} ms, {options.rounds} rounds")
    print(f"first token: {first[0] * 1e3:.2f} ms direct, {first[1] * 1e3:.2f} ms through: ", end="")
    print(f"+{(first[1] - first[0]) * 1e3:.2f} ms")
    print(f"per token: {rest[0] * 1e3:.3f} ms direct, {rest[1] * 1e3:.3f} ms through: ", end="")
    print(f"{(rest[1] / rest[0] - 1) * 100:+.2f} %")
    print(f"a token comes {late * 1e3:.2f} ms later (median of all tokens)")
    print(
        f"the gateway computes {busy * 1e3:.3f} ms a token: {busy / options.pace:.2%} of the pace"
    )


def per_token(timing: Timing) -> float:
    return statistics.mean(then - now for now, then in pairwise(timing.times))


async def soak(options: argparse.Namespace, port: int, pid: int) -> None:
    """Streams one after the other in each of the places; every one has to come to its end."""
    end = time.monotonic() + options.soak
    done, lost, tokens, memory = 0, [], 0, []
    expected = ""

    async def place(number: int) -> None:
        nonlocal done, tokens, expected
        # Not all at the same moment, as clients do not come.
        await asyncio.sleep(number / options.streams * options.pace * options.tokens)
        while time.monotonic() < end:
            history = broken_history(f"{number} {done}") if options.chat else CHAT
            try:
                timing = await ask(
                    port, "/v1/chat/completions", {**history, "max_tokens": options.tokens}
                )
            except OSError as error:
                lost.append(repr(error))
                continue
            expected = expected or timing.text
            if timing.finish_reason != "length" or timing.text != expected:
                lost.append(f"{timing.finish_reason}, {len(timing.times)} events")
            done += 1
            tokens += len(timing.times)

    async def watch() -> None:
        while time.monotonic() < end:
            memory.append(resident_mib(pid))
            await asyncio.sleep(1)

    began, used = time.monotonic(), cpu_seconds(pid)
    await asyncio.gather(watch(), *map(place, range(options.streams)))
    took, used = time.monotonic() - began, cpu_seconds(pid) - used
    settled, last = (
        statistics.median(memory[len(memory) // 2 :][:5]),
        statistics.median(memory[-5:]),
    )
    print(f"{options.streams} streams for {took:.0f} s: {done} answers, {tokens} tokens, ", end="")
    print(f"{tokens / took:.0f} a second; lost: {len(lost)} {lost[:3] or ''}")
    print(f"the gateway: {used / took:.0%} of a core, {used / max(tokens, 1) * 1e3:.3f} ms a token")
    print(f"memory: {settled:.1f} MiB after a half, {last:.1f} MiB at the end", end="")
    print(f" ({(last / settled - 1) * 100:+.1f} %)")
    curve = [f"{mib:.1f}" for mib in memory[:: max(1, len(memory) // 12)]]
    print(f"memory over time, MiB: {' '.join(curve)}")
    if lost or last > settled * 1.03:
        sys.exit("streams were lost, or memory grew")


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} tells no VmRSS")


if __name__ == "__main__":
    main()

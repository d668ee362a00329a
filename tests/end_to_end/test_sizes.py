"""Each field of each route at sizes 1, 1,000 and 1,000,000: no failure, and nobody else waits."""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.slow

SIZES = (1, 1_000, 1_000_000)
FIRST_TOKEN_SECONDS = 1.0
# A thousand tokens are a prompt like any other, and on a busy machine computing them takes longer
# than that: then a plain client may wait for three of them.
LONG_PROMPTS = 3.0
MESSAGE = {"role": "user", "content": "Hello"}
CHAT: dict[str, Any] = {"messages": [MESSAGE], "max_tokens": 4}
RAW: dict[str, Any] = {"prompt": "Hello", "max_tokens": 4}
BASES = {
    "/v1/chat/completions": CHAT,
    "/v1/completions": RAW,
    "/v1/messages": CHAT,
    "/v1/messages/count_tokens": {"messages": [MESSAGE]},
    "/tokenize": {"prompt": "Hello"},
    "/detokenize": {"tokens": [65]},
}


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def tool(**parameters: Any) -> dict[str, Any]:
    function = {"name": "f", "parameters": {"type": "object", **parameters}}
    return {"type": "function", "function": function}


def called(arguments: str) -> list[dict[str, Any]]:
    function = {"name": "f", "arguments": arguments}
    call = {"id": "functions.f:0", "type": "function", "function": function}
    answer = {"role": "tool", "tool_call_id": "functions.f:0", "content": "x"}
    return [MESSAGE, {"role": "assistant", "content": "", "tool_calls": [call]}, answer]


# Values of a field by size: JSON text, since some of them no Python object can be.
FIELDS: dict[str, Callable[[int], str]] = {
    "messages": lambda size: json.dumps([MESSAGE] * size),
    "messages ": lambda size: f"[{','.join(['1'] * size)}]",
    "messages  ": lambda size: json.dumps([{"role": "user", "content": "a " * size}]),
    "messages   ": lambda size: json.dumps([{"role": "user", "content": "a" * size}]),
    "messages    ": lambda size: json.dumps(
        [{"role": "user", "content": [{"type": "text", "text": "a"}] * size}]
    ),
    "messages     ": lambda size: json.dumps(called("[" * size)),
    "messages      ": lambda size: json.dumps(called(json.dumps({"x": "y" * size}))),
    "messages       ": nested,
    "system": lambda size: json.dumps([{"type": "text", "text": "a"}] * size),
    "tools": lambda size: json.dumps([tool()] * size),
    "tools ": lambda size: f"[{','.join(['{}'] * size)}]",
    "tools  ": lambda size: json.dumps([tool(properties={"x": {"description": "d" * size}})]),
    "tools   ": lambda size: json.dumps([{"type": "function", "function": {"name": "n" * size}}]),
    "tool_choice": lambda size: json.dumps("x" * size),
    "prompt": lambda size: json.dumps("a" * size),
    "prompt ": lambda size: json.dumps("<|im_end|>" * size),
    "prompt  ": lambda size: json.dumps("<|" * size),
    "prompt   ": lambda size: json.dumps([1] * size),
    "prompt    ": lambda size: json.dumps(["a"] * size),
    "prompt     ": nested,
    "tokens": lambda size: json.dumps([65] * size),
    "tokens ": lambda size: json.dumps([""] * size),
    "stop": lambda size: json.dumps("a" * size),
    "stop ": lambda size: json.dumps(["a"] * size),
    "stop_sequences": lambda size: json.dumps(["a" * size]),
    "logit_bias": lambda size: json.dumps({str(n): 0 for n in range(size)}),
    "n": str,
    "top_k": str,
    "max_tokens": lambda size: "9" * min(size, 4_000_000),
    "seed": lambda size: "9" * size,
    "temperature": lambda size: f"1e{size}",
    "repetition_penalty": lambda size: f"1e-{size}",
    "top_logprobs": str,
    "model": lambda size: json.dumps("m" * size),
    "user": lambda size: json.dumps("u" * size),
    "metadata": lambda size: json.dumps({str(n): str(n) for n in range(size)}),
    "unknown": nested,
    "response_format": lambda size: json.dumps({"type": "x" * size}),
}


# Fields of each route, by their first letters; the chat's also cover what every route ignores.
KNOWN = {
    "/v1/chat/completions": "",
    "/v1/completions": "prompt stop logit_bias n seed max_tokens temperature",
    "/v1/messages": "messages system tools stop_sequences top_k",
    "/v1/messages/count_tokens": "messages system tools",
    "/tokenize": "prompt messages tools",
    "/detokenize": "tokens",
}


def fields_of(path: str) -> dict[str, Callable[[int], str]]:
    known = KNOWN[path].split()
    return {name: value for name, value in FIELDS.items() if not known or name.strip() in known}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "openk2.cli.main", "serve", "--port", "0", "--name", "k2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    yield process.stdout.readline().split()[-1].removesuffix("/v1")
    assert process.poll() is None, "the server is gone"
    process.terminate()
    process.wait(20)
    process.stdout.close()


# In a process of its own, as building a body of a million items holds the interpreter's lock.
PLAIN_CLIENT = """
import json, sys, time, httpx
body = json.loads(sys.argv[2])
with httpx.Client(timeout=60) as client:
    while True:
        began = time.time()
        with client.stream("POST", sys.argv[1] + "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200
            told = [time.time() for line in answer.iter_lines() if '"content"' in line]
        print(began, told[0] - began, flush=True)
        time.sleep(0.02)
"""


@contextmanager
def plain_client(url: str) -> Iterator[list[tuple[float, float]]]:
    """When a client asked for a few tokens, again and again, and its seconds to the first token;
    filled when the context ends."""
    body = json.dumps({**CHAT, "model": "k2", "stream": True, "temperature": 0})
    with tempfile.TemporaryFile("w+") as told:
        process = subprocess.Popen([sys.executable, "-c", PLAIN_CLIENT, url, body], stdout=told)
        waits: list[tuple[float, float]] = []
        try:
            yield waits
        finally:
            alive = process.poll() is None
            process.kill()
            process.wait()
            told.seek(0)
            for line in told.read().splitlines():
                asked, seconds = map(float, line.split())
                waits.append((asked, seconds))
    assert alive, "the plain client got no answer"


def body_of(base: dict[str, Any], field: str, value: str) -> bytes:
    fields = {"model": '"k2"'} | {name: json.dumps(given) for name, given in base.items()}
    fields[field.strip()] = value
    return ("{" + ",".join(f'"{name}": {text}' for name, text in fields.items()) + "}").encode()


def seconds_of_a_long_prompt(client: httpx.Client, url: str) -> float:
    body = {"model": "k2", "prompt": [random.randrange(200) for _ in range(1000)], "max_tokens": 1}
    began = time.time()
    client.post(url + "/v1/completions", json=body).raise_for_status()
    return time.time() - began


@pytest.mark.parametrize("path", BASES)
def test_no_size_of_any_field_fails_or_makes_others_wait(url: str, path: str) -> None:
    sent: list[tuple[float, str, int]] = []
    headers = {"content-type": "application/json"}
    with plain_client(url) as waits, httpx.Client(timeout=120, headers=headers) as client:
        long_prompt = seconds_of_a_long_prompt(client, url)
        for field, value in fields_of(path).items():
            for size in SIZES:
                body = body_of(BASES[path], field, value(size))
                sent.append((time.time(), field, size))
                answer = client.post(url + path, content=body)
                assert answer.status_code in (200, 400, 404, 413), (field, size, answer.text)
    asked, worst = max(waits, key=lambda wait: wait[1])
    culprits = [f"{field.strip()} x {size}" for at, field, size in sent if at < asked + worst][-3:]
    print(f"{path}: {worst:.2f} s at worst of {len(waits)}, a long prompt {long_prompt:.2f} s")
    assert worst < max(FIRST_TOKEN_SECONDS, LONG_PROMPTS * long_prompt), culprits

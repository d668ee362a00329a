"""Do a model's arguments obey every schema? Forced calls through the server, streamed and whole.

    python benchmarks/schemas.py SCHEMAS.jsonl [--max-tokens 2048] [--temperature 1.0]

SCHEMAS.jsonl: `{"schema": "JSON text"}` a line, as the vendor's tool-call suite has them. Each is
declared as a strict tool and forced (`tool_choice` "required"), of the built-in model and of a
network of the same shape with random weights. Arguments are judged by `jsonschema` (draft 2020-12).
Exit status 1 if one does not validate, an id is not canonical, or a request fails.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from jsonschema import Draft202012Validator
from rich.progress import Progress
from served import serving

from openk2.architecture import ModelConfig
from openk2.chat import Tokenizer
from openk2.checkpoint import export_model
from openk2.model import K2Model
from openk2.pretrained import find_folder
from openk2.record.machine import describe_machine

BUILT_IN = "openk2-nano"


class AnswerError(RuntimeError):
    """A stream that ended in an error."""


def make_random(folder: Path) -> str:
    """A checkpoint of the built-in's shape and tokenizer, weights random."""
    source = find_folder(BUILT_IN)
    export_model(
        K2Model(ModelConfig.read(source)).initialize(0), Tokenizer.load(source), folder / "random"
    )
    return str(folder / "random")


def body(model: str, schema: Any, options: argparse.Namespace, *, stream: bool) -> dict[str, Any]:
    tool = {"name": "submit_answer", "parameters": schema, "strict": True}
    return {
        "model": model,
        "messages": [{"role": "user", "content": "Call the tool with any arguments that fit."}],
        "tools": [{"type": "function", "function": tool}],
        "tool_choice": "required",
        "max_tokens": options.max_tokens,
        "temperature": options.temperature,
        "seed": 1,
        "stream": stream,
    }


async def whole(http: httpx.AsyncClient, sent: dict[str, Any]) -> tuple[list[dict], str, int]:
    """The calls, the finish reason and the output's size in tokens."""
    response = await http.post("chat/completions", json=sent)
    response.raise_for_status()
    answer = response.json()
    [choice] = answer["choices"]
    calls = [{"id": c["id"], **c["function"]} for c in choice["message"].get("tool_calls") or []]
    return calls, choice["finish_reason"], answer["usage"]["completion_tokens"]


async def streamed(http: httpx.AsyncClient, sent: dict[str, Any]) -> tuple[list[dict], str, int]:
    calls: dict[int, dict] = {}
    reason, tokens = "", 0
    async with http.stream("POST", "chat/completions", json=sent) as response:
        if response.status_code != 200:
            await response.aread()
            response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: {"):
                continue
            event = json.loads(line[6:])
            if "error" in event:
                raise AnswerError(event["error"]["message"])
            [choice] = event["choices"]
            for delta in choice["delta"].get("tool_calls") or []:
                call = calls.setdefault(
                    delta["index"], {"id": delta.get("id"), "name": None, "arguments": ""}
                )
                call["name"] = call["name"] or delta["function"].get("name")
                call["arguments"] += delta["function"].get("arguments") or ""
            if choice["finish_reason"]:
                reason, tokens = choice["finish_reason"], choice["usage"]["completion_tokens"]
    return [calls[i] for i in sorted(calls)], reason, tokens


def faults(calls: list[dict], reason: str, schema: Any) -> list[str]:
    """What is wrong with an answer."""
    found = [] if calls and reason == "tool_calls" else [f"{len(calls)} calls, finish {reason}"]
    for number, call in enumerate(calls):
        if call["id"] != f"functions.submit_answer:{number}":
            found.append(f"id {call['id']!r}")
        try:
            errors = Draft202012Validator(schema).iter_errors(json.loads(call["arguments"]))
            error = next(errors, "")
        except ValueError as broken:
            error = broken
        if error:
            found.append(f"arguments {call['arguments'][:80]!r}: {str(error).splitlines()[0]}")
    return found


async def judge(url: str, schemas: list[Any], options: argparse.Namespace) -> tuple[Counter, list]:
    seen, wrong = Counter(), []
    slots = asyncio.Semaphore(options.clients)
    async with httpx.AsyncClient(base_url=url, timeout=600) as http:
        model = (await http.get("models")).json()["data"][0]["id"]
        with Progress(transient=True, disable=options.json) as bar:
            task = bar.add_task(model, total=2 * len(schemas))

            async def one(number: int, stream: bool) -> None:
                sent = body(model, schemas[number], options, stream=stream)
                async with slots:
                    try:
                        calls, reason, tokens = await (streamed if stream else whole)(http, sent)
                        cut = reason == "length"  # what was cut is not judged
                        found = [] if cut else faults(calls, reason, schemas[number])
                        seen["cut"] += cut
                        seen["tokens"] += tokens
                        seen["calls"] += len(calls)
                        seen["longest"] = max(seen["longest"], tokens)
                    except httpx.HTTPStatusError as error:
                        cut = False
                        found = [f"{error.response.status_code}: {error.response.text[:200]}"]
                    except AnswerError as error:
                        cut = False
                        found = [f"in the stream: {error}"]
                seen["requests"] += 1
                seen["valid"] += not found and not cut
                wrong.extend((number, stream, fault) for fault in found)
                bar.advance(task)

            await asyncio.gather(
                *(one(i, stream) for i in range(len(schemas)) for stream in (False, True))
            )
    return seen, wrong


def serve_and_judge(
    model: str, schemas: list[Any], options: argparse.Namespace
) -> tuple[Counter, list, float]:
    with serving(model) as server:
        began = time.monotonic()
        seen, wrong = asyncio.run(judge(server.url, schemas, options))
        return seen, wrong, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("schemas", type=Path)
    parser.add_argument("--max-tokens", type=int, default=2048)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    lines = options.schemas.read_text().splitlines()
    schemas = [json.loads(json.loads(line)["schema"]) for line in lines]
    results, ok = {}, True
    with tempfile.TemporaryDirectory() as folder:
        for name, model in (("built-in", BUILT_IN), ("random", make_random(Path(folder)))):
            seen, wrong, took = serve_and_judge(model, schemas, options)
            ok = ok and not wrong
            results[name] = {**seen, "seconds": took, "wrong": wrong}
    if options.json:
        print(json.dumps({"machine": describe_machine(), "results": results}, default=str))
    else:
        print(describe_machine())
        for name, row in results.items():
            print(
                f"{name}: {row['valid']} of {row['requests']} requests valid, "
                f"{row.get('cut', 0)} cut,",
                end=" ",
            )
            print(f"{row['calls']} calls, {row['tokens']} tokens, longest output {row['longest']},")
            print(f"  {row['seconds']:.0f} s")
            for number, stream, fault in row["wrong"]:
                print(f"  line {number + 1}, {'streamed' if stream else 'whole'}: {fault}")
    sys.exit(not ok)


if __name__ == "__main__":
    main()

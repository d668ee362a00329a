"""Demands through the gateway to vLLM: is every answer valid, in how many requests?"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx
from jsonschema import Draft202012Validator

from openk2.synthesis import generate


@dataclass(frozen=True)
class Demands:
    """Of `answers` answers, how many were valid; and how often vLLM was asked for them, requests
    that it refused included."""

    answers: int
    valid: int
    asked: float
    wrong: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.valid} of {self.answers} valid, {self.asked / max(self.answers, 1):.2f} "
            f"requests to vLLM an answer {list(self.wrong[:3]) or ''}"
        )


def forced_calls(count: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Bodies that force a call of one of a generated conversation's tools, and its schema."""
    bodies = []
    for conversation in generate(20261128, 4 * count, "held_out"):
        for tool in conversation["tools"][:1]:
            named = {"type": "function", "function": {"name": tool["function"]["name"]}}
            body = {"messages": conversation["messages"][:1], "tools": conversation["tools"]}
            bodies.append(({**body, "tool_choice": named}, tool["function"]["parameters"]))
    return bodies[:count]


def json_answers(count: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Bodies that demand content of the same schemas."""
    bodies = []
    for body, schema in forced_calls(count):
        named = {"name": "answer", "schema": schema, "strict": True}
        form = {"type": "json_schema", "json_schema": named}
        bodies.append(({"messages": body["messages"], "response_format": form}, schema))
    return bodies


def text_of(choice: dict[str, Any]) -> str:
    """What has to obey the schema."""
    calls = choice["message"].get("tool_calls")
    return str(calls[0]["function"]["arguments"] if calls else choice["message"]["content"])


async def demand(front: str, bodies: list[tuple[dict[str, Any], dict[str, Any]]]) -> Demands:
    """Ask the gateway at `front` (ends in /v1), eight at a time."""
    valid, wrong, gate = 0, [], asyncio.Semaphore(8)
    async with httpx.AsyncClient(timeout=600) as client:

        async def one(body: dict[str, Any], schema: dict[str, Any]) -> None:
            nonlocal valid
            body = {**body, "model": "k2", "max_tokens": 400, "temperature": 0}
            async with gate:
                response = await client.post(f"{front}/chat/completions", json=body)
            if not response.is_success:
                wrong.append(response.text[:200])
                return
            text = text_of(response.json()["choices"][0])
            try:
                Draft202012Validator(schema).validate(json.loads(text))
            except Exception as error:  # of any kind: the answer is not valid
                wrong.append(f"{text[:80]}: {str(error)[:80]}")
            else:
                valid += 1

        before = await asked(client, front)
        await asyncio.gather(*(one(*pair) for pair in bodies))
        count = await asked(client, front) - before
    return Demands(len(bodies), valid, count, tuple(wrong))


async def asked(client: httpx.AsyncClient, front: str) -> float:
    """How many requests the gateway has sent to its upstream. vLLM itself counts none of those
    whose connection was closed."""
    text = (await client.get(f"{front.removesuffix('/v1')}/metrics")).text
    return float(text.partition("\nopenk2_engine_upstream_0_asked ")[2].partition("\n")[0])

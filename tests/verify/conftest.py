"""Our own server with the built-in model, and the broken endpoints that it becomes by a fault."""

import asyncio
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from openk2.generation import PromptCoder
from openk2.pretrained import LocalModel, open_model
from openk2.server import create_app
from openk2.verify import INTERFACE, Endpoint, Probe, Report, verify_endpoint

Body = dict[str, Any]
Answer = tuple[int, str, bytes]


@pytest.fixture(scope="session")
def local() -> Iterator[LocalModel]:
    with open_model() as model:
        yield model


@pytest.fixture(scope="session")
def own_server(local, run_app) -> Iterator[str]:
    coder = PromptCoder(local.tokenizer, local.engine.context_length)
    with run_app(create_app(local.chat, model=local.name, coder=coder)) as url:
        yield url


class Recorded:
    """The server's answers, each computed once: they are the same every time at temperature 0."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: dict[tuple[str, bytes], Answer] = {}
        self.live = 0

    async def answer(self, method: str, path: str, content: bytes) -> Answer:
        key = (path, content)
        if key not in self.answers:
            self.live += 1
            async with httpx.AsyncClient(timeout=120) as client:
                headers = {"Content-Type": "application/json"}
                got = await client.request(
                    method, self.url + path, content=content or None, headers=headers
                )
            self.answers[key] = (got.status_code, got.headers["content-type"], got.content)
        return self.answers[key]


@dataclass(frozen=True)
class Fault:
    """What an endpoint does wrong.

    ask: the request that is answered instead, or a response. whole, stream: the answer instead,
    from the request and the body of a whole answer or the chunks of a stream; stream may return
    bytes. messages: the same for the events of an Anthropic stream. other: any other answer.
    """

    ask: Callable[[Body], Body | Answer] | None = None
    raw: Callable[[bytes], Answer | None] | None = None
    whole: Callable[[Body, Body], None] | None = None
    stream: Callable[[Body, list[Body]], list[Body] | bytes | None] | None = None
    messages: Callable[[list[tuple[str, Body]]], list[tuple[str, Body]]] | None = None
    other: Callable[[Body, Answer], Answer] | None = None


class Broken(httpx.AsyncBaseTransport):
    """The recorded endpoint with a fault planted in its chat completions and Messages."""

    def __init__(self, recorded: Recorded, fault: Fault) -> None:
        self.recorded = recorded
        self.fault = fault

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        content = await request.aread()
        status, kind, body = await self.answer(request.method, request.url.path, content)
        return httpx.Response(status, headers={"content-type": kind}, content=body)

    async def answer(self, method: str, path: str, content: bytes) -> Answer:
        fault = self.fault
        try:
            asked = json.loads(content) if content else {}
        except ValueError:
            asked = {}
        chat = path.endswith("/chat/completions")
        if chat and fault.raw and (early := fault.raw(content)):
            return early
        if chat and fault.ask and asked:
            changed = fault.ask(deepcopy(asked))
            if isinstance(changed, tuple):
                return changed
            if changed != asked:
                content = json.dumps(changed).encode()
        status, kind, body = await self.recorded.answer(method, path, content)
        if chat and status == 200:
            return status, kind, self.chat_body(asked, kind, body)
        if path.endswith("/messages") and status == 200 and "event-stream" in kind:
            return status, kind, self.message_body(body)
        return fault.other(asked, (status, kind, body)) if fault.other else (status, kind, body)

    def chat_body(self, asked: Body, kind: str, body: bytes) -> bytes:
        if "event-stream" not in kind:
            if self.fault.whole is None:
                return body
            answer = json.loads(body)
            self.fault.whole(asked, answer)
            return json.dumps(answer).encode()
        if self.fault.stream is None:
            return body
        lines = body.decode().split("\n\n")
        chunks = [json.loads(line.removeprefix("data: ")) for line in lines if line[6:7] == "{"]
        changed = self.fault.stream(asked, chunks)
        if isinstance(changed, bytes):
            return changed
        return sse(chunks if changed is None else changed) + b"data: [DONE]\n\n"

    def message_body(self, body: bytes) -> bytes:
        if self.fault.messages is None:
            return body
        events = []
        for block in body.decode().strip().split("\n\n"):
            name, data = block.split("\n", 1)
            events.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
        changed = self.fault.messages(events)
        written = (f"event: {name}\ndata: {json.dumps(data)}\n\n" for name, data in changed)
        return "".join(written).encode()


def sse(chunks: list[Body]) -> bytes:
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks).encode()


@pytest.fixture(scope="session")
def recorded(own_server) -> Recorded:
    return Recorded(own_server)


@pytest.fixture(scope="session")
def checked(recorded, local) -> Callable[..., Report]:
    """The report on the endpoint with a fault; all of INTERFACE by default. options: of Probe."""

    def check(fault: Fault, checks=INTERFACE, **options: Any) -> Report:
        async def run() -> Report:
            transport = Broken(recorded, fault)
            async with Endpoint("http://fake", transport=transport, concurrency=8) as endpoint:
                return await verify_endpoint(Probe(endpoint, local.name, **options), checks)

        return asyncio.run(run())

    return check


@pytest.fixture(scope="session")
def sound(checked, local) -> Report:
    """The report on the endpoint as it is, with its tokenizer; records its answers."""
    return checked(Fault(), tokenizer=local.tokenizer)


@pytest.fixture(scope="session")
def make_fault() -> type[Fault]:
    return Fault

"""A real server over loopback, and generators to put behind it."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager

import pytest
import uvicorn
from openai import OpenAI

from openk2.chat import Tokenizer, train_tokenizer
from openk2.generation import ChatEvent, ChatGenerator, ChatRequest, RenderedChat
from openk2.protocol import SamplingParams, TokenChunk, TokenGenerator
from openk2.server import create_app

MODEL = "openk2-test"


class ScriptedTokens:
    """Answers request i with outputs[i] (the last one again when they are used up).

    An output is written as text with the specials' names between « and ». A number stands for
    seconds to wait; an exception is raised. cancelled is set when a request was closed early.
    """

    context_length = 4096

    def __init__(self, tokenizer: Tokenizer, outputs: Sequence[Sequence[str | float | Exception]]):
        self.tokenizer = tokenizer
        self.outputs = outputs
        self.size = 1
        self.prompts: list[str] = []
        self.params: list[SamplingParams] = []
        self.cancelled = threading.Event()

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for index, part in enumerate(text.replace("»", "«").split("«")):
            special = index % 2
            ids += [self.tokenizer.special(part)] if special else self.tokenizer.encode(part)
        return ids

    async def generate(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> AsyncGenerator[TokenChunk, None]:
        steps = self.outputs[min(len(self.prompts), len(self.outputs) - 1)]
        self.prompts.append(self.tokenizer.decode(prompt))
        self.params.append(params)
        left = params.max_tokens
        stopped = done = False
        try:
            for step in steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                    continue
                ids = self.encode(step)[:left]
                left -= len(ids)
                stopped = bool(ids) and ids[-1] in params.stop_token_ids
                if stopped:
                    stop_id = ids.pop()
                for start in range(0, len(ids), self.size):
                    yield TokenChunk(tuple(ids[start : start + self.size]))
                    await asyncio.sleep(0)
            done = True
            yield TokenChunk((stop_id,), "stop") if stopped else TokenChunk((), "length")
        finally:
            if not done:
                self.cancelled.set()


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["a"], 512)


@pytest.fixture
def scripted(tokenizer) -> Callable[..., ScriptedTokens]:
    """Make a generator from its outputs, each a text or a list of steps."""

    def make(*outputs: str | Sequence[str | float | Exception]) -> ScriptedTokens:
        steps = [[output] if isinstance(output, str) else output for output in outputs]
        return ScriptedTokens(tokenizer, steps)

    return make


@contextmanager
def running(chat: ChatGenerator, **options: object) -> Iterator[str]:
    app = create_app(chat, model=MODEL, **options)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            deadline = time.monotonic() + 10
            while not server.started:
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


@pytest.fixture(scope="session")
def run_server() -> Callable[..., AbstractContextManager[str]]:
    """The server of a ChatGenerator as a context manager, for fixtures that live longer."""
    return running


class SwitchedChat:
    """Whatever a test puts in its place: starting one server per test would take most of its time.

    chat: the ChatGenerator that answers now.
    """

    def __init__(self) -> None:
        self.chat: ChatGenerator | None = None

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        assert self.chat is not None
        return self.chat.stream(request)


@pytest.fixture(scope="session")
def switched_server() -> Iterator[tuple[SwitchedChat, str]]:
    """The server that tests share, and what answers in it."""
    switch = SwitchedChat()
    with running(switch) as url:
        yield switch, url


@pytest.fixture
def serve(tokenizer, switched_server) -> Iterator[Callable[..., str]]:
    """Serve a token generator and get the URL; with options of `create_app`, on its own server."""
    switch, url = switched_server

    def start(tokens: TokenGenerator, **options: object) -> str:
        chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids)
        if options:
            return stack.enter_context(running(chat, **options))
        switch.chat = chat
        return url

    with ExitStack() as stack:
        yield start


@pytest.fixture
def client(serve) -> Iterator[Callable[..., OpenAI]]:
    """The official client of a served token generator; closed at the end."""

    def connect(tokens, **options: object) -> OpenAI:
        url = serve(tokens, **options) + "/v1"
        return stack.enter_context(OpenAI(base_url=url, api_key="none", max_retries=0))

    with ExitStack() as stack:
        yield connect

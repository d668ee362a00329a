"""A real server over loopback, and generators to put behind it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from random import Random

import numpy as np
import pytest
from anthropic import Anthropic
from openai import OpenAI

from openk2.chat import Tokenizer, train_tokenizer
from openk2.generation import (
    ChatEvent,
    ChatGenerator,
    ChatRequest,
    CompletionEvent,
    CompletionGenerator,
    CompletionRequest,
    OutputMasks,
    PromptCoder,
    RawCompletion,
    RenderedChat,
)
from openk2.grammar import ChatMasks
from openk2.protocol import (
    SamplingParams,
    TokenChunk,
    TokenGenerator,
    TokenLogprobs,
    TokenMask,
)
from openk2.server import create_app

MODEL = "openk2-test"


def scored(token_id: int, count: int) -> TokenLogprobs:
    """Made-up scores: a token is the likeliest in its place if its id is even."""
    logprob = -(1 + token_id % 100) / 64
    better = logprob / 2 if token_id % 2 else logprob
    others = [(token_id ^ 1, better)] if token_id % 2 else [(token_id, logprob)]
    others += [((token_id + 2 * place) % 512, better - place) for place in range(1, count)]
    return TokenLogprobs(token_id, logprob, tuple(others[:count]))


class ScriptedTokens:
    """Answers request i with outputs[i] (the last one again when they are used up).

    An output is written as text with the specials' names between « and ». A number stands for
    seconds to wait, a function of this object for waiting until it is true; an exception is
    raised. cancelled is set when a request was closed early, and
    closed counts those. cached_tokens: of every prompt, as it claims.
    """

    context_length = 4096

    def __init__(self, tokenizer: Tokenizer, outputs: Sequence[Sequence[object]]):
        self.tokenizer = tokenizer
        self.outputs = outputs
        self.size = 1
        self.cached_tokens = 0
        self.prompts: list[str] = []
        self.ids: list[list[int]] = []
        self.params: list[SamplingParams] = []
        self.cancelled = threading.Event()
        self.closed = 0

    def encode(self, text: str) -> list[int]:
        ids: list[int] = []
        for index, part in enumerate(text.replace("»", "«").split("«")):
            special = index % 2
            ids += [self.tokenizer.special(part)] if special else self.tokenizer.encode(part)
        return ids

    async def generate(
        self, prompt: Sequence[int], params: SamplingParams, mask: TokenMask | None = None
    ) -> AsyncGenerator[TokenChunk, None]:
        steps = self.outputs[min(len(self.prompts), len(self.outputs) - 1)]
        self.prompts.append(self.tokenizer.decode(prompt))
        self.ids.append(list(prompt))
        self.params.append(params)
        left = params.max_tokens
        stopped = done = False
        first = self.first_fields(prompt, params)
        try:
            for step in steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                    continue
                if callable(step):
                    while not step(self):
                        await asyncio.sleep(0.001)
                    continue
                ids = self.encode(step)[:left]
                left -= len(ids)
                stopped = bool(ids) and ids[-1] in params.stop_token_ids
                if stopped:
                    stop_id = ids.pop()
                for start in range(0, len(ids), self.size):
                    yield chunk(ids[start : start + self.size], None, params, **first)
                    first = {}
                    await asyncio.sleep(0)
            done = True
            last = ([stop_id], "stop") if stopped else ([], "length")
            yield chunk(*last, params, **first)
        finally:
            if not done:
                self.closed += 1
                self.cancelled.set()

    def first_fields(self, prompt: Sequence[int], params: SamplingParams) -> dict[str, object]:
        """What only a first chunk has."""
        if params.prompt_logprobs is None:
            return {"cached_tokens": self.cached_tokens}
        scores = [scored(token_id, params.prompt_logprobs) for token_id in prompt[1:]]
        return {"cached_tokens": self.cached_tokens, "prompt_logprobs": (None, *scores)}


def chunk(ids, finish_reason, params, **first) -> TokenChunk:
    """A chunk with scores if they are asked for."""
    scores = None
    if params.logprobs is not None:
        scores = tuple(scored(token_id, params.logprobs) for token_id in ids)
    return TokenChunk(tuple(ids), finish_reason, scores, **first)


class RandomTokens:
    """Any id that the mask allows, one as likely as the other; first: what comes first if it may.

    Without a mask, any ordinary id.
    """

    context_length = 4096

    def __init__(self, tokenizer, seed, first=None):
        self.tokenizer, self.seed, self.first = tokenizer, seed, first

    async def generate(self, prompt, params, mask=None):
        rng = Random(self.seed)
        words = np.empty(-(-self.tokenizer.vocab_size // 32), dtype=np.int32)
        for place in range(1, params.max_tokens + 1):
            while True:
                ids = range(len(self.tokenizer.tokens))
                if mask is not None and mask.fill(words):
                    ids = np.unpackbits(words.view(np.uint8), bitorder="little").nonzero()[0]
                token = int(rng.choice(ids))
                if place == 1 and self.first in ids:
                    token = self.first
                if mask is None or mask.accept(token):
                    break
            stops = token in params.stop_token_ids
            ends = stops or place == params.max_tokens
            yield TokenChunk((token,), ("stop" if stops else "length") if ends else None)
            if ends:
                return


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["a"], 512)


@pytest.fixture(scope="session")
def masks(tokenizer) -> ChatMasks:
    return ChatMasks(tokenizer)


@pytest.fixture
def random_tokens(tokenizer) -> Callable[..., RandomTokens]:
    """Make a `RandomTokens` from its seed, and the id that comes first if it may."""
    return partial(RandomTokens, tokenizer)


@pytest.fixture(scope="session")
def made_up_scores() -> Callable[[int, int], TokenLogprobs]:
    return scored


@pytest.fixture
def scripted(tokenizer) -> Callable[..., ScriptedTokens]:
    """Make a generator from its outputs, each a text or a list of steps."""

    def make(*outputs: str | Sequence[object]) -> ScriptedTokens:
        steps = [[output] if isinstance(output, str) else output for output in outputs]
        return ScriptedTokens(tokenizer, steps)

    return make


@pytest.fixture(scope="session")
def run_server(run_app) -> Callable[..., AbstractContextManager[str]]:
    """The server of a ChatGenerator as a context manager."""

    def run(chat: ChatGenerator, **options: object) -> AbstractContextManager[str]:
        return run_app(create_app(chat, model=MODEL, **options))

    return run


class Switched:
    """Whatever a test puts in its place: starting one server per test would take most of its time.

    chat, completion: what answers now.
    """

    def __init__(self) -> None:
        self.chat: ChatGenerator | None = None
        self.completion: CompletionGenerator | None = None

    def stream(
        self, request: ChatRequest | CompletionRequest
    ) -> AsyncGenerator[ChatEvent | CompletionEvent, None]:
        answering = self.chat if isinstance(request, ChatRequest) else self.completion
        assert answering is not None
        return answering.stream(request)


@pytest.fixture(scope="session")
def switched_server(tokenizer, run_server) -> Iterator[tuple[Switched, str]]:
    """The server that tests share, and what answers in it."""
    switch = Switched()
    coder = PromptCoder(tokenizer, ScriptedTokens.context_length)
    with run_server(switch, completion=switch, coder=coder) as url:
        yield switch, url


@pytest.fixture
def serve(tokenizer, switched_server, run_server) -> Iterator[Callable[..., str]]:
    """Serve a token generator and get the URL; with options of `create_app`, on its own server."""
    switch, url = switched_server

    def start(tokens: TokenGenerator, masks: OutputMasks | None = None, **options: object) -> str:
        chat = RenderedChat(tokenizer, tokens, tokenizer.stop_ids, masks)
        completion = RawCompletion(tokenizer, tokens, tokenizer.stop_ids)
        if options:
            coder = PromptCoder(tokenizer, tokens.context_length)
            options = {"completion": completion, "coder": coder, **options}
            return stack.enter_context(run_server(chat, **options))
        switch.chat, switch.completion = chat, completion
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


@pytest.fixture
def anthropic(serve) -> Iterator[Callable[..., Anthropic]]:
    """Anthropic's official client of a served token generator; closed at the end."""

    def connect(tokens, **options: object) -> Anthropic:
        url = serve(tokens, **options)
        return stack.enter_context(Anthropic(base_url=url, api_key="none", max_retries=0))

    with ExitStack() as stack:
        yield connect

"""A byte-level K2 tokenizer and a generator of given ids."""

from collections.abc import AsyncGenerator, Callable, Sequence

import pytest

from openk2.chat import Tokenizer, train_tokenizer
from openk2.protocol import (
    FinishReason,
    SamplingParams,
    TokenChunk,
    TokenLogprobs,
    TokenMask,
)


def scored(token_id: int, count: int = 1) -> TokenLogprobs:
    """Made-up scores that tell the tokens apart."""
    top = tuple((place, -(1.0 + place)) for place in range(count))
    return TokenLogprobs(token_id, -(token_id + 1) / 1024, top)


class ScriptedTokens:
    """Gives its ids in chunks of `size`, then `finish`; keeps what it was asked for."""

    def __init__(
        self,
        ids: Sequence[int],
        finish: FinishReason = "stop",
        size: int = 1,
        context_length: int = 10_000,
    ) -> None:
        self.ids = list(ids)
        self.finish: FinishReason = finish
        self.size = size
        self.context_length = context_length
        self.prompt: list[int] = []
        self.params: SamplingParams | None = None
        self.closed = False

    async def generate(
        self, prompt: Sequence[int], params: SamplingParams, mask: TokenMask | None = None
    ) -> AsyncGenerator[TokenChunk, None]:
        self.prompt, self.params = list(prompt), params
        try:
            for start in range(0, len(self.ids), self.size):
                last = start + self.size >= len(self.ids)
                ids = tuple(self.ids[start : start + self.size])
                yield TokenChunk(ids, self.finish if last else None, self.scores(ids))
        finally:
            self.closed = True

    def scores(self, ids: Sequence[int]) -> tuple[TokenLogprobs, ...] | None:
        assert self.params is not None
        wanted = self.params.logprobs
        return None if wanted is None else tuple(scored(token_id, wanted) for token_id in ids)


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    return train_tokenizer(["a"], 512)


@pytest.fixture
def scripted_tokens() -> type[ScriptedTokens]:
    return ScriptedTokens


@pytest.fixture(scope="session")
def encode_output(tokenizer: Tokenizer) -> Callable[[str], list[int]]:
    """Ids of an assistant's output whose specials are written by name between « and »."""

    def encode(text: str) -> list[int]:
        ids: list[int] = []
        for index, part in enumerate(text.replace("»", "«").split("«")):
            ids += [tokenizer.special(part)] if index % 2 else tokenizer.encode(part)
        return ids

    return encode

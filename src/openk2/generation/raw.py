"""`RawCompletion`: a `CompletionGenerator` over any `TokenGenerator`, without a chat format."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from openk2.chat import Tokenizer
from openk2.generation.completion import CompletionEvent, CompletionRequest
from openk2.generation.encoding import encoding_threads, key_of, refuse_too_long
from openk2.generation.raw_reader import RawReader
from openk2.generation.request_error import ContextLengthError, RequestError
from openk2.generation.token_stream import token_chunks
from openk2.protocol import SamplingParams, TokenGenerator


class RawCompletion:
    """Prompt -> ids -> output ids -> text, special tokens by name.

    stop_ids: the ids that end an output.
    """

    def __init__(
        self, tokenizer: Tokenizer, token_generator: TokenGenerator, stop_ids: frozenset[int]
    ) -> None:
        self.tokenizer = tokenizer
        self.token_generator = token_generator
        self.stop_ids = stop_ids
        self._threads = encoding_threads()

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent, None]:
        """See `CompletionGenerator.stream`."""
        key = key_of(request, request.prompt)
        prompt = await self._threads.run_once(key, self.encode, request.prompt)
        params = self.sampling(request, len(prompt))
        reader = RawReader(self.tokenizer, request, prompt)
        async with aclosing(token_chunks(self.token_generator, prompt, params)) as chunks:
            async for chunk in chunks:
                for event in reader.read(chunk):
                    yield event
                if reader.finished:
                    return

    def encode(self, prompt: str | Sequence[int]) -> list[int]:
        """The prompt's ids. Raises RequestError for none, and for one that does not exist, and
        ContextLengthError for a prompt that cannot fit."""
        context_length = self.token_generator.context_length
        if isinstance(prompt, str):
            refuse_too_long(len(prompt), self.tokenizer, context_length, "prompt")
        elif len(prompt) > context_length:
            raise ContextLengthError(len(prompt), None, context_length, "prompt")
        ids = self.tokenizer.encode_markup(prompt) if isinstance(prompt, str) else list(prompt)
        if not ids:
            raise RequestError("prompt is empty: it needs at least one token", "prompt")
        for token_id in (min(ids), max(ids)):
            if not 0 <= token_id < self.tokenizer.vocab_size:
                last = self.tokenizer.vocab_size - 1
                message = f"prompt has id {token_id}: ids of this model are 0 to {last}"
                raise RequestError(message, "prompt")
        return ids

    def sampling(self, request: CompletionRequest, prompt_tokens: int) -> SamplingParams:
        """The request's sampling settings for a prompt of this length.

        Raises RequestError, ContextLengthError if prompt and output do not fit in the context.
        """
        if request.max_tokens < 1 and not request.echo:
            message = f"max_tokens is {request.max_tokens}: without echo it must be at least 1"
            raise RequestError(message, "max_tokens")
        context_length = self.token_generator.context_length
        if prompt_tokens + request.max_tokens > context_length:
            sizes = (prompt_tokens, request.max_tokens, context_length)
            raise ContextLengthError(*sizes, param="prompt")
        scored = request.logprobs if request.echo else None
        if request.max_tokens == 0:
            # SamplingParams allows no output only if the prompt is scored; there is then no output
            # token to score.
            scored, request = scored or 0, replace(request, logprobs=None)
        return request.sampling(
            max_tokens=request.max_tokens,
            stop_token_ids=self.stop_ids,
            vocab_size=self.tokenizer.vocab_size,
            prompt_logprobs=scored,
        )

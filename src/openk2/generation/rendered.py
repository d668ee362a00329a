"""`RenderedChat`: K2's conversation format on top of a generator of token ids."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from openk2.chat import OutputParser, Tokenizer, argument_names, canonical_history, encode_chat
from openk2.generation.chat import ChatEvent, ChatRequest
from openk2.generation.chat_reader import ChatReader
from openk2.generation.request_error import ContextLengthError
from openk2.generation.token_stream import token_chunks
from openk2.protocol import SamplingParams, TokenGenerator


class RenderedChat:
    """Messages -> prompt ids -> output ids -> events.

    stop_ids: the ids that end an answer: the tokenizer's and those the checkpoint's files name.
    """

    def __init__(
        self, tokenizer: Tokenizer, token_generator: TokenGenerator, stop_ids: frozenset[int]
    ) -> None:
        self.tokenizer = tokenizer
        self.token_generator = token_generator
        self.stop_ids = stop_ids

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`."""
        # With tool_choice "none" no tool is declared, and the parser drops calls of undeclared
        # tools: the model is neither invited to call nor heard when it does.
        tools = request.tools if request.tool_choice == "auto" else ()
        # Off the event loop: encoding a prompt of 100,000 tokens takes a good part of a second.
        prompt, call_count = await asyncio.to_thread(self.encode, request.messages, tools)
        params = self.sampling(request, len(prompt))
        names = argument_names(tools)
        parser = OutputParser(self.tokenizer, names, argument_names=names, first_number=call_count)
        reader = ChatReader(self.tokenizer, parser, request.stop, len(prompt))
        async with aclosing(token_chunks(self.token_generator, prompt, params)) as chunks:
            async for chunk in chunks:
                for event in reader.read(chunk):
                    yield event
                if reader.finished:
                    return

    def encode(
        self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]]
    ) -> tuple[list[int], int]:
        """The prompt's ids, and how many calls the history has."""
        history = canonical_history(messages)
        return encode_chat(self.tokenizer, history.messages, tools).token_ids, history.call_count

    def sampling(self, request: ChatRequest, prompt_tokens: int) -> SamplingParams:
        """The request's sampling settings for a prompt of this length.

        Raises RequestError, ContextLengthError if prompt and answer do not fit in the context.
        """
        context_length = self.token_generator.context_length
        left = context_length - prompt_tokens
        if left < (request.max_tokens or 1):
            raise ContextLengthError(prompt_tokens, request.max_tokens, context_length)
        return request.sampling(
            max_tokens=left if request.max_tokens is None else request.max_tokens,
            stop_token_ids=self.stop_ids,
            vocab_size=self.tokenizer.vocab_size,
        )

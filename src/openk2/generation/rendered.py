"""`RenderedChat`: a `ChatGenerator` that renders a chat format over any `TokenGenerator`."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from openk2.chat import Thinking, Tokenizer
from openk2.generation.chat import ChatEvent, ChatRequest, OutputMasks, PromptRead
from openk2.generation.chat_format import DEFAULT_THINKING, ChatFormat, K2Format
from openk2.generation.chat_reader import ChatReader
from openk2.generation.encoding import encoding_threads, key_of
from openk2.generation.mask_work import MaskWork
from openk2.generation.request_error import ContextLengthError, RequestError
from openk2.generation.shared_threads import SharedThreads
from openk2.generation.thinking import refuse_budget
from openk2.generation.thought_mask import ThoughtMask
from openk2.generation.token_stream import token_chunks
from openk2.protocol import SamplingParams, TokenGenerator, TokenMask

# They wait most of the time, for the processes that compile schemas.
MASK_THREADS = 32


class RenderedChat:
    """Messages -> prompt ids -> output ids -> events.

    stop_ids: the ids that end an answer: the tokenizer's and those the checkpoint's files name.
    masks: enforces tools and JSON; without it, requests that need enforcement are refused.
    chat_format: the model's; K2's if none is given.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        token_generator: TokenGenerator,
        stop_ids: frozenset[int],
        masks: OutputMasks | None = None,
        chat_format: ChatFormat | None = None,
    ) -> None:
        self.tokenizer = tokenizer
        self.token_generator = token_generator
        self.stop_ids = stop_ids
        self.masks = masks
        self.format = chat_format or K2Format(tokenizer)
        self._threads = encoding_threads()
        self._mask_threads = SharedThreads(MASK_THREADS, "openk2-schemas")

    def close(self) -> None:
        """End the threads; later requests get a RuntimeError. Closing twice is closing once."""
        self._threads.close()
        self._mask_threads.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """See `ChatGenerator.stream`."""
        # With tool_choice "none" no tool is declared, and the parser drops calls of undeclared
        # tools, so the model is not invited to call and a call it makes anyway is ignored.
        tools = () if request.tool_choice == "none" else request.tools
        # Off the event loop: encoding a prompt of 100,000 tokens takes a good part of a second.
        plan = self.format.plan(request.thinking)
        prompt, call_count = await self._threads.run_once(
            key_of(request), self.prompt, request, tools, plan.thinking
        )
        params = self.sampling(request, len(prompt))
        in_reasoning = self.format.opens(plan.thinking) and not request.is_continued
        mask = await self.mask(request, params.max_tokens, call_count)
        if self.format.thinks:
            mask = self.after_thought(mask, plan.budget, in_reasoning, request)
        parser = self.format.parser(tools, call_count, in_reasoning=in_reasoning)
        reader = ChatReader(self.tokenizer, parser, request.stop, len(prompt))
        async with aclosing(token_chunks(self.token_generator, prompt, params, mask)) as chunks:
            has_begun = False
            async for chunk in chunks:
                if not has_begun:
                    # Not before the first chunk: until then an error is an ordinary response.
                    has_begun = True
                    yield PromptRead(len(prompt), chunk.cached_tokens)
                for event in reader.read(chunk):
                    yield event
                if reader.finished:
                    return

    async def mask(
        self, request: ChatRequest, max_tokens: int, first_number: int
    ) -> TokenMask | None:
        """The request's mask; None if unconstrained. Raises RequestError, see `OutputMasks`."""
        if self.masks is None:
            refuse_demands(request)
            return None
        if not request.tools and request.response_format is None:
            return None
        # One work for all choices of an HTTP request; each takes a mask of its own from it.
        work = MaskWork()
        compiled = partial(
            self.masks.masks,
            request,
            max_tokens=max_tokens,
            first_number=first_number,
            work=work,
        )
        fresh = await self._mask_threads.run_once(key_of(request), compiled, abandon=work.abandon)
        # In a thread too, since a mask begins with a copy of a compiled schema; in another one,
        # since those may all wait for schemas of others.
        return None if fresh is None else await asyncio.to_thread(fresh)

    def after_thought(
        self, answer: TokenMask | None, budget: int | None, in_reasoning: bool, request: ChatRequest
    ) -> TokenMask | None:
        """The mask of an answer after its thought. Raises RequestError for a budget if there are
        no masks to enforce it."""
        if budget is not None and self.masks is None:
            refuse_budget(request.thinking)
            budget = None
        if request.is_continued or (answer is None and budget is None):
            return answer
        return ThoughtMask(self.tokenizer, answer, in_reasoning=in_reasoning, budget=budget)

    def prompt(
        self,
        request: ChatRequest,
        tools: Sequence[Mapping[str, Any]],
        thinking: Thinking = DEFAULT_THINKING,
    ) -> tuple[list[int], int]:
        """The request's prompt, up to where the answer goes on, and the history's calls.

        Raises ContextLengthError for text that is too long whatever it says.
        """
        messages, begun = request.messages, None
        if request.is_continued:
            *messages, begun = messages
        context_length = self.token_generator.context_length
        return self.format.encode(
            messages, tools, thinking=thinking, begun=begun, context_length=context_length
        )

    def encode(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]],
        thinking: Thinking = DEFAULT_THINKING,
    ) -> tuple[list[int], int]:
        """The prompt's ids, and how many calls the history has."""
        return self.format.encode(messages, tools, thinking=thinking)

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


def refuse_demands(request: ChatRequest) -> None:
    """Raise RequestError for a constraint that only a mask could enforce."""
    demands = {
        "tool_choice": request.tool_choice not in ("auto", "none"),
        "parallel_tool_calls": not request.parallel_tool_calls and bool(request.tools),
        "response_format": request.response_format is not None,
    }
    for index, tool in enumerate(request.tools):
        demands[f"tools[{index}].function.strict"] = bool(tool["function"].get("strict"))
    for field, demanded in demands.items():
        if demanded:
            message = (
                f"{field} needs constrained decoding, which this model does not have: leave it out"
            )
            raise RequestError(message, field)

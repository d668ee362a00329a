"""`load`: a model to use from ordinary Python. `openk2.load` is this."""

import atexit
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any

from openk2.chat import Tokenizer
from openk2.generation import (
    ChatAnswer,
    ChatEvent,
    ChatRequest,
    ContextLengthError,
    complete,
    token_chunks,
)
from openk2.pretrained.folder import DEFAULT_MODEL
from openk2.pretrained.loop_thread import LoopThread
from openk2.pretrained.model import LocalModel, open_model
from openk2.protocol import SamplingParams, TokenChunk, TokenLogprobs


class LoadedModel:
    """A model in this process, for synchronous code; from several threads, calls run together.

    local: the parts: name, config, tokenizer, engine. Also a context manager that closes it.
    A model that is not closed is closed when the program ends.
    """

    def __init__(self, local: LocalModel) -> None:
        self.local = local
        self._loop = LoopThread()
        # Before Python freezes the threads: one inside torch would abort the process, and a stream
        # that is still open would wait for them. Its events may outlive the last name of the model.
        atexit.register(self._close_at_exit, os.getpid())

    def _close_at_exit(self, process: int) -> None:
        """Close the model, but not in a fork of the process that opened it: it has no threads."""
        if os.getpid() == process:
            self.close()

    @property
    def tokenizer(self) -> Tokenizer:
        """Text <-> token ids."""
        return self.local.tokenizer

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        **settings: Any,
    ) -> ChatAnswer:
        """Answer a conversation.

        messages, tools: as in OpenAI's chat completions; `answer.message()` goes on with them.
        settings: fields of `ChatRequest`: temperature, max_tokens, stop, seed, logprobs, ...
            tool_choice may be "auto", "none", "required" or openk2.generation.NamedTool(name),
            response_format an openk2.generation.JsonFormat(schema).
        Raises openk2.chat.RenderError for a message and RequestError for a setting that cannot be
        obeyed, EngineBusyError, EngineError.
        """
        request = ChatRequest(messages, tools, **settings)
        return self._loop.run(complete(self.local.chat, request))

    def stream(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] = (),
        **settings: Any,
    ) -> Iterator[ChatEvent]:
        """The events of the answer that `chat` would give, as they come, a `ChatFinish` last.

        Leaving the iterator cancels the request.
        """
        request = ChatRequest(messages, tools, **settings)
        return self._loop.iterate(self.local.chat.stream(request))

    def generate(
        self, token_ids: Sequence[int], *, max_tokens: int | None = None, **settings: Any
    ) -> TokenChunk:
        """Go on from token ids: the whole output as one chunk.

        max_tokens: None is what the context leaves. settings: the other fields of
        `SamplingParams`; stop_token_ids are the model's own unless given.
        Raises ValueError for a prompt or a setting that cannot be obeyed, EngineBusyError,
        EngineError.
        """
        engine = self.local.engine
        if max_tokens is None:
            max_tokens = engine.context_length - len(token_ids)
            if max_tokens < 1:
                sizes = (len(token_ids), None, engine.context_length)
                raise ContextLengthError(*sizes, param="prompt")
        stops = {"stop_token_ids": self.local.chat.stop_ids}
        params = SamplingParams(max_tokens=max_tokens, **{**stops, **settings})
        return self._loop.run(self._whole(token_ids, params))

    async def _whole(self, token_ids: Sequence[int], params: SamplingParams) -> TokenChunk:
        """The chunks of an output joined."""
        ids: list[int] = []
        scores: list[TokenLogprobs] = []
        first: TokenChunk | None = None
        async with aclosing(token_chunks(self.local.engine, token_ids, params)) as chunks:
            async for chunk in chunks:
                first = first or chunk
                ids += chunk.token_ids
                scores += chunk.logprobs or ()
        assert first is not None  # token_chunks ends with a finish reason or raises
        return TokenChunk(
            tuple(ids),
            chunk.finish_reason,
            tuple(scores) if params.logprobs is not None else None,
            first.prompt_logprobs,
            first.cached_tokens,
        )

    def close(self) -> None:
        """Stop the engine; requests in flight get an EngineError. Closing twice is closing once."""
        self.local.close()
        self._loop.close()
        atexit.unregister(self._close_at_exit)

    def __enter__(self) -> "LoadedModel":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def load(path_or_name: str | Path = DEFAULT_MODEL, **options: Any) -> LoadedModel:
    """Open a checkpoint folder, a built-in model or a model of the hub and start its engine.

    options: of `open_model`: context_length, max_batch, cache_bytes, dtype, device, weights,
    memory.
    Raises LocalModelError, one line, for a path, files or an option that cannot be used.
    """
    return LoadedModel(open_model(path_or_name, **options))

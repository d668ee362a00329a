"""Tokenize prompts off the event loop, in a few threads; refuse those that cannot fit."""

import asyncio
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from openk2.chat import Tokenizer
from openk2.generation.request_error import ContextLengthError
from openk2.generation.settings import GenerationSettings

T = TypeVar("T")
# More would only take turns at the interpreter's lock. They have the priority of the others: one of
# lower priority that waits for a core while it holds the lock would make the engine wait too.
THREADS = 2


@dataclass
class Shared:
    """One piece of work, and how many wait for it."""

    work: "asyncio.Future[Any]"
    waiting: int = 0


class EncodingThreads:
    """Threads of their own: whatever else a server does in threads, prompts do not wait for it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "openk2-encode")
        self._shared: dict[Hashable, Shared] = {}

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """The function's result. Cancelled while it waits for a thread, it never runs."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    async def run_once(self, key: Hashable, function: Callable[..., T], *arguments: Any) -> T:
        """`run`, except that calls with one key that overlap share one result.

        The answers of one request share their prompt: a hundred times a long one would keep the
        threads from everybody else's.
        """
        shared = self._shared.get(key)
        if shared is None:
            work = asyncio.ensure_future(self.run(function, *arguments))
            work.add_done_callback(lambda _: self._shared.pop(key, None))
            shared = self._shared[key] = Shared(work)
        shared.waiting += 1
        try:
            found: T = await asyncio.shield(shared.work)
            return found
        finally:
            shared.waiting -= 1
            if not shared.waiting and shared.work.cancel():  # the last one left before the end
                self._shared.pop(key, None)

    def close(self) -> None:
        """End the threads; what waits for one is cancelled. Closing twice is closing once."""
        self._threads.shutdown(cancel_futures=True)


def key_of(request: GenerationSettings, prompt: object = None) -> Hashable:
    """What the answers of one HTTP request to one prompt have in common, and nothing else has.

    prompt: where a request may have several, the object in `request`, which its other answers hold.
    """
    return (request.owner, id(prompt)) if request.owner is not None else object()


def refuse_too_long(
    characters: int, tokenizer: Tokenizer, context_length: int, param: str = "messages"
) -> None:
    """Raise ContextLengthError for text that cannot fit whatever it says, before it is encoded.

    A character is at least a byte, and a token at most `longest_token` of them.
    """
    least = -(-characters // tokenizer.longest_token)
    if least > context_length:
        raise ContextLengthError(least, None, context_length, param, at_least=True)


def text_size(messages: Sequence[Mapping[str, Any]]) -> int:
    """Characters of the messages' contents, as far as they are text; all of it is rendered."""
    size = 0
    for message in messages:
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else [content]:
            text = part
            if isinstance(part, Mapping):
                text = part.get("text") if part.get("type") == "text" else None
            size += len(text) if isinstance(text, str) else 0
    return size

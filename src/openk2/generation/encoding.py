"""Tokenize prompts off the event loop, in a few threads; refuse those that cannot fit."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from openk2.chat import Tokenizer
from openk2.generation.request_error import ContextLengthError

T = TypeVar("T")
# More would only take turns at the interpreter's lock. They have the priority of the others: one of
# lower priority that waits for a core while it holds the lock would make the engine wait too.
THREADS = 2


class EncodingThreads:
    """Threads of their own: whatever else a server does in threads, prompts do not wait for it."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "openk2-encode")

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """The function's result. Cancelled while it waits for a thread, it never runs."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    def close(self) -> None:
        """End the threads; what waits for one is cancelled. Closing twice is closing once."""
        self._threads.shutdown(cancel_futures=True)


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

"""Tokenize prompts off the event loop, in a few threads; refuse those that cannot fit."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from openk2.chat import Tokenizer
from openk2.generation.request_error import ContextLengthError
from openk2.generation.settings import GenerationSettings
from openk2.generation.shared_threads import SharedThreads

# More would only take turns at the interpreter's lock. They have the priority of the others: one of
# lower priority that waits for a core while it holds the lock would make the engine wait too.
THREADS = 2


def encoding_threads() -> SharedThreads:
    """Threads of their own: whatever else a server does in threads, prompts do not wait for it."""
    return SharedThreads(THREADS, "openk2-encode")


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

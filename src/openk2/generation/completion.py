"""`CompletionRequest`, the events of its output, and the `CompletionGenerator` protocol."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from openk2.chat import ContentDelta
from openk2.generation.chat import ChatFinish, ChatFinishReason
from openk2.generation.scores import ScoredToken, TokensScored
from openk2.generation.settings import GenerationSettings

DEFAULT_MAX_TOKENS = 16  # OpenAI's


@dataclass(frozen=True)
class CompletionRequest(GenerationSettings):
    """A prompt to continue.

    prompt: token ids, or text in which the name of a special token stands for that token.
    max_tokens: output tokens at most; 0 only with echo.
    echo: the text and the scores start with the prompt's.
    """

    prompt: str | Sequence[int]
    max_tokens: int = DEFAULT_MAX_TOKENS
    echo: bool = False


CompletionEvent = ContentDelta | TokensScored | ChatFinish


class CompletionGenerator(Protocol):
    """Continues prompts."""

    def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent, None]:
        """Yield the output as it is generated, `ChatFinish` last. Closing it cancels the request.

        Special tokens appear in the text by name, except the one that ends the output, which only
        the scores include.
        Raises, before the first event: RequestError (ContextLengthError is one),
        openk2.protocol.EngineBusyError.
        """
        ...


@dataclass(frozen=True)
class Completion:
    """A whole output. scores: empty unless requested. Sizes in tokens."""

    text: str
    scores: tuple[ScoredToken, ...]
    finish_reason: ChatFinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int


async def complete_text(generator: CompletionGenerator, request: CompletionRequest) -> Completion:
    """Stream the whole output and join it.

    Raises what `CompletionGenerator.stream` raises. Cancelling it cancels the request.
    """
    text: list[str] = []
    scores: list[ScoredToken] = []
    async with aclosing(generator.stream(request)) as events:
        async for event in events:
            match event:
                case ContentDelta():
                    text.append(event.text)
                case TokensScored():
                    scores += event.tokens
                case ChatFinish():
                    return Completion(
                        "".join(text),
                        tuple(scores),
                        event.reason,
                        event.prompt_tokens,
                        event.completion_tokens,
                        event.cached_tokens,
                    )
    raise RuntimeError(f"{type(generator).__name__} ended its output without a ChatFinish")

"""A raw completion request, the events of its output, and the protocol of whatever answers it."""

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
    """A prompt to go on from.

    prompt: text, in which the names of specials mean the specials, or token ids.
    max_tokens: output tokens at most; 0 only with echo.
    echo: the prompt is the beginning of the text, and its tokens of the scores.
    """

    prompt: str | Sequence[int]
    max_tokens: int = DEFAULT_MAX_TOKENS
    echo: bool = False


CompletionEvent = ContentDelta | TokensScored | ChatFinish


class CompletionGenerator(Protocol):
    """Goes on from prompts."""

    def stream(self, request: CompletionRequest) -> AsyncGenerator[CompletionEvent, None]:
        """Yield the output as it is made, a `ChatFinish` last. Closing it cancels the request.

        Text holds specials by their names, but not the token that ends the output; the scores
        hold that too. Raises, before the first event: RequestError (ContextLengthError is one),
        openk2.protocol.EngineBusyError.
        """
        ...


@dataclass(frozen=True)
class Completion:
    """A whole output. scores: empty if none were asked for. Sizes in tokens."""

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

"""Token ids in, token ids out."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from openk2.protocol.mask import TokenMask
from openk2.protocol.sampling import SamplingParams

FinishReason = Literal["stop", "length"]


class EngineError(RuntimeError):
    """A request ended early: its step failed, or the engine stopped."""


class EngineBusyError(RuntimeError):
    """The generator cannot accept another request now; try again later.

    retry_after: seconds after which a remote server wants to be asked again, if it said so.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass(frozen=True)
class TokenLogprobs:
    """How likely a token was. logprob: natural logarithm; top: (id, logprob), best first.

    Of the model's own distribution: before temperature, penalties, bias and truncation.
    """

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class TokenChunk:
    """Newly generated ids. The last chunk of a request, and only it, has a finish reason.

    With reason "stop" the last id is the stop token itself.
    logprobs: one per id, if requested.
    prompt_logprobs: in the first chunk, if requested: one per prompt token, None for the first,
        which nothing predicts.
    cached_tokens: in the first chunk: how many of the prompt's tokens came from the prefix cache.
    """

    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None = None
    logprobs: tuple[TokenLogprobs, ...] | None = None
    prompt_logprobs: tuple[TokenLogprobs | None, ...] | None = None
    cached_tokens: int = 0


class TokenGenerator(Protocol):
    """Generates ids for a prompt of ids."""

    @property
    def context_length(self) -> int:
        """Prompt plus output tokens that one request may hold."""
        ...

    def generate(
        self, prompt: Sequence[int], params: SamplingParams, mask: TokenMask | None = None
    ) -> AsyncGenerator[TokenChunk, None]:
        """Yield chunks as they are generated. Closing the generator cancels the request.

        mask: constrains the output; a fresh one per request.
        Raises ValueError if prompt plus max_tokens exceed `context_length` or the prompt is empty,
        EngineBusyError, EngineError.
        """
        ...

"""Token ids in, token ids out."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from openk2.protocol.sampling import SamplingParams

FinishReason = Literal["stop", "length"]


class EngineError(RuntimeError):
    """A request ended without its last token: its step failed, or the engine stopped."""


class EngineBusyError(RuntimeError):
    """The generator cannot take another request now; the caller should try again later."""


@dataclass(frozen=True)
class TokenChunk:
    """Newly generated ids. The last chunk of a request, and only it, has a finish reason.

    With reason "stop" the last id is the stop token itself.
    """

    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None = None


class TokenGenerator(Protocol):
    """Generates ids for a prompt of ids."""

    @property
    def context_length(self) -> int:
        """Prompt plus output tokens that one request may hold."""
        ...

    def generate(
        self, prompt: Sequence[int], params: SamplingParams
    ) -> AsyncGenerator[TokenChunk, None]:
        """Yield chunks as they are made. Closing the generator cancels the request.

        Raises ValueError if prompt plus max_tokens exceed `context_length` or the prompt is empty,
        EngineBusyError, EngineError.
        """
        ...

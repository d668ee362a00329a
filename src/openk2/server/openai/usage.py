"""`Usage`: the tokens of a request, as OpenAI counts them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from openk2.generation import ChatAnswer, ChatFinish, Completion


@dataclass(frozen=True)
class Usage:
    """Token counts of a request. cached_tokens: how many of prompt_tokens came from the cache."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int

    @classmethod
    def of(cls, output: ChatFinish | ChatAnswer | Completion) -> "Usage":
        """Of one output."""
        return cls(output.prompt_tokens, output.completion_tokens, output.cached_tokens)

    @classmethod
    def of_choices(cls, outputs: Iterable[ChatFinish | ChatAnswer | Completion]) -> "Usage":
        """Of several outputs of one prompt, which counts once.

        Tokens computed for one output are cached for the others, but not for the request, so
        cached_tokens is the smallest count.
        """
        each = [cls.of(output) for output in outputs]
        return cls(
            each[0].prompt_tokens,
            sum(usage.completion_tokens for usage in each),
            min(usage.cached_tokens for usage in each),
        )

    def __add__(self, other: "Usage") -> "Usage":
        """Of two prompts."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )

    def json(self) -> dict[str, Any]:
        """OpenAI's usage object."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
        }

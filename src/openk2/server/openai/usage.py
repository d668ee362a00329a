"""`Usage`: the tokens of a request, as OpenAI counts them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from openk2.generation import ChatAnswer, ChatFinish, Completion


@dataclass(frozen=True)
class Usage:
    """Token counts of a request. cached_tokens: how many of prompt_tokens came from the cache.

    reasoning_tokens: how many of completion_tokens are thoughts.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    reasoning_tokens: int = 0

    @classmethod
    def of(cls, output: ChatFinish | ChatAnswer | Completion) -> "Usage":
        """Of one output."""
        thoughts = 0 if isinstance(output, Completion) else output.reasoning_tokens
        return cls(output.prompt_tokens, output.completion_tokens, output.cached_tokens, thoughts)

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
            sum(usage.reasoning_tokens for usage in each),
        )

    def __add__(self, other: "Usage") -> "Usage":
        """Of two prompts."""
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    def json(self) -> dict[str, Any]:
        """OpenAI's usage object; thoughts are counted where there are any."""
        thoughts = {"completion_tokens_details": {"reasoning_tokens": self.reasoning_tokens}}
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens},
            **(thoughts if self.reasoning_tokens else {}),
        }

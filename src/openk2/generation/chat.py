"""A chat request, the events of its answer, and the protocol of whatever answers it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from openk2.chat import OutputEvent

ChatFinishReason = Literal["stop", "length", "tool_calls"]


class ContextLengthError(ValueError):
    """Prompt and answer together are longer than the model's context. All sizes in tokens."""

    def __init__(self, prompt_tokens: int, max_tokens: int | None, context_length: int) -> None:
        asked = f"{prompt_tokens} tokens of messages and tools"
        if max_tokens is not None:
            asked += f" and {max_tokens} tokens of answer"
        super().__init__(
            f"the context holds {context_length} tokens, but the request is {asked}: "
            "shorten the messages" + ("" if max_tokens is None else " or lower max_tokens")
        )
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context_length = context_length


@dataclass(frozen=True)
class ChatRequest:
    """One turn to generate.

    messages, tools: as in OpenAI's chat completions.
    tool_choice: with "none" the answer holds no calls.
    max_tokens: output tokens at most; None is what the context leaves.
    temperature, top_p, top_k, seed: as in `SamplingParams`.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: Literal["auto", "none"] = "auto"
    max_tokens: int | None = None
    temperature: float = 0.6
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None


@dataclass(frozen=True)
class ChatFinish:
    """The last event of an answer. Sizes in tokens, the stop token included.

    reason: "tool_calls" if at least one call is complete and none was cut off by max_tokens.
    """

    reason: ChatFinishReason
    prompt_tokens: int
    completion_tokens: int


ChatEvent = OutputEvent | ChatFinish


class ChatGenerator(Protocol):
    """Answers chat requests."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Yield the answer as it is made, a `ChatFinish` last. Closing it cancels the request.

        Raises, before the first event: openk2.chat.RenderError for messages that cannot be
        rendered, ContextLengthError, openk2.protocol.EngineBusyError.
        """
        ...

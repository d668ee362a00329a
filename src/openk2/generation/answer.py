"""`ChatAnswer`: a whole answer, defined as its stream joined."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from openk2.chat import OutputEvent, ToolCall, join_events
from openk2.generation.chat import (
    ChatFinish,
    ChatFinishReason,
    ChatGenerator,
    ChatRequest,
    PromptRead,
)
from openk2.generation.scores import ScoredToken, TokensScored


@dataclass(frozen=True)
class ChatAnswer:
    """What the assistant said. tool_calls: the complete ones. Sizes in tokens.

    cut_call: the call in which max_tokens ended the answer, its arguments as far as they came.

    reasoning, reasoning_tokens: what a model that thinks wrote before its answer.
    scores: of the raw tokens (`TokensScored`), the stop token excepted, if they were asked for.
    cached_tokens, stop_string: as in `ChatFinish`.
    """

    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: ChatFinishReason = "stop"
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    stop_string: str | None = None
    scores: tuple[ScoredToken, ...] = ()
    reasoning: str = ""
    cut_call: ToolCall | None = None
    reasoning_tokens: int = 0

    def message(self) -> dict[str, Any]:
        """The answer as an OpenAI assistant message; of one that was not cut, fit for a history."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        made = (*self.tool_calls, *([self.cut_call] if self.cut_call is not None else []))
        if not made:
            return message
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in made
        ]
        return {**message, "content": self.content or None, "tool_calls": calls}


async def complete(generator: ChatGenerator, request: ChatRequest) -> ChatAnswer:
    """Stream the whole answer and join it.

    Raises what `ChatGenerator.stream` raises. Cancelling it cancels the request.
    """
    said: list[OutputEvent] = []
    scores: list[ScoredToken] = []
    async with aclosing(generator.stream(request)) as events:
        async for event in events:
            match event:
                case PromptRead():
                    pass  # the finish says it again
                case TokensScored():
                    scores += event.tokens
                case ChatFinish():
                    output = join_events(said)
                    return ChatAnswer(
                        output.content,
                        output.tool_calls,
                        event.reason,
                        event.prompt_tokens,
                        event.completion_tokens,
                        event.cached_tokens,
                        event.stop_string,
                        tuple(scores),
                        output.reasoning,
                        output.cut_call if event.reason == "length" else None,
                        event.reasoning_tokens,
                    )
                case _:
                    said.append(event)
    raise RuntimeError(f"{type(generator).__name__} ended its answer without a ChatFinish")

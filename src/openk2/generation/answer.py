"""`ChatAnswer`: a whole answer, defined as its stream joined."""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from openk2.chat import (
    CallArguments,
    CallEnd,
    CallStart,
    ContentDelta,
    ReasoningDelta,
    ToolCall,
)
from openk2.generation.chat import ChatFinish, ChatFinishReason, ChatGenerator, ChatRequest
from openk2.generation.scores import ScoredToken, TokensScored


@dataclass(frozen=True)
class ChatAnswer:
    """What the assistant said. tool_calls: the complete ones. Sizes in tokens.

    reasoning: what a model that thinks wrote before its answer.
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

    def message(self) -> dict[str, Any]:
        """The answer as an OpenAI assistant message, fit to be the history of the next turn."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        if self.reasoning:
            message["reasoning_content"] = self.reasoning
        if not self.tool_calls:
            return message
        calls = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in self.tool_calls
        ]
        return {**message, "content": self.content or None, "tool_calls": calls}


async def complete(generator: ChatGenerator, request: ChatRequest) -> ChatAnswer:
    """Stream the whole answer and join it; a call that was cut off is left out.

    Raises what `ChatGenerator.stream` raises. Cancelling it cancels the request.
    """
    content: list[str] = []
    reasoning: list[str] = []
    starts: dict[int, CallStart] = {}
    arguments: dict[int, list[str]] = {}
    ended: list[int] = []
    scores: list[ScoredToken] = []
    async with aclosing(generator.stream(request)) as events:
        async for event in events:
            match event:
                case ContentDelta():
                    content.append(event.text)
                case ReasoningDelta():
                    reasoning.append(event.text)
                case CallStart():
                    starts[event.index] = event
                    arguments[event.index] = []
                case CallArguments():
                    arguments[event.index].append(event.text)
                case CallEnd():
                    ended.append(event.index)
                case TokensScored():
                    scores += event.tokens
                case ChatFinish():
                    calls = (
                        ToolCall(starts[i].id, starts[i].name, "".join(arguments[i])) for i in ended
                    )
                    return ChatAnswer(
                        "".join(content),
                        tuple(calls),
                        event.reason,
                        event.prompt_tokens,
                        event.completion_tokens,
                        event.cached_tokens,
                        event.stop_string,
                        tuple(scores),
                        "".join(reasoning),
                    )
    raise RuntimeError(f"{type(generator).__name__} ended its answer without a ChatFinish")

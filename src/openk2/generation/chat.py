"""A chat request, the events of its answer, and the protocol of whatever answers it."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from openk2.chat import CallCounts, OutputEvent
from openk2.generation.request_error import RequestError
from openk2.generation.scores import TokensScored
from openk2.generation.settings import GenerationSettings
from openk2.protocol import TokenMask

ChatFinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True)
class NamedTool:
    """The one tool that is called, once."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True)
class JsonFormat:
    """The content is JSON and nothing else.

    schema: what it obeys, a JSON Schema (draft 2020-12); None: any object. name: the client's.
    """

    schema: Mapping[str, Any] | bool | None = None
    name: str = "answer"


@dataclass(frozen=True)
class ChatRequest(GenerationSettings):
    """One turn to generate.

    messages, tools: as in OpenAI's chat completions.
    tool_choice: "none": the answer holds no calls; "required": at least one, and no content;
        a NamedTool: one call of it.
    parallel_tool_calls: False: at most one call.
    response_format: None: text. Only where the answer holds no calls.
    max_tokens: output tokens at most; None is what the context leaves.

    Raises RequestError, with the field in OpenAI's words, for two tools of one name, for a
    tool_choice that no tool answers to, and for a response_format beside tools.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    response_format: JsonFormat | None = None
    max_tokens: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        names = tool_names(self.tools)
        for index, name in enumerate(names):
            if name in names[:index]:
                field = f"tools[{index}].function.name"
                raise RequestError(f"{field} is {name!r}, which is declared twice", field)
        choice = self.tool_choice
        if choice == "required" and not names:
            message = 'tool_choice is "required", but there are no tools: declare one'
            raise RequestError(message, "tool_choice")
        if isinstance(choice, NamedTool) and choice.name not in names:
            message = f"tool_choice names the tool {choice.name!r}: declare it in tools"
            raise RequestError(message, "tool_choice")
        if self.response_format is not None and names and choice != "none":
            message = 'is set beside tools: send one of the two, or tool_choice "none"'
            raise RequestError(f"response_format {message}", "response_format")


def tool_names(tools: Sequence[Mapping[str, Any]]) -> list[str]:
    """The tools' names, in order. A tool without one is left to whoever renders it to refuse."""
    functions = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    return [str(one["name"]) for one in functions if isinstance(one, Mapping) and "name" in one]


@dataclass(frozen=True)
class ChatFinish:
    """The last event of an answer. Sizes in tokens, the stop token included.

    reason: "tool_calls" if at least one call is complete and max_tokens did not cut the output.
    cached_tokens: how many of the prompt's tokens were not computed anew.
    stop_string: the one that ended the answer; its tokens count.
    calls: what became of those that the model began; an answer from elsewhere does not say.
    """

    reason: ChatFinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    stop_string: str | None = None
    calls: CallCounts = field(default_factory=CallCounts)


@dataclass(frozen=True)
class PromptRead:
    """The first event of an answer whose generator counts the prompt itself. Sizes in tokens.

    cached_tokens: as far as it is known before the output ends; `ChatFinish` has the last word.
    """

    prompt_tokens: int
    cached_tokens: int = 0


ChatEvent = PromptRead | OutputEvent | TokensScored | ChatFinish


class OutputMasks(Protocol):
    """Makes what a request demands of its output a mask for whoever samples it."""

    def mask(self, request: ChatRequest, *, max_tokens: int, first_number: int) -> TokenMask | None:
        """A fresh mask; None if every output will do. May take a while: not for an event loop.

        max_tokens: what the output must end within. first_number: calls of the history.
        Raises RequestError, with the field, for a demand that cannot be met.
        """
        ...


class ChatGenerator(Protocol):
    """Answers chat requests."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Yield the answer as it is made, a `ChatFinish` last. Closing it cancels the request.

        Raises, before the first event: openk2.chat.RenderError for messages that cannot be
        rendered, RequestError (ContextLengthError is one), openk2.protocol.EngineBusyError.
        """
        ...

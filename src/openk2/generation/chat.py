"""`ChatRequest`, the events of its answer, and the `ChatGenerator` protocol."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from openk2.chat import CallCounts, OutputEvent
from openk2.generation.mask_work import MaskWork
from openk2.generation.request_error import RequestError
from openk2.generation.scores import TokensScored
from openk2.generation.settings import GenerationSettings
from openk2.generation.thinking import ThinkingFields
from openk2.protocol import TokenMask

ChatFinishReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True)
class NamedTool:
    """A tool_choice that forces one call of this tool."""

    name: str


ToolChoice = Literal["auto", "none", "required"] | NamedTool


@dataclass(frozen=True)
class JsonFormat:
    """The content must be JSON and nothing else.

    schema: a JSON Schema (draft 2020-12) that it must satisfy; None allows any object. name: the
        client's name for the schema. strict: whether the schema is enforced exactly or refused;
        otherwise keywords that cannot be enforced are left to the model.
    """

    schema: Mapping[str, Any] | bool | None = None
    name: str = "answer"
    strict: bool = True


@dataclass(frozen=True)
class ChatRequest(GenerationSettings):
    """One turn to generate.

    messages, tools: as in OpenAI's chat completions.
    tool_choice: "none": the answer holds no calls; "required": at least one, and no content;
        a NamedTool: one call of it.
    parallel_tool_calls: False: at most one call.
    response_format: of the content; None: text. Beside tools the answer is such content or calls.
    is_continued: the last message, the assistant's text, is the beginning of the answer; the events
        are what follows it.
    max_tokens: output tokens at most; None is what the context leaves.
    thinking: whether to think, as the client put it; a model that does not think ignores it.
    tenant: whose conversation it is, a digest of the API key; what is remembered of one tenant's
        conversations is used in no other's.

    Raises RequestError, with the field in OpenAI's words, for two tools of one name, for a
    tool_choice that no tool answers to, and for a tool_choice or response_format of another type.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    response_format: JsonFormat | None = None
    max_tokens: int | None = None
    is_continued: bool = False
    thinking: ThinkingFields = field(default_factory=ThinkingFields)
    tenant: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = tool_names(self.tools)
        declared: set[str] = set()
        for index, name in enumerate(names):
            if name in declared:
                place = f"tools[{index}].function.name"
                raise RequestError(f"{place} is {name!r}, which is declared twice", place)
            declared.add(name)
        self.check_forms()
        choice = self.tool_choice
        if choice == "required" and not names:
            message = 'tool_choice is "required", but there are no tools: declare one'
            raise RequestError(message, "tool_choice")
        if isinstance(choice, NamedTool) and choice.name not in names:
            message = f"tool_choice names the tool {choice.name!r}: declare it in tools"
            raise RequestError(message, "tool_choice")
        if self.is_continued:
            self.check_continued()

    def check_forms(self) -> None:
        """Raise RequestError for a tool_choice or response_format in OpenAI's form, or unknown."""
        choice, wanted = self.tool_choice, self.response_format
        if not isinstance(choice, NamedTool) and choice not in ("auto", "none", "required"):
            message = f'tool_choice is {choice!r}: give "auto", "none", "required" or'
            raise RequestError(f'{message} openk2.generation.NamedTool("NAME")', "tool_choice")
        if wanted is not None and not isinstance(wanted, JsonFormat):
            message = f"response_format is {wanted!r}: give None or"
            raise RequestError(f"{message} openk2.generation.JsonFormat(SCHEMA)", "response_format")

    def check_continued(self) -> None:
        """Raise RequestError if the last message cannot be the beginning of this answer."""
        place, last = f"messages[{len(self.messages) - 1}]", self.messages[-1]
        if last.get("tool_calls"):
            raise RequestError(f"{place} has tool_calls: only a text can be continued", place)
        if not isinstance(last.get("content"), str) or not last["content"]:
            place = f"{place}.content"
            raise RequestError(f"{place} must be a text, not empty, to be continued", place)
        for name, holds in {
            "response_format": self.response_format is not None,
            "tool_choice": self.tool_choice not in ("auto", "none"),
        }.items():
            if holds:
                message = f"{name} cannot be kept when {place} begins the answer: leave one out"
                raise RequestError(message, name)


def tool_names(tools: Sequence[Mapping[str, Any]]) -> list[str]:
    """The names of the tools, in order. A tool without a name is refused later, by the renderer."""
    functions = [tool.get("function") for tool in tools if isinstance(tool, Mapping)]
    return [str(one["name"]) for one in functions if isinstance(one, Mapping) and "name" in one]


@dataclass(frozen=True)
class ChatFinish:
    """The last event of an answer. Sizes in tokens, the stop token included.

    reason: "tool_calls" if at least one call is complete and max_tokens did not cut the output.
    cached_tokens: how many of the prompt's tokens were not computed anew.
    stop_string: the one that ended the answer; its tokens count.
    calls: counts of the calls the model began; zero for answers of a remote chat endpoint.
    reasoning_tokens: how many of completion_tokens are thoughts.
    """

    reason: ChatFinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    stop_string: str | None = None
    calls: CallCounts = field(default_factory=CallCounts)
    reasoning_tokens: int = 0


@dataclass(frozen=True)
class PromptRead:
    """The first event of an answer, if the generator knows the prompt's length. Sizes in tokens.

    cached_tokens: as far as known before the output ends; `ChatFinish` has the final count.
    """

    prompt_tokens: int
    cached_tokens: int = 0


ChatEvent = PromptRead | OutputEvent | TokensScored | ChatFinish


class OutputMasks(Protocol):
    """Turns the constraints of a request (tools, JSON) into a mask for the sampler."""

    def masks(
        self, request: ChatRequest, *, max_tokens: int, first_number: int, work: MaskWork
    ) -> Callable[[], TokenMask] | None:
        """Makes a fresh mask for each output; None if outputs are unconstrained. May block: call it
        in a thread.

        max_tokens: the output must end within so many tokens. first_number: calls in the history.
        work: counts and ends what this takes.
        Raises RequestError, with the field, for a constraint that cannot be enforced.
        """
        ...


class ChatGenerator(Protocol):
    """Answers chat requests."""

    def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Yield the answer as it is generated, `ChatFinish` last. Closing it cancels the request.

        Raises, before the first event: openk2.chat.RenderError for messages that cannot be
        rendered, RequestError (ContextLengthError is one), openk2.protocol.EngineBusyError.
        """
        ...

"""`ChatMasks`: the mask that a chat request's tools and formats demand of its answer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openk2.chat import Tokenizer, ToolFormat, as_declared
from openk2.generation import ChatRequest, MaskWork, NamedTool, RequestError
from openk2.grammar.course import CourseMask
from openk2.grammar.demand import DeclaredTool, Demand, JsonContent, ToolCalls
from openk2.grammar.enforcer import Enforcer
from openk2.grammar.error import GrammarError


class ChatMasks:
    """The `OutputMasks` of a model with this tokenizer.

    tool_format: how its prompts declare tools; arguments are written in that order.
    """

    def __init__(self, tokenizer: Tokenizer, tool_format: ToolFormat = "json") -> None:
        self._enforcer, self._tool_format = Enforcer(tokenizer), tool_format

    def stats(self) -> Mapping[str, float]:
        """Counts for metrics."""
        return self._enforcer.stats()

    def masks(
        self, request: ChatRequest, *, max_tokens: int, first_number: int, work: MaskWork
    ) -> Callable[[], CourseMask] | None:
        """See `OutputMasks.masks`."""
        demand = self.demand(request)
        if demand is None:
            return None
        try:
            return self._enforcer.masks(
                demand, max_tokens=max_tokens, first_number=first_number, work=work
            )
        except GrammarError as error:
            raise RequestError(str(error), field_of(error, request.tools)) from error

    def demand(self, request: ChatRequest) -> Demand | None:
        """What the request demands of its answer; None if any output is valid."""
        return demand_of(request, as_declared(request.tools, self._tool_format))


def demand_of(request: ChatRequest, shown: Sequence[Mapping[str, Any]]) -> Demand | None:
    """What a request demands. shown: its tools, properties in the order of their generation."""
    choice, wanted = request.tool_choice, request.response_format
    forced = choice not in ("auto", "none")
    tools = () if choice == "none" else tuple(map(declared, shown))
    content: JsonContent | None = None
    if wanted is not None:
        content = JsonContent()
        if wanted.schema is not None:
            content = JsonContent(wanted.schema, wanted.strict)
    if isinstance(choice, NamedTool):
        tools = tuple(tool for tool in tools if tool.name == choice.name)
    if not tools:
        return content
    parallel = request.parallel_tool_calls and not isinstance(choice, NamedTool)
    # A forced call leaves no content that a response format could speak of.
    return ToolCalls(tools, required=forced, parallel=parallel, content=None if forced else content)


def declared(tool: Mapping[str, Any]) -> DeclaredTool:
    """An OpenAI tool as a `DeclaredTool`."""
    function = tool["function"]
    strict = function.get("strict") is True
    return DeclaredTool(function["name"], function.get("parameters"), strict=strict)


def field_of(error: GrammarError, tools: Sequence[Mapping[str, Any]]) -> str:
    """Which field of the request a GrammarError is about."""
    if error.shortest is not None:
        return "max_tokens"
    for index, tool in enumerate(tools):
        if tool["function"]["name"] == error.tool:
            return f"tools[{index}].function.parameters"
    return "response_format.json_schema.schema"

"""Anthropic's `tools` and `tool_choice` -> OpenAI's tools and a `ToolChoice`."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from openk2.generation import NamedTool, ToolChoice
from openk2.server.openai.tools import TOOL_NAME
from openk2.server.refusals import invalid
from openk2.server.replayed import referred_tool

ToolName = Annotated[str, Field(pattern=TOOL_NAME, max_length=128)]


class MessageTool(BaseModel):
    """A tool of the client. strict: whether a schema that cannot be enforced is refused.

    defer_loading: it is declared once the conversation has referred to it; see `offered`.
    """

    model_config = ConfigDict(extra="allow", strict=True)

    type: str | None = None
    name: ToolName | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: bool | None = None


class MessageToolChoice(BaseModel):
    """`tool_choice`. name: of type "tool"."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


def offered(
    tools: Sequence[MessageTool],
    messages: Sequence[Mapping[str, Any]],
    choice: MessageToolChoice | None,
) -> list[tuple[int, MessageTool]]:
    """The tools to declare, each with its place in `tools`.

    Of those that are deferred only the ones that a `tool_reference` or `tool_addition` named, a
    turn called or the choice demands. Agents with hundreds of tools find them by a search.
    """
    placed = list(enumerate(tools))
    if not any(tool.defer_loading for tool in tools):
        return placed
    named = {choice.name} if choice is not None else set()
    for message in messages:
        named |= named_tools(message.get("content"))
    return [(place, tool) for place, tool in placed if not tool.defer_loading or tool.name in named]


def named_tools(content: Any) -> set[str | None]:
    """The tools that blocks call or refer to, also those in the results of tools."""
    found: set[str | None] = set()
    for block in content if isinstance(content, list) else ():
        if (referred := referred_tool(block)) is not None:
            found.add(referred)
        match block:
            case {"type": "tool_use", "name": str(name)}:
                found.add(name)
            case {"type": "tool_result", "content": inner}:
                found |= named_tools(inner)
    return found


def function_tools(tools: Sequence[tuple[int, MessageTool]]) -> list[dict[str, Any]]:
    """The tools that are `offered`, in OpenAI's form. Raises ApiError 400 for a server tool or an
    invalid one."""
    functions: list[dict[str, Any]] = []
    for index, tool in tools:
        place = f"tools[{index}]"
        if tool.type not in (None, "custom"):
            problem = f"is {tool.type!r}: this server runs no tools; declare it with input_schema"
            raise invalid(f"{place}.type", problem)
        if tool.name is None:
            raise invalid(f"{place}.name", "is missing: name the tool")
        functions.append(function_of(tool, place))
    return [{"type": "function", "function": function} for function in functions]


def function_of(tool: MessageTool, place: str) -> dict[str, Any]:
    """One tool as OpenAI's function."""
    schema = tool.input_schema
    # The answer's `input` is an object, so the schema has to be one of objects.
    if schema is None or schema.get("type") != "object":
        raise invalid(f"{place}.input_schema", 'must be a JSON Schema with "type": "object"')
    described = {} if tool.description is None else {"description": tool.description}
    strict = {"strict": True} if tool.strict else {}
    return {"name": tool.name, **described, "parameters": schema, **strict}


def read_tool_choice(choice: MessageToolChoice | None) -> ToolChoice:
    """The choice. Raises ApiError 400 for a named tool without a name."""
    if choice is None or choice.type == "auto":
        return "auto"
    if choice.type == "none":
        return "none"
    if choice.type == "any":
        return "required"
    if choice.name is None:
        raise invalid("tool_choice.name", 'is missing: type "tool" needs the name of one')
    return NamedTool(choice.name)

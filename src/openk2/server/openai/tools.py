"""What a chat request says about tools and about the form of its answer, as pydantic reads it."""

import reprlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from openk2.generation import JsonFormat, NamedTool, ToolChoice
from openk2.server.refusals import invalid, unsupported

TOOL_NAME = r"^\S+$"
NAMED_SCHEMA = {
    "type": "object",
    "required": ["type", "function"],
    "properties": {
        "type": {"const": "function"},
        "function": {
            "type": "object",
            "required": ["name"],
            "properties": {"name": {"type": "string"}},
        },
    },
}
TOOL_CHOICE_SCHEMA = {
    "anyOf": [{"enum": ["auto", "none", "required", None]}, NAMED_SCHEMA],
    "default": None,
}


class Function(BaseModel):
    """The function of a tool. strict is obeyed for all: arguments always obey `parameters`."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=TOOL_NAME, max_length=128)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(BaseModel):
    """A tool that the model may call."""

    model_config = ConfigDict(extra="allow")

    type: Literal["function"]
    function: Function


class Named(BaseModel):
    """The name in a choice of one tool."""

    name: str


class NamedToolChoice(BaseModel):
    """`tool_choice` as an object."""

    type: Literal["function"]
    function: Named


class JsonSchemaFormat(BaseModel):
    """`response_format.json_schema`. It is obeyed whether strict is true or not."""

    model_config = ConfigDict(protected_namespaces=())

    name: str = "answer"
    description: str | None = None
    schema_: dict[str, Any] | bool | None = Field(None, alias="schema")
    strict: bool | None = None


class ResponseFormat(BaseModel):
    """`response_format`."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


AnyToolChoice = Annotated[Any, WithJsonSchema(TOOL_CHOICE_SCHEMA)]


def check_tools(tools: Sequence[Tool]) -> None:
    """Raise for two tools of a name."""
    names: set[str] = set()
    for index, tool in enumerate(tools):
        name = tool.function.name
        if name in names:
            raise invalid(f"tools[{index}].function.name", f"is {name!r}, which is declared twice")
        names.add(name)


def read_tool_choice(choice: Any, tools: Sequence[Tool]) -> ToolChoice:
    """The choice. Raises ApiError 400 for one that is none, or that the tools do not allow."""
    if choice is None:
        return "auto"
    if choice in ("auto", "none"):
        return "auto" if choice == "auto" else "none"
    if choice == "required":
        if not tools:
            raise invalid("tool_choice", 'is "required", but there are no tools: declare one')
        return "required"
    if isinstance(choice, dict) and choice.get("type") in ("allowed_tools", "custom"):
        raise unsupported("tool_choice", choice)
    shown = reprlib.repr(choice)
    try:
        name = NamedToolChoice.model_validate(choice).function.name
    except ValidationError as error:
        wanted = 'it must be "auto", "none", "required" or {"type": "function", "function": '
        raise invalid("tool_choice", f'is {shown}: {wanted}{{"name": ...}}}}') from error
    if name not in [tool.function.name for tool in tools]:
        raise invalid("tool_choice", f"names the tool {name!r}: declare it in tools")
    return NamedTool(name)


def read_response_format(wanted: ResponseFormat | None, *, calls: bool) -> JsonFormat | None:
    """The form; None is text. calls: whether the answer may hold calls. Raises ApiError 400."""
    if wanted is None or wanted.type == "text":
        return None
    if calls:
        raise invalid(
            "response_format",
            f'is {wanted.type!r} beside tools: send one of the two, or tool_choice "none"',
        )
    if wanted.type == "json_object":
        return JsonFormat()
    if wanted.json_schema is None or wanted.json_schema.schema_ is None:
        raise invalid("response_format.json_schema.schema", "is missing: give a JSON Schema")
    return JsonFormat(wanted.json_schema.schema_, wanted.json_schema.name)

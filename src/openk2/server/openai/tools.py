"""The tools, tool_choice and response_format of a chat request, as pydantic reads them."""

import reprlib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, WithJsonSchema

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
    """The function of a tool. strict: whether a schema that cannot be enforced is refused."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(pattern=TOOL_NAME, max_length=128)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: StrictBool | None = None


class FunctionTool(BaseModel):
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
    """`response_format.json_schema`. strict: whether what cannot be enforced is refused."""

    model_config = ConfigDict(protected_namespaces=())

    name: str = Field(min_length=1)
    description: str | None = None
    schema_: dict[str, Any] | bool | None = Field(None, alias="schema")
    strict: StrictBool | None = None


class ResponseFormat(BaseModel):
    """`response_format`. schema: of a json_object, as Fireworks and Together have it."""

    model_config = ConfigDict(extra="forbid")

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None
    schema_: dict[str, Any] | bool | None = Field(None, alias="schema")


AnyToolChoice = Annotated[Any, WithJsonSchema(TOOL_CHOICE_SCHEMA)]


def read_tool_choice(choice: Any) -> ToolChoice:
    """The choice. Raises ApiError 400 for a value that is not one."""
    if choice is None or choice == "auto":
        return "auto"
    if choice == "none":
        return "none"
    if choice == "required":
        return "required"
    if isinstance(choice, dict) and choice.get("type") in ("allowed_tools", "custom"):
        raise unsupported("tool_choice", choice)
    shown = reprlib.repr(choice)
    try:
        name = NamedToolChoice.model_validate(choice).function.name
    except ValidationError as error:
        wanted = 'it must be "auto", "none", "required" or {"type": "function", "function": '
        raise invalid("tool_choice", f'is {shown}: {wanted}{{"name": ...}}}}') from error
    return NamedTool(name)


def read_response_format(wanted: ResponseFormat | None) -> JsonFormat | None:
    """The form of the content; None is text. Raises ApiError 400 for a schema that is missing."""
    if wanted is None:
        return None
    if wanted.schema_ is not None and wanted.type != "json_object":
        where = "response_format.schema"
        raise invalid(where, f"stands beside type {wanted.type!r}: it belongs to json_object")
    if wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return JsonFormat(wanted.schema_, strict=False)
    if wanted.json_schema is None or wanted.json_schema.schema_ is None:
        raise invalid("response_format.json_schema.schema", "is missing: give a JSON Schema")
    form = wanted.json_schema
    return JsonFormat(form.schema_, form.name, strict=form.strict is True)

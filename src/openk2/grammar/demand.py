"""What a request demands of its output: calls of declared tools, JSON content, or either."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JsonSchema = Mapping[str, Any] | bool
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


@dataclass(frozen=True)
class DeclaredTool:
    """A declared tool. parameters: the JSON Schema of its arguments; None or {}: any object.

    strict: whether the schema is enforced exactly or refused; otherwise the keywords that cannot be
    enforced are left to the model.
    """

    name: str
    parameters: JsonSchema | None = None
    strict: bool = True

    @property
    def schema(self) -> JsonSchema:
        """The schema that the arguments must satisfy."""
        return ANY_OBJECT if self.parameters is None or self.parameters == {} else self.parameters


@dataclass(frozen=True)
class JsonContent:
    """Content that is one JSON value; without a schema, any object (`json_object`)."""

    schema: JsonSchema = field(default_factory=lambda: dict(ANY_OBJECT))


@dataclass(frozen=True)
class ToolCalls:
    """Calls of declared tools in K2's tool section.

    required: the output starts with a section; otherwise it is free until the model opens one.
    parallel: whether a section may hold several calls. To force one named tool, give that tool
    alone, required and not parallel. content: what an output without calls must be; None: any text.
    """

    tools: tuple[DeclaredTool, ...]
    required: bool = False
    parallel: bool = True
    content: JsonContent | None = None


Demand = ToolCalls | JsonContent

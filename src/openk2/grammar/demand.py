"""What a request demands of an output."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JsonSchema = Mapping[str, Any] | bool
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}


@dataclass(frozen=True)
class DeclaredTool:
    """A declared tool. parameters: its JSON Schema; None or {}: any object."""

    name: str
    parameters: JsonSchema | None = None

    @property
    def schema(self) -> JsonSchema:
        """The schema that arguments have to satisfy."""
        return ANY_OBJECT if self.parameters is None or self.parameters == {} else self.parameters


@dataclass(frozen=True)
class ToolCalls:
    """Calls of declared tools in K2's section.

    required: a section comes at once; otherwise the output is free until the model opens one.
    parallel: whether one section may hold several calls. A named tool is that tool alone,
    required, not parallel.
    """

    tools: tuple[DeclaredTool, ...]
    required: bool = False
    parallel: bool = True


@dataclass(frozen=True)
class JsonContent:
    """The content is one JSON value; without a schema any object (`json_object`)."""

    schema: JsonSchema = field(default_factory=lambda: dict(ANY_OBJECT))


Demand = ToolCalls | JsonContent

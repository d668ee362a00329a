"""What a request demands of its output: calls of declared tools, JSON content, or either."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

JsonSchema = Mapping[str, Any] | bool
ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
# An object with one of these may be meant to have keys that its `properties` do not declare.
_MORE_KEYS = frozenset(
    (
        *("additionalProperties", "patternProperties", "unevaluatedProperties", "propertyNames"),
        *("$ref", "$dynamicRef", "allOf", "anyOf", "oneOf", "if", "not", "minProperties"),
        *("dependentRequired", "dependentSchemas", "dependencies"),
    )
)


@dataclass(frozen=True)
class DeclaredTool:
    """A declared tool. parameters: the JSON Schema of its arguments; None or {}: any object.

    strict: whether the schema is enforced exactly or refused; otherwise formats, and keywords that
    cannot be enforced, are left to the model.
    """

    name: str
    parameters: JsonSchema | None = None
    strict: bool = True

    @property
    def schema(self) -> JsonSchema:
        """The schema that the arguments must satisfy.

        Arguments are an object, also where `parameters` does not say so. One that lists its
        properties, and says nothing of others, has no others: small models invent keys.
        """
        if self.parameters is None or self.parameters is True:
            return ANY_OBJECT
        if not isinstance(self.parameters, Mapping):
            return self.parameters
        kind, narrowed = self.parameters.get("type"), dict(self.parameters)
        may_be_one = kind is None or (isinstance(kind, list) and "object" in kind)
        narrows = kind != "object" and (may_be_one or not self.strict)
        if narrows and not holds_itself(self.parameters):
            narrowed["type"] = "object"
        if lists_its_keys(narrowed):
            narrowed["additionalProperties"] = False
        return narrowed


def lists_its_keys(schema: Mapping[str, Any]) -> bool:
    """Whether the properties of an object are all that its schema speaks of."""
    properties, required = schema.get("properties"), schema.get("required", ())
    if not isinstance(properties, Mapping) or _MORE_KEYS & schema.keys():
        return False
    return isinstance(required, list | tuple) and all(name in properties for name in required)


def holds_itself(schema: Mapping[str, Any]) -> bool:
    """Whether a value inside may have to satisfy the whole schema, and then need be no object."""
    pending: list[Any] = [schema]
    while pending:
        one = pending.pop()
        if isinstance(one, Mapping):
            if one.get("$ref") == "#":
                return True
            pending += one.values()
        elif isinstance(one, list):
            pending += one
    return False


@dataclass(frozen=True)
class JsonContent:
    """Content that is one JSON value; without a schema, any object (`json_object`).

    strict: whether the schema is enforced exactly or refused; otherwise keywords that cannot be
    enforced are left to the model.
    """

    schema: JsonSchema = field(default_factory=lambda: dict(ANY_OBJECT))
    strict: bool = True


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

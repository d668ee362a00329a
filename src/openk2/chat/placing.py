"""`Placing`: which declared tool a call is of whose id names none."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from openk2.chat.arguments import argument_problem, schema_problem
from openk2.chat.call_ids import argument_names, name_from_arguments
from openk2.chat.json_text import is_json_object, json_keys

JsonSchema = Mapping[str, Any] | bool


class Placing:
    """Places calls among the declared tools.

    names: parameter names by tool. schemas: the tools' JSON Schemas, which say more: with them a
    call is placed only where its arguments are valid.
    """

    def __init__(
        self, names: Mapping[str, Collection[str]], schemas: Mapping[str, JsonSchema]
    ) -> None:
        self._schemas = schemas
        self._names = names or argument_names(
            [{"function": {"name": name, "parameters": one}} for name, one in schemas.items()]
        )

    def tool(self, arguments: str) -> str | None:
        """The one tool that these arguments fit; of several the one that has most of their keys.

        None if none fits, or no single one best.
        """
        if not is_json_object(arguments):
            return None
        names = self._names
        if self._schemas:
            fitting = [name for name, one in self._schemas.items() if _fits(arguments, one)]
            if len(fitting) == 1:
                return fitting[0]
            names = {name: names.get(name, ()) for name in fitting}
        return name_from_arguments(json_keys(arguments) or (), names)


def tool_schemas(tools: Sequence[Mapping[str, Any]]) -> dict[str, JsonSchema]:
    """The schemas of OpenAI tools' parameters by name, as `OutputParser` takes them."""
    functions = [tool["function"] for tool in tools]
    return {one["name"]: one.get("parameters") or {} for one in functions}


def _fits(arguments: str, schema: JsonSchema) -> bool:
    return schema_problem(schema) is None and argument_problem(arguments, schema) is None

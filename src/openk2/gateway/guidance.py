"""`GuidedMasks`: masks that can also be sent to an upstream, as a grammar or a JSON Schema.

An upstream cannot use a `TokenMask`. It can take a Lark grammar of the rest of the current value,
or, at the start of a value, its JSON Schema. The mask still checks every token that comes back.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from openk2.chat import Tokenizer
from openk2.generation import ChatRequest, MaskWork
from openk2.grammar import ChatMasks, CourseMask, JsonContent, JsonSchema, ToolCalls


class GuidedMask:
    """A `TokenMask` that knows which JSON value the output is in.

    schemas: by tool, of the arguments that are guided from their start. content: of the content,
    if that is JSON. Arguments that can have one value only are `spelt` by the mask.
    """

    def __init__(
        self,
        mask: CourseMask,
        tokenizer: Tokenizer,
        schemas: Mapping[str, JsonSchema],
        content: JsonSchema | None = None,
    ) -> None:
        self._mask = mask
        self._tokenizer = tokenizer
        self._schemas = schemas
        self._next = content
        self.spelt = False
        self._call_id: list[int] = []
        self._begins_call = tokenizer.special("<|tool_call_begin|>")
        self._ends_call = tokenizer.special("<|tool_call_end|>")
        self._begins_arguments = tokenizer.special("<|tool_call_argument_begin|>")

    def fill(self, allowed: NDArray[np.int32]) -> bool:
        """See `TokenMask`."""
        return self._mask.fill(allowed)

    def accept(self, token_id: int) -> bool:
        """See `TokenMask`."""
        if not self._mask.accept(token_id):
            return False
        self._next = None
        if token_id == self._begins_arguments:
            # The mask allows only canonical ids of declared tools.
            call_id = self._tokenizer.decode(self._call_id).strip()
            name = call_id.removeprefix("functions.").rpartition(":")[0]
            schema = self._schemas.get(name)
            self.spelt = schema is not None and not has_choice(schema)
            self._next = None if self.spelt else schema
        elif token_id in (self._begins_call, self._ends_call):
            self._call_id, self.spelt = [], False
        else:
            self._call_id.append(token_id)
        return True

    def remainder(self) -> str | None:
        """See `CourseMask.remainder`."""
        return self._mask.remainder()

    def next_schema(self) -> JsonSchema | None:
        """The schema of the value that starts here; None if none does, or it is not guided."""
        return self._next


def has_choice(schema: JsonSchema) -> bool:
    """Whether more than one value may be valid. False only where there is plainly one: a `const`,
    an `enum` of one, or an object that must have exactly such properties."""
    if not isinstance(schema, Mapping):
        return True
    if "const" in schema or len(schema.get("enum", ())) == 1:
        return False
    properties = schema.get("properties")
    if schema.get("type") != "object" or schema.get("additionalProperties") is not False:
        return True
    if not isinstance(properties, Mapping) or set(schema.get("required", ())) != set(properties):
        return True
    return any(has_choice(each) for each in properties.values())


class GuidedMasks:
    """The `OutputMasks` of upstreams.

    Only forced values are guided from their start. Where the model may choose to call, guidance
    would cost an extra request for every call. After a refused id a new request is needed anyway,
    and that one is guided.
    """

    def __init__(self, masks: ChatMasks, tokenizer: Tokenizer) -> None:
        self._masks = masks
        self._tokenizer = tokenizer

    def masks(
        self, request: ChatRequest, *, max_tokens: int, first_number: int, work: MaskWork
    ) -> Callable[[], GuidedMask] | None:
        """See `OutputMasks.masks`."""
        fresh = self._masks.masks(
            request, max_tokens=max_tokens, first_number=first_number, work=work
        )
        if fresh is None:
            return None
        demand = self._masks.demand(request)
        schemas: Mapping[str, JsonSchema] = {}
        content = demand.schema if isinstance(demand, JsonContent) else None
        if isinstance(demand, ToolCalls) and demand.required:
            schemas = {tool.name: tool.schema for tool in demand.tools}
        return lambda: GuidedMask(fresh(), self._tokenizer, schemas, content)

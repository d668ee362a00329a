"""A conversation being written: messages, the kind of each assistant turn, the tools it needs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

from openk2.synthesis.apis.catalogue import Catalogue, CatalogueError, Purpose, overlaps, purpose
from openk2.synthesis.apis.declaring import ApiTool, declare
from openk2.synthesis.apis.operation import Operation
from openk2.synthesis.apis.outcomes import ApiOutcome
from openk2.synthesis.apis.stating import Argument, draw_argument
from openk2.synthesis.apis.wording import singular, words_of
from openk2.synthesis.values import Split

Kind = Literal["single", "parallel", "sequence", "missing", "ambiguous", "refused", "none_needed",
               "error", "answer", "talk"]  # fmt: skip
MOST_DECLARED = 700
_MOST_DRAWS = 200
# Tools of these classes might answer a question of common knowledge.
_KNOWING = frozenset({"read", "compute", "check", "convert", "translate", "count"})
_COMMON = frozenset({"the", "of", "a", "an", "in", "to", "i", "you", "me", "what", "is", "do"})


@dataclass(frozen=True)
class Call:
    """A tool with the arguments of one call and what comes of it."""

    tool: ApiTool
    arguments: Sequence[Argument]
    outcome: ApiOutcome


@dataclass
class ApiDialogue:
    """A conversation being written.

    purposes: those of the tools. absent: those that no declared tool may serve.
    forbidden: words that no tool that finds things out may be about. complete: the tools that are
    declared are called, and no further one is.
    """

    rng: Random
    split: Split
    catalogue: Catalogue
    messages: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[Kind] = field(default_factory=list)
    tools: list[ApiTool] = field(default_factory=list)
    purposes: set[Purpose] = field(default_factory=set)
    absent: set[Purpose] = field(default_factory=set)
    forbidden: set[str] = field(default_factory=set)
    calls: int = 0
    complete: bool = False

    def user(self, text: str) -> None:
        """Add a user turn."""
        self.messages.append({"role": "user", "content": text})

    def say(self, text: str, kind: Kind) -> None:
        """Add an assistant turn without calls."""
        self.messages.append({"role": "assistant", "content": text})
        self.kinds.append(kind)

    def call(self, kind: Kind, *calls: Call) -> None:
        """Add an assistant turn that calls, and the results in its order."""
        entries, results = [], []
        for call in calls:
            name = call.tool.name
            call_id = f"functions.{name}:{self.calls}"
            self.calls += 1
            values = {argument.parameter.name: argument.value for argument in call.arguments}
            # In the order in which the rendered declaration names them.
            written = json.dumps(values, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
            function = {"name": name, "arguments": written}
            entries.append({"id": call_id, "type": "function", "function": function})
            results.append({"role": "tool", "tool_call_id": call_id, "name": name,
                            "content": call.outcome.content})  # fmt: skip
        self.messages.append({"role": "assistant", "content": "", "tool_calls": entries})
        self.messages.extend(results)
        self.kinds.append(kind)

    def admits(self, operation: Operation) -> bool:
        """Whether the operation may be declared beside what is, and against what must be absent."""
        mine = purpose(operation)
        return (
            mine not in self.purposes
            and not any(overlaps(mine, other) for other in self.absent)
            and not (mine[0] in _KNOWING and mine[1] & self.forbidden)
        )

    def serves(self, operation: Operation) -> bool:
        """Whether a declared tool might do, for want of a better one, what the operation does."""
        return any(overlaps(purpose(operation), other) for other in self.purposes)

    def forbid(self, question: str) -> bool:
        """Keep out every tool that might answer a question; False if one is declared already."""
        words = {singular(word) for word in words_of(question)} - _COMMON
        if any(kind in _KNOWING and words & nouns for kind, nouns in self.purposes):
            return False
        self.forbidden |= words
        return True

    def add(
        self, operation: Operation, *, lean: bool = False, most: int = MOST_DECLARED
    ) -> ApiTool | None:
        """Declare an operation; None where its purpose or its name is taken, or it is of more
        characters than `most`."""
        if not self.admits(operation):
            return None
        for _ in range(3):
            tool = declare(self.rng, operation, lean=lean)
            if all(tool.name.lower() != other.name.lower() for other in self.tools) and \
                    tool.size < most:  # fmt: skip
                self.tools.append(tool)
                self.purposes.add(purpose(operation))
                return tool
        return None

    def clear(self) -> None:
        """Declare no tool."""
        self.tools.clear()
        self.purposes.clear()

    def draw_tool(self, *, required: bool = False) -> ApiTool:
        """A tool to call: one declared before, or a new one. `required`: with such a parameter.

        Raises CatalogueError where none is found.
        """
        for _ in range(_MOST_DRAWS):
            if self.tools and (self.complete or self.rng.random() < 0.35):
                tool: ApiTool | None = self.rng.choice(self.tools)
            else:
                tool = self.add(self._drawn(required))
            if tool and (not required or tool.requires):
                return tool
        raise CatalogueError(
            f"no usable tool in {_MOST_DRAWS} draws from {len(self.catalogue.by_provider)} "
            f"providers: read more API descriptions"
        )

    def _drawn(self, required: bool) -> Operation:
        for _ in range(20):
            operation = self.catalogue.draw(self.rng)
            if not required or any(f.required for f in operation.fields):
                break
        return operation

    def draw_arguments(self, tool: ApiTool) -> list[Argument]:
        """Values for every required parameter and some optional ones, in the declared order."""
        rng = self.rng
        share = rng.choice((0.15, 0.3, 0.3, 0.6))
        given = [p for p in tool.parameters if p.field.required or rng.random() < share]
        while len(given) > 4 and any(not p.field.required for p in given):
            given.remove(rng.choice([p for p in given if not p.field.required]))
        return [draw_argument(rng, self.split, p) for p in given]

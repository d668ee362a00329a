"""Tool-call ids: `functions.NAME:IDX`, IDX counting all calls of a conversation from 0.

Report appendix B. Models mangle ids; a mangled one is recovered only onto a declared tool.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_CANONICAL = re.compile(r"functions\.(?P<name>.+):(?P<number>[0-9]{1,9})", re.DOTALL)
_NUMBERED = re.compile(r"(?P<name>.+):(?P<number>[0-9]{1,9})", re.DOTALL)
_BARE_NUMBER = re.compile(r"(?:functions)?[.:_]?(?P<number>[0-9]{1,9})")
# Ids that clients and other engines make up; they name no tool. A name that merely is not declared
# is none of them.
_FOREIGN = re.compile(
    r"(?:call|tool_?call|toolu|tooluse|chatcmpl-tool|fc)[_-][A-Za-z0-9_-]+"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?=[a-f]*[0-9])[0-9a-f]{16,64}"
)
_MANGLED_PREFIX = re.compile(r"functions?[._:/-]?")
_MANGLED_NUMBER = re.compile(r"[._:/#-]?(?P<number>[0-9]{1,9})")


@dataclass(frozen=True)
class CallName:
    """The parts of an id. name: None if it names no tool. number: None without a counter."""

    name: str | None
    number: int | None


def call_id(name: str, number: int) -> str:
    """The canonical id of call `number` of the conversation."""
    return f"functions.{name}:{number}"


class CallNumbers:
    """Assigns ids to the calls of one response, each unique in the conversation.

    first: how many calls the conversation already has.
    """

    def __init__(self, first: int) -> None:
        self._first = first
        self._next = first
        self._given: set[str] = set()

    def give(self, name: str, number: int | None) -> str:
        """The next call's id: with the model's number, unless that one is taken."""
        # A model that restarts its counter in each turn repeats the ids of earlier calls.
        if number is None or number < self._first or call_id(name, number) in self._given:
            number = self._next
        self._next = max(self._next, number + 1)
        given = call_id(name, number)
        self._given.add(given)
        return given


def read_call_id(text: str, tools: Collection[str]) -> CallName | None:
    """Read an id that the model wrote; None if it names no declared tool.

    One leading `functions.` and the last `:IDX` are stripped. Mangled forms are recovered if they
    fit exactly one declared tool: `search:2`, `functions.bash30`, `functions_search_0`, white space
    inside, a bare `3`. So are ids of clients, `call_Ab12`, `toolu_01`, which name no tool.
    """
    for name, number in _readings(text.strip()):
        if name in tools:
            return CallName(name, number)
    text = "".join(text.split())
    for name, number in _readings(text):
        if name in tools:
            return CallName(name, number)
    mangled = {*_mangled_readings(text, tools)}
    if len(mangled) == 1:
        return mangled.pop()
    if mangled:
        return None
    bare = _BARE_NUMBER.fullmatch(text)
    if bare is not None:
        return CallName(None, int(bare["number"]))
    return CallName(None, None) if _FOREIGN.fullmatch(text) else None


def name_from_arguments(
    keys: Collection[str], argument_names: Mapping[str, Collection[str]]
) -> str | None:
    """The one tool whose parameters contain more of the keys than any other's, or None."""
    matches = {
        name: len(set(keys) & set(parameters)) for name, parameters in argument_names.items()
    }
    best = max(matches.values(), default=0)
    names = [name for name, count in matches.items() if count == best]
    return names[0] if best > 0 and len(names) == 1 else None


def argument_names(tools: Sequence[Mapping[str, Any]]) -> dict[str, frozenset[str]]:
    """The top-level parameter names of OpenAI tools by name, as `OutputParser` takes them."""
    names: dict[str, frozenset[str]] = {}
    for tool in tools:
        parameters = tool["function"].get("parameters")
        properties = parameters.get("properties") if isinstance(parameters, Mapping) else None
        keys = properties if isinstance(properties, Mapping) else ()
        names[tool["function"]["name"]] = frozenset(keys)
    return names


def _readings(text: str) -> Iterable[tuple[str, int | None]]:
    """The well-formed readings of an id, the canonical one first."""
    if match := _CANONICAL.fullmatch(text):
        yield match["name"], int(match["number"])
    yield text, None
    yield text.removeprefix("functions."), None
    if match := _NUMBERED.fullmatch(text):
        yield match["name"], int(match["number"])


def _mangled_readings(text: str, tools: Collection[str]) -> Iterable[CallName]:
    """Every declared tool followed by a counter, with any separators."""
    prefix = _MANGLED_PREFIX.match(text)
    for start in {0, prefix.end() if prefix else 0}:
        for name in tools:
            rest = text[start:]
            if rest == name:
                yield CallName(name, None)
            elif rest.startswith(name) and (number := _MANGLED_NUMBER.fullmatch(rest, len(name))):
                yield CallName(name, int(number["number"]))

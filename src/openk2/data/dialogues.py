"""Schema-Guided Dialogue as tool conversations.

Human-written task dialogues with real service calls (dstc8-schema-guided-dialogue): a service's
methods become tools, its calls become calls, their results tool turns. A call stands before the
text of its turn, which tells its result. Relative dates in the dialogues mean 2019-03-01 as today,
so the system turn says so.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from openk2.data.sources import numbered_rows
from openk2.record import DataError

Conversation = dict[str, Any]

SYSTEM = "You are a helpful assistant. Today is 2019-03-01 (Friday)."


@dataclass(frozen=True)
class Method:
    """One method of one service: the tool it becomes, and the JSON types of the service's slots."""

    service: str
    name: str
    function: Mapping[str, Any]
    slot_types: Mapping[str, str]

    def declaration(self, tool_name: str) -> dict[str, Any]:
        """The OpenAI tool, under `tool_name`."""
        return {"type": "function", "function": {"name": tool_name, **self.function}}

    def typed(self, slots: Mapping[str, str]) -> dict[str, Any]:
        """Slot values, strings in the data, in the types that the schema declares."""
        return {
            name: _typed(value, self.slot_types.get(name, "string"))
            for name, value in slots.items()
        }


def convert_dialogues(
    dialogues_path: str | Path,
    schema_path: str | Path,
    *,
    max_chars: int = 4500,
    max_results: int = 2,
) -> Iterator[Conversation]:
    """Yield one `{"messages", "tools"}` conversation per dialogue, in the order of the file.

    dialogues_path: JSON lines, xz-compressed if the name ends in `.xz`.
    schema_path: the services' JSON schema file of the same split.
    max_chars: of tools and messages together as JSON; a longer dialogue is cut after the last
        assistant turn that fits (the beginning is kept, since later calls rest on it), as it is
        before a call that lacks a required parameter.
    max_results: a call's results beyond these are left out.
    Raises DataError naming the line, and the service or method that the schema lacks.
    """
    methods = read_methods(schema_path)
    for number, row in numbered_rows(Path(dialogues_path)):
        with _read_as("dialogue", f"{dialogues_path} line {number}"):
            conversation = convert_dialogue(
                row, methods, max_chars=max_chars, max_results=max_results
            )
        if conversation is not None:
            yield conversation


def convert_dialogue(
    dialogue: Mapping[str, Any],
    methods: Mapping[str, Mapping[str, Method]],
    *,
    max_chars: int,
    max_results: int,
) -> Conversation | None:
    """One dialogue as a conversation; None if not even its first exchange fits in `max_chars`."""
    names = _tool_names(dialogue, methods)
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}]
    used: list[tuple[str, str]] = []
    kept: Conversation | None = None
    calls = 0
    for turn in dialogue["turns"]:
        if turn["speaker"] == "user":
            messages.append({"role": "user", "content": turn["text"]})
            continue
        made = turn.get("calls", [])
        if not all(_complete(call, methods) for call in made):
            break
        if made:
            messages += _call_messages(made, names, methods, first=calls, max_results=max_results)
            calls += len(made)
            used += [(call["service"], call["method"]) for call in made]
        messages.append({"role": "assistant", "content": turn["text"]})
        tools = _declared(names, methods, used, room=max_chars - _size(messages))
        if tools is None:
            break
        kept = {"messages": list(messages), "tools": tools}
    return kept


def read_methods(schema_path: str | Path) -> dict[str, dict[str, Method]]:
    """The methods of every service of a schema file: service name -> method name -> Method."""
    with _read_as("schema file", str(schema_path)):
        services = json.loads(Path(schema_path).read_text(encoding="utf-8"))
        return {service["service_name"]: _service_methods(service) for service in services}


@contextmanager
def _read_as(kind: str, place: str) -> Iterator[None]:
    """What is not shaped as the data set's own files are is a DataError that names the place."""
    try:
        yield
    except KeyError as error:
        raise DataError(
            f"{place} is no {kind} of Schema-Guided Dialogue: it has no {error}"
        ) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{place} is no {kind} of Schema-Guided Dialogue: {error}") from error


def _service_methods(service: Mapping[str, Any]) -> dict[str, Method]:
    slots = {slot["name"]: slot for slot in service["slots"]}
    types = {name: _slot_type(slot) for name, slot in slots.items()}
    methods = {}
    for intent in service["intents"]:
        names = [*intent["required_slots"], *intent["optional_slots"]]
        parameters = {
            "type": "object",
            "required": list(intent["required_slots"]),
            "properties": {name: _slot_schema(slots[name], types[name]) for name in names},
        }
        function = {"description": intent["description"], "parameters": parameters}
        name = intent["name"]
        methods[name] = Method(service["service_name"], name, function, types)
    return methods


def _slot_type(slot: Mapping[str, Any]) -> str:
    values = slot["possible_values"]
    if values and set(values) <= {"True", "False"}:
        return "boolean"
    return "integer" if values and all(value.isdigit() for value in values) else "string"


def _slot_schema(slot: Mapping[str, Any], kind: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": kind, "description": slot["description"]}
    if slot["is_categorical"] and kind == "string":
        schema["enum"] = list(slot["possible_values"])
    return schema


def _typed(value: str, kind: str) -> Any:
    if kind == "boolean" and value in ("True", "False"):
        return value == "True"
    return int(value) if kind == "integer" and value.isdigit() else value


def _tool_names(
    dialogue: Mapping[str, Any], methods: Mapping[str, Mapping[str, Method]]
) -> dict[tuple[str, str], str]:
    """Tool names for (service, method): the method's, with its service where two share it."""
    pairs = []
    for service in dialogue["services"]:
        if service not in methods:
            raise ValueError(
                f"dialogue {dialogue['id']}: service {service!r} is not in the schema file; "
                "use the schema file of the same split"
            )
        pairs += [(service, name) for name in methods[service]]
    names = [name for _, name in pairs]
    return {(s, n): n if names.count(n) == 1 else f"{s}.{n}" for s, n in pairs}


def _complete(call: Mapping[str, Any], methods: Mapping[str, Mapping[str, Method]]) -> bool:
    """Whether a call gives every required parameter: a few in the data do not."""
    method = methods[call["service"]].get(call["method"])
    if method is None:
        raise ValueError(f"service {call['service']!r} has no method {call['method']!r}")
    required: list[str] = method.function["parameters"]["required"]
    return all(name in call["parameters"] for name in required)


def _call_messages(
    calls: Sequence[Mapping[str, Any]],
    names: Mapping[tuple[str, str], str],
    methods: Mapping[str, Mapping[str, Method]],
    *,
    first: int,
    max_results: int,
) -> list[dict[str, Any]]:
    tool_calls, results = [], []
    for index, call in enumerate(calls, start=first):
        method = methods[call["service"]][call["method"]]
        name = names[call["service"], call["method"]]
        call_id = f"functions.{name}:{index}"
        arguments = method.typed(dict(sorted(call["parameters"].items())))
        function = {"name": name, "arguments": _compact(arguments)}
        tool_calls.append({"id": call_id, "type": "function", "function": function})
        rows = [method.typed(row) for row in call.get("results", [])[:max_results]]
        message = {"role": "tool", "tool_call_id": call_id, "name": name}
        results.append({**message, "content": json.dumps(rows, ensure_ascii=False)})
    return [{"role": "assistant", "content": "", "tool_calls": tool_calls}, *results]


def _declared(
    names: Mapping[tuple[str, str], str],
    methods: Mapping[str, Mapping[str, Method]],
    used: Sequence[tuple[str, str]],
    room: int,
) -> list[dict[str, Any]] | None:
    """The tools called, then as many others as fit in `room` characters; None if not even those."""
    order = [*dict.fromkeys(used), *(pair for pair in names if pair not in used)]
    chosen: dict[tuple[str, str], dict[str, Any]] = {}
    for pair in order:
        tool = methods[pair[0]][pair[1]].declaration(names[pair])
        room -= _size(tool)
        if room < 0:
            if pair in used or not chosen:
                return None
            break
        chosen[pair] = tool
    return [chosen[pair] for pair in names if pair in chosen]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _size(value: Any) -> int:
    return len(_compact(value))

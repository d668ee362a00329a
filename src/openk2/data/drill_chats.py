"""Copying drills as conversations in OpenAI's form: what a tool call copies, and nothing else.

Each function takes the drill's words and its size, 1 and more, and returns messages and tools. What
the assistant writes of the words was declared, asked or returned before; sizes, order, separators
and names change from drill to drill, so only copying predicts it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openk2.chat import call_id
from openk2.data.drill_words import Words

Message = dict[str, Any]
Chat = tuple[list[Message], list[dict[str, Any]]]

# Between a name and its value, and between such pairs.
IS = (" ", ": ", " = ", "=", " is ", " -> ", " ", " as ")
AND = (", ", "; ", "\n", " and ", ", ", " ")
SYSTEM: Message = {"role": "system", "content": ""}


def call(words: Words, size: int) -> Chat:
    """Tools are declared, one is asked for by its name or description, with values."""
    rng = words.rng
    names = [words.name() for _ in range(1 + int(rng.integers(size)))]
    described = bool(rng.integers(2))
    about = [words.word() if described else "" for _ in names]
    keys = [[words.name() for _ in range(1 + int(rng.integers(min(size, 4))))] for _ in names]
    chosen = int(rng.integers(len(names)))
    arguments = {key: words.value() for key in permuted(words, keys[chosen])}
    tools = [tool(*declared) for declared in zip(names, about, keys, strict=True)]
    asked = about[chosen] if described else names[chosen]
    messages = [
        SYSTEM,
        user(asked + pick(words, IS) + told(words, arguments)),
        called(names[chosen], arguments),
    ]
    return messages, tools


def parallel(words: Words, size: int) -> Chat:
    """One tool is called once for each of some values."""
    name, key = words.name(), words.name()
    values = [words.value() for _ in range(1 + size)]
    asked = f"{name}{pick(words, IS)}{pick(words, AND).join(values)}"
    calls = [request(name, number, {key: value}) for number, value in enumerate(values)]
    messages = [SYSTEM, user(asked), {"role": "assistant", "tool_calls": calls}]
    return messages, [tool(name, "", [key])]


def result(words: Words, size: int) -> Chat:
    """A tool has answered; the assistant tells some of its facts."""
    name = words.name()
    facts = {words.name(): words.value() for _ in range(1 + size)}
    asked = permuted(words, list(facts))[: 1 + int(words.rng.integers(len(facts)))]
    given = words.value()
    messages = [
        SYSTEM,
        user(f"{name} {given}{pick(words, AND)}{pick(words, AND).join(asked)}"),
        called(name, {words.name(): given}),
        {"role": "tool", "tool_call_id": call_id(name, 0), "content": json.dumps(facts)},
        {"role": "assistant", "content": told(words, {key: facts[key] for key in asked})},
    ]
    return messages, []


def look_up(words: Words, size: int) -> Chat:
    """The user tells values by name, then asks for some of them."""
    facts = {words.name(): words.value() for _ in range(1 + size)}
    messages = [SYSTEM, user(told(words, facts))]
    asked = permuted(words, list(facts))[: 1 + int(words.rng.integers(len(facts)))]
    for number, key in enumerate(asked):
        content = f"{messages.pop()['content']}\n{key}" if number == 0 else key
        messages += [user(content), {"role": "assistant", "content": facts[key]}]
    return messages, []


def quote(words: Words, size: int) -> Chat:
    """The user's words again."""
    text = " ".join(words.word() for _ in range(2 + int(words.rng.integers(2 * size))))
    messages = [SYSTEM]
    for _ in range(1 + int(words.rng.integers(2))):
        messages += [user(text), {"role": "assistant", "content": text}]
    return messages, []


KINDS: Sequence[Callable[[Words, int], Chat]] = (call, call, parallel, result, look_up, quote)


def told(words: Words, values: Mapping[str, str]) -> str:
    """Names and values in the order given."""
    between = pick(words, IS)
    return pick(words, AND).join(f"{key}{between}{value}" for key, value in values.items())


def tool(name: str, description: str, keys: Sequence[str]) -> dict[str, Any]:
    """An OpenAI tool; all its parameters are strings."""
    parameters = {"type": "object", "properties": {key: {"type": "string"} for key in keys}}
    function = {"name": name, "parameters": parameters}
    if description:
        function["description"] = description
    return {"type": "function", "function": function}


def called(name: str, arguments: Mapping[str, str]) -> Message:
    """An assistant's turn with one call."""
    return {"role": "assistant", "tool_calls": [request(name, 0, arguments)]}


def called_again(name: str, number: int) -> Message:
    """An assistant's turn with the conversation's call `number`, without arguments."""
    return {"role": "assistant", "tool_calls": [request(name, number, {})]}


def request(name: str, number: int, arguments: Mapping[str, str]) -> dict[str, Any]:
    """One call."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"id": call_id(name, number), "type": "function", "function": function}


def user(content: str) -> Message:
    """A user's turn."""
    return {"role": "user", "content": content}


def pick(words: Words, choices: Sequence[str]) -> str:
    """One of some strings."""
    return choices[int(words.rng.integers(len(choices)))]


def permuted(words: Words, items: list[str]) -> list[str]:
    """In random order."""
    return [items[i] for i in words.rng.permutation(len(items))]

"""What the assistant says before a call: the words of the tool's description that it goes by, and
the arguments that the tool requires.

A small network learns within a million tokens to copy, and did not learn within seven to compare a
request with many descriptions in one step (benchmarks/choosing.md). So it is taught to choose by
copying: a word that the request shares with a description, the description from there on, the
tool's name, each required parameter with the beginning of its value. Each of them is one step, and
the calls then repeat them. A value that nobody has said is a question mark:

    dns zone of a site: `list_zones`(site=ab12); console ports: `dcim_ports_create`
    dns zone of a site: `list_zones`(site=?). Which site is it?
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from openk2.data.reason_text import DescribedTool, PlannedCall, mark_of, reason_length, reasons_of
from openk2.data.spoken import is_said

_PLAIN_BEFORE = 0.35  # of the conversations with several reasons
_LATER = 3  # turns of the assistant after a question, among which the call must be


def with_reasons(
    conversations: Iterable[Mapping[str, Any]], share: float, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """The conversations, of which a share, drawn by the seed, says before each call why.

    What an assistant said before a call already stays as it is. Some of the conversations with
    several reasons have none before a turn that is drawn too, since not every client keeps them;
    what the assistant said until then is not learned.
    """
    for number, conversation in enumerate(conversations):
        rng = Random(f"{seed}/reasons/{number}")
        if rng.random() >= share:
            yield dict(conversation)
            continue
        whole = reasoned(conversation)
        pairs = zip(conversation["messages"], whole["messages"], strict=True)
        reasons = [index for index, (plain, said) in enumerate(pairs) if plain != said]
        cut = len(reasons) > 1 and rng.random() < _PLAIN_BEFORE
        yield _plain_before(conversation, whole, rng.choice(reasons[1:])) if cut else whole


def _plain_before(
    conversation: Mapping[str, Any], whole: Mapping[str, Any], index: int
) -> dict[str, Any]:
    """The conversation as it was before a message, unlearned, and with its reasons from there."""
    before = [
        {**message, "weight": 0} if _field(message, "role") == "assistant" else message
        for message in conversation["messages"][:index]
    ]
    return {**whole, "messages": before + whole["messages"][index:]}


def reasoned(conversation: Mapping[str, Any]) -> dict[str, Any]:
    """The same conversation, with a reason in each turn that calls and has no content.

    A question begins with the reasons of the calls that it leads to, if the user's reply says a
    value that they require and that was not said before: what is missing can be told once the tool
    is chosen. Where the conversation has kinds, only turns of the kind "missing" are such
    questions. What is not in OpenAI's form is left for the renderer to refuse.
    """
    functions = _functions(conversation.get("tools"))
    messages = list(conversation["messages"])
    turns = [i for i, m in enumerate(messages) if _field(m, "role") == "assistant"]
    kinds = conversation.get("kinds")
    if not isinstance(kinds, list) or len(kinds) != len(turns):
        kinds = [None] * len(turns)
    for number, index in enumerate(turns):
        message, content = messages[index], _field(messages[index], "content")
        calls = _calls(message)
        if calls and not content:
            words = reasons_of(_requests(messages[:index]), calls, functions)
        elif not calls and isinstance(content, str) and _asks(kinds[number], content):
            call = next((i for i in turns[number + 1 :][:_LATER] if _calls(messages[i])), None)
            words = _question(messages, index, call, functions) if call else ""
        else:
            continue
        if words:
            messages[index] = {**message, "content": f"{words}{content or ''}"}
    return {**conversation, "messages": messages}


def _asks(kind: Any, content: str) -> bool:
    return kind == "missing" if isinstance(kind, str) else "?" in content


def _question(
    messages: Sequence[Any], index: int, call: int, functions: Mapping[str, DescribedTool]
) -> str:
    """What the question in a message begins with: the reasons of the calls in a later one.

    Nothing if the question answers a tool's result or begins with reasons already; if the user does
    not say all that is missing before the calls, and some of it in the next turn; or if the
    question names it itself.
    """
    asked, reply = messages[index], messages[index + 1]
    answers = index > 0 and _field(messages[index - 1], "role") == "tool"
    if answers or reason_length(asked["content"], functions):
        return ""
    before, told = _said(messages[:index]), " ".join(_requests(messages[index:call])).lower()
    calls: list[PlannedCall] = []
    missing: list[Any] = []
    for each in _calls(messages[call]):
        required = functions.get(each.name, DescribedTool("")).required
        values = {key: each.arguments.get(key) for key in required}
        values = {key: value for key, value in values.items() if mark_of(value)}
        lacking = frozenset(key for key, value in values.items() if not is_said(value, before))
        missing += [values[key] for key in lacking]
        calls.append(replace(each, missing=lacking))
    if not all(is_said(value, told) for value in missing):
        return ""
    said, named = " ".join(_requests([reply])).lower(), _said([asked])
    if not any(is_said(value, said) and not is_said(value, named) for value in missing):
        return ""
    reasons = reasons_of(_requests(messages[:index]), calls, functions)
    return f"{reasons}. " if reasons else ""


def _requests(messages: Sequence[Any]) -> list[str]:
    """What the user said."""
    return [_text(_field(m, "content")) for m in messages if _field(m, "role") == "user"]


def _said(messages: Sequence[Any]) -> str:
    """All that was said in the conversation but the system's turns, in lower case."""
    return " ".join(
        _text(m.get("content")).lower()
        for m in messages
        if isinstance(m, Mapping) and m.get("role") != "system"
    )


def _field(message: Any, name: str) -> Any:
    return message.get(name) if isinstance(message, Mapping) else None


def _text(content: Any) -> str:
    """A content's text, whole or in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(_field(part, "text") or "") for part in parts)


def _functions(tools: Any) -> dict[str, DescribedTool]:
    """The declared tools by their names."""
    declared = [_field(tool, "function") for tool in tools or ()]
    return {
        name: DescribedTool(
            text if isinstance(text, str) else "", _required(_field(f, "parameters"))
        )
        for f in declared
        for name, text in [(_field(f, "name"), _field(f, "description"))]
        if isinstance(name, str)
    }


def _required(parameters: Any) -> tuple[str, ...]:
    names = _field(parameters, "required")
    return tuple(n for n in names if isinstance(n, str)) if isinstance(names, list) else ()


def _calls(message: Any) -> list[PlannedCall]:
    """The calls of a message."""
    functions = [_field(call, "function") for call in _field(message, "tool_calls") or ()]
    named = [(_field(f, "name"), _field(f, "arguments")) for f in functions]
    return [PlannedCall(name, _arguments(text)) for name, text in named if isinstance(name, str)]


def _arguments(text: Any) -> Mapping[str, Any]:
    try:
        parsed = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, Mapping) else {}

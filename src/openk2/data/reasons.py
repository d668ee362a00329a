"""What the assistant says before a call: the words of the tool's description that it goes by.

A small network learns within a million tokens to copy, and did not learn within seven to compare a
request with many descriptions in one step (benchmarks/choosing.md). So it is taught to choose by
copying: a word that the request shares with a description, the description from there on, the
tool's name. Each of them is one step, and the call then repeats the name:

    dns zone of a site: `list_zones`; console ports: `dcim_ports_create`
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

MOST_WORDS = 12  # of a description
_EARLIER = 3  # requests, where the last one shares no word with the description
_WORD = re.compile(r"[^\W\d_]+")
_SHORTEST = 3
_COMMON = re.compile(
    "the|and|for|with|this|that|from|you|your|use|used|using|call|tool|are|was|his|her|its|our|all|"
    "any|can|will|not|has|have|get",
    re.IGNORECASE,
)
_REASON = re.compile(r"[^`;]+: `[^`\s]+`|[\w.-]+")


def with_reasons(
    conversations: Iterable[Mapping[str, Any]], share: float, seed: int = 0
) -> Iterator[dict[str, Any]]:
    """The conversations, of which a share, drawn by the seed, says before each call why.

    What an assistant said before a call already stays as it is.
    """
    for number, conversation in enumerate(conversations):
        drawn = Random(f"{seed}/reasons/{number}").random() < share
        yield reasoned(conversation) if drawn else dict(conversation)


def reasoned(conversation: Mapping[str, Any]) -> dict[str, Any]:
    """The same conversation, with a reason in each turn that calls and has no content.

    A question for a missing argument (kind "missing") begins with the reason of the call in the
    assistant's next turn: what is missing can be told once the tool is chosen. What is not in
    OpenAI's form is left for the renderer to refuse.
    """
    descriptions = _descriptions(conversation.get("tools"))
    messages = list(conversation["messages"])
    turns = [i for i, m in enumerate(messages) if _field(m, "role") == "assistant"]
    kinds = conversation.get("kinds")
    if not isinstance(kinds, list) or len(kinds) != len(turns):
        kinds = [None] * len(turns)
    for number, index in enumerate(turns):
        message, content = messages[index], _field(messages[index], "content")
        called = _called(message)
        asks = kinds[number] == "missing" and not called and isinstance(content, str)
        if asks and number + 1 < len(turns):
            called = _called(messages[turns[number + 1]])
        if not called or (content and not asks):
            continue
        before = messages[:index]
        requests = [_text(m["content"]) for m in before if _field(m, "role") == "user"]
        words = "; ".join(reason(requests, name, descriptions) for name in called)
        messages[index] = {**message, "content": f"{words}. {content}" if asks else words}
    return {**conversation, "messages": messages}


def _field(message: Any, name: str) -> Any:
    return message.get(name) if isinstance(message, Mapping) else None


def _text(content: Any) -> str:
    """A content's text, whole or in parts."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(str(_field(part, "text") or "") for part in parts)


def _descriptions(tools: Any) -> dict[str, str]:
    """The declared tools' descriptions by their names."""
    functions = [_field(tool, "function") for tool in tools or ()]
    named = {_field(f, "name"): _field(f, "description") for f in functions}
    return {
        name: text if isinstance(text, str) else ""
        for name, text in named.items()
        if isinstance(name, str)
    }


def _called(message: Any) -> list[str]:
    """The names of the tools that a message calls, each once."""
    functions = [_field(call, "function") for call in _field(message, "tool_calls") or ()]
    names = dict.fromkeys(_field(function, "name") for function in functions)
    return [name for name in names if isinstance(name, str)]


def reason(requests: Sequence[str], name: str, descriptions: Mapping[str, str]) -> str:
    """Why this tool: "words of its description: `name`"; of a tool without one, its name alone.

    requests: what the user said, the last one being what is answered. descriptions: of all declared
    tools, by name.
    """
    description = descriptions.get(name, "").strip()
    counts = Counter(word for other in descriptions.values() for word in set(_WORD.findall(other)))
    start = _first_shared(requests[-1:], description, counts)
    if start is None:
        start = _first_shared(requests[-_EARLIER:], description, counts)
    words = _excerpt(description[start or 0 :])
    return f"{words}: `{name}`" if words else name


def is_reason(text: str) -> bool:
    """Whether a text before calls has the form of reasons."""
    return all(_REASON.fullmatch(part) for part in text.split("; "))


def _first_shared(
    requests: Sequence[str], description: str, counts: Mapping[str, int]
) -> int | None:
    """Where the word stands that requests and description share and the fewest descriptions have;
    of several the first. counts: how many have a word."""
    known = set(_WORD.findall(" ".join(requests)))
    shared = [
        (counts[word[0]], word.start())
        for word in _WORD.finditer(description)
        if word[0] in known and len(word[0]) >= _SHORTEST and not _COMMON.fullmatch(word[0])
    ]
    return min(shared)[1] if shared else None


def _excerpt(text: str) -> str:
    """To the first full stop or line end, at most MOST_WORDS words, without the marks that divide
    reasons."""
    line = re.split(r"\n|\. ", text, maxsplit=1)[0]
    words = list(_WORD.finditer(line))
    if len(words) > MOST_WORDS:
        line = line[: words[MOST_WORDS].start()]
    return re.sub(r"[`;]", ",", line).strip().rstrip(".").strip()

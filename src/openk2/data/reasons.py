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

    A question for a missing argument (kind "missing") begins with the reason of the call that it
    leads to: what is missing can be told once the tool is chosen.
    """
    functions = [tool["function"] for tool in conversation.get("tools") or ()]
    descriptions = {f["name"]: f.get("description") or "" for f in functions}
    kinds = iter(conversation.get("kinds") or ())
    requests: list[str] = []
    messages = []
    for index, message in enumerate(conversation["messages"]):
        if message["role"] == "user":
            requests.append(str(message.get("content")))
        if message["role"] == "assistant":
            asks = next(kinds, None) == "missing" and not message.get("tool_calls")
            called = _called(conversation["messages"][index:], asks)
            words = "; ".join(reason(requests, name, descriptions) for name in called)
            if words and asks:
                message = {**message, "content": f"{words}. {message['content']}"}
            elif words and not message.get("content"):
                message = {**message, "content": words}
        messages.append(message)
    return {**conversation, "messages": messages}


def _called(messages: Sequence[Mapping[str, Any]], asks: bool) -> list[str]:
    """The names of the tools that the first of these messages calls, or, if it asks for what is
    missing, the next that calls; each once."""
    found = (message["tool_calls"] for message in messages if message.get("tool_calls"))
    calls = next(found, ()) if asks else messages[0].get("tool_calls") or ()
    return list(dict.fromkeys(call["function"]["name"] for call in calls))


def reason(requests: Sequence[str], name: str, descriptions: Mapping[str, str]) -> str:
    """Why this tool: "words of its description: `name`"; of a tool without one, its name alone.

    requests: what the user said, the last one being what is answered. descriptions: of all declared
    tools, by name.
    """
    description = descriptions.get(name, "").strip()
    if not description:
        return name
    start = _first_shared(requests[-1:], description, descriptions)
    if start is None:
        start = _first_shared(requests[-_EARLIER:], description, descriptions)
    return f"{_excerpt(description[start or 0 :])}: `{name}`"


def is_reason(text: str) -> bool:
    """Whether a text before calls has the form of reasons."""
    return all(_REASON.fullmatch(part) for part in text.split("; "))


def _first_shared(
    requests: Sequence[str], description: str, descriptions: Mapping[str, str]
) -> int | None:
    """Where the word stands that requests and description share and the fewest other descriptions
    have; of several the first."""
    known = set(_WORD.findall(" ".join(requests)))
    counts = Counter(word for other in descriptions.values() for word in set(_WORD.findall(other)))
    shared = [
        (counts[word[0]], word.start())
        for word in _WORD.finditer(description)
        if word[0] in known and len(word[0]) >= _SHORTEST and not _COMMON.fullmatch(word[0])
    ]
    return min(shared)[1] if shared else None


def _excerpt(text: str) -> str:
    """To the sentence's end, at most MOST_WORDS words, without the marks that divide reasons."""
    line = re.split(r"\n|\. ", text, maxsplit=1)[0]
    words = list(_WORD.finditer(line))
    if len(words) > MOST_WORDS:
        line = line[: words[MOST_WORDS].start()]
    return re.sub(r"[`;]", ",", line).strip().rstrip(".").strip()

"""The text of a reason: words of a tool's description, its name, the arguments it requires.

dns zone of a site: `list_zones`(site=ab12); console ports: `dcim_ports_create`
"""

import json
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_WORDS = 12  # of a description
_EARLIER = 3  # requests, where the last one shares no word with the description
_NAME = re.compile(r"[\w.-]+")  # of a tool or a parameter; others are not written
_WORD = re.compile(r"[^\W\d_]+")
# A date, a time or a number is one run.
_RUN = re.compile(r"\d+(?:[-:.]\d+)+(?![^\W_])|[^\W_]+")
_SHORTEST = 3
_COMMON = re.compile(
    "the|and|for|with|this|that|from|you|your|use|used|using|call|tool|are|was|his|her|its|our|all|"
    "any|can|will|not|has|have|get",
    re.IGNORECASE,
)
REASON = re.compile(
    r"(?:(?:(?P<words>[^`;\n]+): )?`(?P<name>[\w.-]+)`|(?P<bare>[\w.-]+)(?=\())"
    r"(?:\((?P<given>[^()`;\n]*)\))?"
)


@dataclass(frozen=True)
class DescribedTool:
    """A declared tool, as far as reasons go by it."""

    description: str
    required: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedCall:
    """A tool's name and its arguments, and which of them nobody has said yet."""

    name: str
    arguments: Mapping[str, Any]
    missing: frozenset[str] = frozenset()


def reasons_of(
    requests: Sequence[str], calls: Sequence[PlannedCall], functions: Mapping[str, DescribedTool]
) -> str:
    """One reason for each call; of a tool called again, without the words; of a tool without a
    description "name(...)", so that no single token is what begins every such reason.

    requests: what the user said, the last one being what is answered. functions: all declared
    tools, by name. Nothing if a name is not of letters, digits, "_", "." and "-".
    """
    reasons: list[str] = []
    named: set[str] = set()
    for call in calls:
        if not _NAME.fullmatch(call.name):
            return ""
        words = reason(requests, call.name, functions)
        if words:
            said = f"`{call.name}`" if call.name in named else f"{words}: `{call.name}`"
        else:
            said = call.name
        named.add(call.name)
        pairs = _given(call, functions)
        reasons.append(f"{said}({pairs})" if pairs or not words else said)
    return "; ".join(reasons)


def _given(call: PlannedCall, functions: Mapping[str, DescribedTool]) -> str:
    """The required arguments of a call, each with the beginning of its value, or "?"."""
    required = functions.get(call.name, DescribedTool("")).required
    marks = {key: mark_of(call.arguments.get(key)) for key in required if _NAME.fullmatch(key)}
    marks |= dict.fromkeys(call.missing & marks.keys(), "?")
    return ", ".join(f"{key}={mark}" for key, mark in marks.items() if mark)


def mark_of(value: Any) -> str:
    """The first run of letters and digits in a value, of a date or time all of it; "" if it has
    none, or is an object."""
    if isinstance(value, list):
        return mark_of(value[0]) if value else ""
    if isinstance(value, bool):
        return json.dumps(value)
    run = _RUN.search(str(value)) if isinstance(value, str | int | float) else None
    return run[0] if run else ""


def reason(requests: Sequence[str], name: str, functions: Mapping[str, DescribedTool]) -> str:
    """Why this tool: words of its description, if it has one.

    requests: what the user said, the last one being what is answered. functions: all declared
    tools, by name.
    """
    description = functions.get(name, DescribedTool("")).description.strip()
    descriptions = [function.description for function in functions.values()]
    counts = Counter(word for text in descriptions for word in set(_WORD.findall(text)))
    start = _first_shared(requests[-1:], description, counts)
    if start is None:
        start = _first_shared(requests[-_EARLIER:], description, counts)
    return _excerpt(description[start or 0 :])


def reason_length(text: str, names: Container[str]) -> int:
    """How many characters at the start of a text are reasons for tools of these names: all of it,
    those before a question, or none."""
    end = 0
    while found := REASON.match(text, end):
        words = found["words"] or ""
        if (found["name"] or found["bare"]) not in names:
            return 0
        if ". " in words or len(_WORD.findall(words)) > MOST_WORDS:
            return 0
        end = found.end()
        if text[end : end + 2] in ("", ". "):
            return end
        if text[end : end + 2] != "; ":
            return 0
        end += 2
    return 0


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

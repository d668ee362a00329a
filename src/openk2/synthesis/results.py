"""What a tool returns, and the sentence that tells it.

The sentence uses the values of the result word for word, so that the model learns to read a result
it has never seen.
"""

import json
from dataclasses import dataclass
from random import Random
from typing import Any

from openk2.synthesis.requests import is_plural, listed, spoken
from openk2.synthesis.tools import Arguments, Tool
from openk2.synthesis.values import Split

_ERRORS = ("service unavailable", "connection timed out", "permission denied", "internal error",
           "rate limit exceeded", "invalid {}", "{} not found", "unknown {}", "no data for this {}",
           "the {} does not exist")  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """A tool's answer.

    content: the tool message's content, JSON in most cases.
    answer: the sentence or two that tell it to the user.
    facts: what can be asked about later, as (words, value in words).
    """

    content: str
    answer: str
    facts: tuple[tuple[str, str], ...] = ()


def draw_outcome(
    rng: Random, split: Split, tool: Tool, arguments: Arguments, details: str
) -> Outcome:
    """A success. `details` are the request's own words for the arguments ("from USD to EUR")."""
    if tool.task.mode == "search":
        return _search_outcome(rng, split, tool, details)
    facts = {words: sample(rng, split) for words, sample in tool.task.gives.items()}
    if tool.task.mode == "do":
        return _deed_outcome(rng, tool, facts)
    return _fact_outcome(rng, tool, arguments, facts, details)


def draw_failure(rng: Random, tool: Tool) -> Outcome:
    """An error, in one of the shapes that tools report errors in."""
    words = rng.choice([p.words for p in tool.parameters] or ["request"])
    message = rng.choice(_ERRORS).replace("{}", words)
    shapes: tuple[dict[str, Any], ...] = (
        {"error": message}, {"error": message}, {"status": "error", "message": message},
        {"success": False, "error": message}, {"error": {"message": message}},
    )  # fmt: skip
    content = f"Error: {message}" if rng.random() < 0.15 else dumped(rng, rng.choice(shapes))
    return Outcome(content, f"Sorry, I could not {deed(tool)}: {message}.")


def deed(tool: Tool) -> str:
    """What the tool does, as a verb phrase: 'get the exchange rate', 'book a table'."""
    task = tool.task
    return f"{ {'ask': 'get', 'search': 'find', 'do': task.verb}[task.mode] } {task.noun}"


def dumped(rng: Random, value: Any) -> str:
    """JSON as tools write it: most often json.dumps's default, sometimes compact."""
    if rng.random() < 0.75:
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def key(rng: Random, words: str) -> str:
    """Words as a JSON key, most often in snake case."""
    parts = words.split()
    if rng.random() < 0.75:
        return "_".join(parts)
    return parts[0] + "".join(part.capitalize() for part in parts[1:])


def _fact_outcome(
    rng: Random, tool: Tool, arguments: Arguments, facts: dict[str, Any], details: str
) -> Outcome:
    noun = tool.task.noun_words
    body: dict[str, Any] = {key(rng, words): value for words, value in facts.items()}
    told = [(words, spoken(value)) for words, value in facts.items()]
    if rng.random() < 0.15:
        body = {**arguments, **body}
    if len(facts) == 1 and rng.random() < 0.1:
        content = dumped(rng, next(iter(facts.values())))
    elif rng.random() < 0.1:
        content = dumped(rng, {rng.choice(("result", "data")): body})
    else:
        content = dumped(rng, body)
    if len(told) == 1:
        subject = f"{noun} {details}" if rng.random() < 0.8 else noun
        verb = "are" if is_plural(noun) else "is"
        answer = f"The {subject.strip()} {verb} {told[0][1]}."
    else:
        answer = _clauses(told)
    return Outcome(content, answer, tuple(told))


def _deed_outcome(rng: Random, tool: Tool, facts: dict[str, Any]) -> Outcome:
    noun, done = tool.task.noun_words, tool.task.done
    if rng.random() < 0.2:
        facts = {}
    head = rng.choice(({"status": "ok"}, {"status": "success"}, {"success": True}, {"ok": True},
                       {"status": done.replace(" ", "_")}))  # fmt: skip
    if facts and rng.random() < 0.3:
        head = {}
    body = {**head, **{key(rng, words): value for words, value in facts.items()}}
    told = [(words, spoken(value)) for words, value in facts.items()]
    lead = "Done. " if rng.random() < 0.5 else ""
    answer = f"{lead}The {noun} {'have' if is_plural(noun) else 'has'} been {done}."
    if told:
        answer = f"{answer} {_clauses(told)}"
    return Outcome(dumped(rng, body), answer, tuple(told))


def _search_outcome(rng: Random, split: Split, tool: Tool, details: str) -> Outcome:
    noun, gives = tool.task.noun, tool.task.gives
    count = rng.choice((0, 1, 2, 2, 3))
    rows = [{words: sample(rng, split) for words, sample in gives.items()} for _ in range(count)]
    keys = {words: key(rng, words) for words in gives}
    listing: Any = [{keys[words]: value for words, value in row.items()} for row in rows]
    if rng.random() < 0.6:
        listing = {rng.choice(("results", "items", noun.split()[-1])): listing}
    if not rows:
        return Outcome(dumped(rng, listing), f"I found no {noun} {details}".strip() + ".")
    first, *others = gives
    told = []
    for row in rows:
        extra = ", ".join(f"{words} {spoken(row[words])}" for words in others)
        told.append(f"{spoken(row[first])} ({extra})" if extra else spoken(row[first]))
    counted = "1 result" if count == 1 else f"{count} results"
    facts = tuple((f"{o} of {spoken(r[first])}", spoken(r[o])) for r in rows for o in others)
    return Outcome(dumped(rng, listing), f"I found {counted}: {listed(told)}.", facts)


def _clauses(told: list[tuple[str, str]]) -> str:
    clauses = [f"the {words} {'are' if is_plural(words) else 'is'} {text}" for words, text in told]
    text = listed(clauses)
    return f"{text[0].upper()}{text[1:]}."

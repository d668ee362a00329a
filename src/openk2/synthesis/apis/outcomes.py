"""What a tool returns, and the sentence that tells it with the result's own values."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from openk2.synthesis.apis.declaring import ApiTool, styled
from openk2.synthesis.apis.deed import object_head
from openk2.synthesis.apis.operation import Field
from openk2.synthesis.apis.stating import Argument, draw_value
from openk2.synthesis.apis.verbs import CLASS_OF, participle
from openk2.synthesis.apis.wording import is_plural, word_set, words_of
from openk2.synthesis.requests import listed
from openk2.synthesis.results import dumped
from openk2.synthesis.values import Split

_GENERIC = (
    Field("id", "id", "string", "code"), Field("name", "name", "string", "name"),
    Field("status", "status", "string", enum=("active", "pending", "closed", "ready", "failed")),
    Field("total", "total", "integer", "count"),
    Field("created", "creation date", "string", "date"),
    Field("owner", "owner", "string", "username"), Field("version", "version", "string", "version"),
    Field("price", "price", "number", "money"), Field("region", "region", "string", "region"),
    Field("size", "size", "integer", "count"), Field("priority", "priority", "integer", "small"),
    Field("label", "label", "string", "word"), Field("city", "city", "string", "city"),
)  # fmt: skip
_ERRORS = ("service unavailable", "connection timed out", "permission denied", "internal error",
           "rate limit exceeded", "not authorized", "quota exhausted", "the server is down",
           "maintenance in progress", "request too large", "access denied")  # fmt: skip
_IDENTIFYING = word_set("name title code uuid person username email big product city")
_CLAUSES = word_set("is has can are was will should use allow show include requires supports have")
_NO_FACTS = word_set("success ok error errors message code result kind data response request")
_BAD_VALUES = ("{w} {v} not found", "unknown {w} {v}", "invalid {w}: {v}", "no match for {w} {v}",
               "{w} {v} does not exist", "the {w} {v} is not valid")  # fmt: skip


@dataclass(frozen=True)
class ApiOutcome:
    """A tool message's content, the sentence that tells it, and its facts as (words, value).

    named: a sentence that also says what it is about, for an answer that tells several results.
    """

    content: str
    answer: str
    facts: tuple[tuple[str, str], ...] = ()
    named: str = ""


def draw_outcome(
    rng: Random,
    split: Split,
    tool: ApiTool,
    arguments: Sequence[Argument],
    must: Sequence[Any] = (),
) -> ApiOutcome:
    """A success. `must`: (field, value) pairs that the result holds too."""
    operation = tool.operation
    fields = _fields(rng, operation.returns, operation.many)
    if operation.many and CLASS_OF[operation.verb] == "read" and not must:
        return _listing(rng, split, tool, fields, arguments)
    style = rng.choice(("snake", "camel", "kept"))
    given = _scalars(arguments)
    told = [(field.words, given.get(field.words, _value(rng, split, field))) for field in fields]
    told += [(field.words, value) for field, value in must]
    body = {_key(field, style): value for field, (_, value) in
            zip([*fields, *(field for field, _ in must)], told, strict=True)}  # fmt: skip
    body = dict(list(body.items()))
    if CLASS_OF[operation.verb] == "read":
        return _single(rng, tool, body, told)
    return _deed(rng, tool, body, told)


def draw_failure(rng: Random, tool: ApiTool, argument: Argument | None) -> ApiOutcome:
    """An error: of one argument's value, or of the service."""
    if argument is None:
        message = rng.choice(_ERRORS)
    else:
        form = rng.choice(_BAD_VALUES).replace("{w}", argument.facts[0].words)
        message = form.replace("{v}", str(argument.value))
    shapes: tuple[dict[str, Any], ...] = (
        {"error": message}, {"error": message}, {"status": "error", "message": message},
        {"success": False, "error": message}, {"error": {"message": message}},
        {"code": rng.choice((400, 404, 429, 500, 503)), "message": message},
    )  # fmt: skip
    content = f"Error: {message}" if rng.random() < 0.15 else dumped(rng, rng.choice(shapes))
    told = plain_deed(tool)
    forms = (f"Sorry, I could not {told}: {message}.", f"I could not {told}: {message}.",
             f"The tool reports an error: {message}.", f"That failed: {message}.",
             f"I tried to {told}, but got an error: {message}.")  # fmt: skip
    return ApiOutcome(content, rng.choice(forms), (("error", message),))


def plain_deed(tool: ApiTool) -> str:
    """What the tool does, as the assistant says it: 'delete the invoice'."""
    verb = {"return": "get", "insert": "add"}.get(tool.operation.verb, tool.operation.verb)
    return f"{verb} the {tool.operation.object}"


def _fields(rng: Random, returns: Sequence[Field], many: bool) -> list[Field]:
    own = [field for field in returns if field.words not in _NO_FACTS
           and not (many and field.type == "boolean")]  # fmt: skip
    pool = own if len(own) > 1 or (own and rng.random() < 0.7) else list(_GENERIC)
    count = min(rng.choice((1, 2, 2, 3)) if many else rng.choice((1, 1, 2, 2, 3, 4)), len(pool))
    return rng.sample(pool, count)


def _value(rng: Random, split: Split, field: Field) -> Any:
    return rng.choice(field.enum) if field.enum else draw_value(rng, split, field.kind, field.type)


def _key(field: Field, style: str) -> str:
    return field.name if style == "kept" else styled(field.words, style)


def _shown(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _subject(words: str) -> str:
    """Words as a sentence's subject, in quotes where they are a clause: "is paid"."""
    return f'"{words}"' if words.split()[0] in _CLAUSES else words


def _clauses(told: Sequence[tuple[str, Any]]) -> str:
    parts = []
    for words, value in told:
        be = "are" if is_plural(words.split()[-1]) else "is"
        subject = _subject(words) if isinstance(value, bool) else f"the {words}"
        parts.append(f"{subject} {be} {_shown(value)}")
    return listed(parts)


def _single(
    rng: Random, tool: ApiTool, body: dict[str, Any], told: list[tuple[str, Any]]
) -> ApiOutcome:
    noun = tool.operation.object
    head = object_head(noun)
    plural = is_plural(head)
    pairs = [f"{_subject(words)} {_shown(value)}" for words, value in told]
    clauses = _clauses(told)
    forms = [f"{clauses[0].upper()}{clauses[1:]}.", f"For the {noun}, {clauses}.",
             f"Here {'are' if plural else 'is'} the {noun}: {', '.join(pairs)}.",
             f"The {noun} {'have' if plural else 'has'} {listed(pairs)}."]  # fmt: skip
    facts = tuple((words, _shown(value)) for words, value in told)
    return ApiOutcome(_wrapped(rng, body, head), rng.choice(forms), facts, rng.choice(forms[1:]))


def _deed(
    rng: Random, tool: ApiTool, body: dict[str, Any], told: list[tuple[str, Any]]
) -> ApiOutcome:
    noun = tool.operation.object
    head = rng.choice(({"status": "ok"}, {"success": True}, {"ok": True}, {"result": "success"},
                       {"message": f"{noun} {participle(tool.operation.verb)}"}, {}))  # fmt: skip
    if rng.random() < 0.35 and len(told) > 0 and head:
        body, told = {}, []
    has = "have" if is_plural(object_head(noun)) else "has"
    done = f"The {noun} {has} been {participle(tool.operation.verb)}."
    answer = rng.choice((done, f"Done. {done}", f"Done: {done[0].lower()}{done[1:]}"))
    if told:
        clauses = _clauses(told)
        answer = f"{answer} {clauses[0].upper()}{clauses[1:]}."
    facts = tuple((words, _shown(value)) for words, value in told)
    content = dumped(rng, {**head, **body}) if head else _wrapped(rng, body, object_head(noun))
    return ApiOutcome(content, answer, facts)


def _wrapped(rng: Random, body: dict[str, Any], head: str) -> str:
    choice = rng.random()
    if choice < 0.1:
        return "\n".join(f"{key}: {_shown(value)}" for key, value in body.items())
    if choice < 0.14 and len(body) == 1:
        return _shown(next(iter(body.values())))
    if choice < 0.25:
        return dumped(rng, {rng.choice(("data", "result", _snake(head))): body})
    return dumped(rng, body)


def _scalars(arguments: Sequence[Argument]) -> dict[str, Any]:
    """What a request said, by its words: a result that has it too agrees with it."""
    facts = [fact for argument in arguments for fact in argument.facts]
    return {fact.words: fact.value for fact in facts if not isinstance(fact.value, list)}


def _listing(
    rng: Random, split: Split, tool: ApiTool, fields: list[Field], arguments: Sequence[Argument]
) -> ApiOutcome:
    fields = sorted(fields, key=lambda field: field.kind not in _IDENTIFYING)
    given = {words: value for words, value in _scalars(arguments).items() if " " in words}
    noun = tool.operation.object
    head = object_head(noun)
    style = rng.choice(("snake", "camel", "kept"))
    count = rng.choice((0, 1, 2, 2, 3))
    rows = [[given.get(field.words, _value(rng, split, field)) for field in fields]
            for _ in range(count)]  # fmt: skip
    bodies = [dict(zip([_key(f, style) for f in fields], row, strict=True)) for row in rows]
    listing: Any = bodies
    if len(fields) == 1 and rng.random() < 0.4:
        listing = [row[0] for row in rows]
    if rng.random() < 0.6:
        listing = {rng.choice(("results", "items", "data", _snake(head))): listing}
    content = json.dumps(listing) if rng.random() < 0.5 else dumped(rng, listing)
    if not rows:
        are, were = ("are", "were") if is_plural(head) else ("is", "was")
        return ApiOutcome(content, rng.choice((f"I found no {noun}.", f"There {are} no {noun}.",
                                            f"No {noun} {were} found.")))  # fmt: skip
    told = []
    for row in rows:
        parts = [f"{field.words} {_shown(value)}" for field, value in zip(fields, row, strict=True)]
        lead = _shown(row[0])
        told.append(f"{lead} ({', '.join(parts[1:])})" if len(parts) > 1 else lead)
    shown = noun if is_plural(head) else "results"
    words = shown if count > 1 else "result"
    forms = (f"I found {count} {words}: {listed(told)}.", f"Here are the results: {listed(told)}.",
             f"There {'are' if count > 1 else 'is'} {count} {words}: {listed(told)}.")  # fmt: skip
    answer = rng.choice(forms if count > 1 else (forms[0], forms[2]))
    facts = tuple((f"{field.words} of {_shown(row[0])}", _shown(value)) for row in rows
                  for field, value in zip(fields[1:], row[1:], strict=True))  # fmt: skip
    return ApiOutcome(content, answer, facts, f"The {noun}: {listed(told)}.")


def _snake(text: str) -> str:
    return "_".join(words_of(text)) or "items"

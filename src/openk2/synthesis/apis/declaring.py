"""How an operation is declared as a tool: names kept, restyled or masked, descriptions that differ.

Whatever the names become, either they or the descriptions say what a request's words mean.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

from openk2.synthesis import values as v
from openk2.synthesis.apis.operation import Field, Operation
from openk2.synthesis.apis.verbs import gerund, same_class, third_person
from openk2.synthesis.apis.wording import words_of

MOST_PARAMETERS = 7
_SYNONYMS = {
    "id": ("identifier", "key", "ref"), "name": ("title", "label"), "limit": ("max", "top"),
    "email": ("mail", "email address"), "start": ("begin", "from"), "end": ("until", "to"),
    "user": ("account", "member"), "query": ("search", "q"), "description": ("text", "about"),
    "size": ("count",), "type": ("kind", "category"), "phone": ("telephone",),
    "message": ("text", "body"), "number": ("no",), "date": ("day",), "status": ("state",),
    "amount": ("sum", "total"), "country": ("nation",), "address": ("location",),
    "quantity": ("amount", "units"), "enabled": ("active", "on"), "url": ("link", "uri"),
}  # fmt: skip


@dataclass(frozen=True)
class ApiParameter:
    """A field under the name it is declared by. parts: an object's."""

    name: str
    field: Field
    description: str
    parts: tuple["ApiParameter", ...] = ()

    def schema(self) -> dict[str, Any]:
        """Its JSON Schema."""
        field = self.field
        schema: dict[str, Any] = {"type": field.type}
        if self.description:
            schema["description"] = self.description
        if field.type == "object":
            return {**schema, **_object(self.parts)}
        if field.type == "array":
            items: dict[str, Any] = {"type": field.items}
            schema["items"] = items | ({"enum": list(field.enum)} if field.enum else {})
        elif field.enum:
            schema["enum"] = list(field.enum)
        return schema


@dataclass(frozen=True)
class ApiTool:
    """An operation as a conversation declares it."""

    name: str
    operation: Operation
    description: str
    parameters: tuple[ApiParameter, ...]

    @cached_property
    def declaration(self) -> dict[str, Any]:
        """OpenAI's form."""
        function: dict[str, Any] = {"name": self.name}
        if self.description:
            function["description"] = self.description
        function["parameters"] = {"type": "object", **_object(self.parameters)}
        return {"type": "function", "function": function}

    @property
    def requires(self) -> bool:
        """Whether a call must give an argument."""
        return any(parameter.field.required for parameter in self.parameters)

    @cached_property
    def size(self) -> int:
        """Characters of the declaration as JSON."""
        return len(json.dumps(self.declaration))


def declare(rng: Random, operation: Operation, *, lean: bool = False) -> ApiTool:
    """Declare an operation in one of many ways; `lean`: with few parameters, not described."""
    masked = rng.random() < 0.12
    bare = not masked and rng.random() < 0.1
    name = _masked_name(rng) if masked else _tool_name(rng, operation, kept=not bare)
    description = "" if bare else _description(rng, operation, masked)
    style = rng.choice(("kept", "kept", "snake", "snake", "camel", "kebab"))
    return ApiTool(name, operation, description, _parameters(rng, operation, style, lean=lean))


def _parameters(
    rng: Random, operation: Operation, style: str, *, lean: bool
) -> tuple[ApiParameter, ...]:
    fields = list(operation.fields)
    optional = [field for field in fields if not field.required]
    room = rng.choice((0, 1, 1, 2)) if lean else rng.randint(2, MOST_PARAMETERS)
    if len(fields) > room:
        keep = max(room - (len(fields) - len(optional)), 0)
        kept = rng.sample(optional, min(keep, len(optional)))
        fields = [field for field in fields if field.required or field in kept]
    if rng.random() < 0.6:
        rng.shuffle(fields)
    taken: set[str] = set()
    described = not lean and rng.random() < 0.75
    return tuple(_parameter(rng, field, style, taken, described) for field in fields)


def _parameter(
    rng: Random, field: Field, style: str, taken: set[str], described: bool
) -> ApiParameter:
    choice = rng.random()
    masked = choice < 0.06
    if masked:
        name = v.pseudo_word(rng) if rng.random() < 0.7 else f"p{rng.randint(1, 99)}"
    elif style == "kept" and choice < 0.9:
        name = field.name
    else:
        name = styled(_synonymous(rng, field.words) if choice > 0.85 else field.words, style)
    while name in taken or not name:
        name = f"{name}_{rng.randint(2, 9)}"
    taken.add(name)
    text = _field_text(rng, field, masked or choice > 0.85) if masked or described or \
        choice > 0.85 else ""  # fmt: skip
    inner: set[str] = set()
    parts = tuple(_parameter(rng, part, style, inner, False) for part in field.fields)
    return ApiParameter(name, field, text, parts)


def _field_text(rng: Random, field: Field, must_say: bool) -> str:
    """A description; with `must_say` one that holds the field's words."""
    said = field.description
    if said and (not must_say or field.words in said.lower()) and rng.random() < 0.75:
        return said
    words = field.words
    forms = (f"The {words}.", f"{words.capitalize()}", f"The {words}", f"{words.capitalize()}.",
             f"The {words} to use.", f"Sets the {words}.")  # fmt: skip
    return rng.choice(forms)


def _synonymous(rng: Random, words: str) -> str:
    parts = words.split()
    for index, part in enumerate(parts):
        if part in _SYNONYMS:
            parts[index] = rng.choice(_SYNONYMS[part])
            break
    return " ".join(parts)


def styled(words: str, style: str) -> str:
    """Words as one identifier: snake_case (also for "kept"), camelCase or kebab-case."""
    parts = words.split()
    if style == "camel":
        return parts[0] + "".join(part.capitalize() for part in parts[1:])
    return ("-" if style == "kebab" else "_").join(parts)


def _masked_name(rng: Random) -> str:
    """A name that says nothing."""
    word = v.pseudo_word(rng)
    forms = (word, f"{word}_{v.pseudo_word(rng)}", f"tool_{rng.randint(1, 99)}",
             f"fn_{v.pseudo_word(rng)}", f"{word}{rng.randint(1, 999)}", f"op-{word}")  # fmt: skip
    return rng.choice(forms)


def _tool_name(rng: Random, operation: Operation, *, kept: bool) -> str:
    if kept and rng.random() < 0.4:
        return operation.name
    verb = operation.verb if rng.random() < 0.7 else rng.choice(same_class(operation.verb))
    words = [w for w in words_of(operation.object) if w not in ("of", "the", "for", "s")]
    words = [verb, *words[-3:]]
    choice = rng.random()
    if choice < 0.08:
        words = [*words[1:], words[0]]
    elif choice < 0.18:
        words = [words_of(operation.provider)[0], *words]
    style = rng.choice(("snake", "snake", "snake", "camel", "camel", "kebab", "pascal"))
    if style == "pascal":
        return "".join(word.capitalize() for word in words)[:60]
    return styled(" ".join(words), style)[:60]


def _description(rng: Random, operation: Operation, masked: bool) -> str:
    """The API's own sentence, or one made of the deed."""
    if operation.description and rng.random() < 0.55:
        said = operation.description.lower()
        if not masked or all(word.lower() in said for word in operation.object.split()):
            return operation.description
    verb, phrase = operation.verb, operation.object
    forms = (f"{verb.capitalize()} {phrase}.", f"{third_person(verb).capitalize()} {phrase}.",
             f"{verb.capitalize()} {phrase}", f"Use this to {verb} {phrase}.",
             f"Call this to {verb} {phrase}.", f"A tool for {gerund(verb)} {phrase}.",
             f"{third_person(verb).capitalize()} {phrase} of {operation.provider}.")  # fmt: skip
    return rng.choice(forms)


def _object(parameters: tuple[ApiParameter, ...]) -> dict[str, Any]:
    return {
        "properties": {p.name: p.schema() for p in parameters},
        "required": [p.name for p in parameters if p.field.required],
    }

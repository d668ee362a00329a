"""Arguments drawn for a tool, and how a user states them: every value stands in the words."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from openk2.synthesis.apis.declaring import ApiParameter
from openk2.synthesis.apis.kinds import QUOTED, SAMPLERS
from openk2.synthesis.apis.wording import is_plural
from openk2.synthesis.requests import listed
from openk2.synthesis.values import Split


@dataclass(frozen=True)
class Fact:
    """One scalar or list that a user states: its words ("customer id"), value, and spoken form."""

    words: str
    value: Any
    said: str
    kind: str


@dataclass(frozen=True)
class Argument:
    """A parameter with its value; an object's facts are those of its parts."""

    parameter: ApiParameter
    value: Any
    facts: tuple[Fact, ...]


def draw_argument(rng: Random, split: Split, parameter: ApiParameter) -> Argument:
    """A value for a parameter, and what a user says of it."""
    field = parameter.field
    if field.type != "object":
        fact = _fact(rng, split, parameter, field.words)
        return Argument(parameter, fact.value, (fact,))
    given = [p for p in parameter.parts if p.field.required or rng.random() < 0.5]
    given = given or [rng.choice(parameter.parts)]
    facts = [_fact(rng, split, p, _joined(field.words, p.field.words)) for p in given]
    value = {p.name: fact.value for p, fact in zip(given, facts, strict=True)}
    return Argument(parameter, value, tuple(facts))


def argument_of(parameter: ApiParameter, value: str | int | float) -> Argument:
    """An argument whose value came from elsewhere."""
    fact = Fact(parameter.field.words, value, str(value), parameter.field.kind)
    return Argument(parameter, value, (fact,))


def _joined(outer: str, inner: str) -> str:
    """An object's words and a part's: "tax class" and "class name" are tax class name."""
    if set(outer.split()) <= set(inner.split()):
        return inner
    return f"{outer.removesuffix(inner.split()[0]).rstrip()} {inner}".strip()


def _fact(rng: Random, split: Split, parameter: ApiParameter, words: str) -> Fact:
    field = parameter.field
    if field.type == "array":
        size = rng.choice((1, 2, 2, 3))
        if field.enum:
            chosen = rng.sample(field.enum, min(size, len(field.enum)))
        else:
            drawn = [draw_value(rng, split, field.kind, field.items) for _ in range(size)]
            chosen = list(dict.fromkeys(drawn))
        parts = [_quoted(str(item), field.kind) for item in chosen]
        return Fact(words, chosen, listed(parts), field.kind)
    if field.enum:
        value = rng.choice(field.enum)
        return Fact(words, value, _enum_words(rng, value), "enum")
    value = draw_value(rng, split, field.kind, field.type)
    said = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return Fact(words, value, _quoted(said, field.kind), field.kind)


def draw_value(rng: Random, split: Split, kind: str, type_: str) -> Any:
    """A value of a kind, in the JSON type declared."""
    value = SAMPLERS[kind](rng, split)
    if type_ == "string" and not isinstance(value, str):
        return str(value)
    if type_ == "integer" and isinstance(value, float):
        return int(value)
    return value


def _quoted(text: str, kind: str) -> str:
    return f'"{text}"' if kind in QUOTED else text


def _enum_words(rng: Random, value: str | int) -> str:
    """An enum's value, at times in the words that it obviously stands for."""
    text = str(value)
    plain = text.replace("_", " ").replace("-", " ").lower()
    if rng.random() < 0.3 and plain.replace(" ", "").isalpha() and len(plain) > 3 and \
            (text.isupper() or text.islower()):  # fmt: skip
        return plain
    return text


def phrase(rng: Random, fact: Fact) -> str:
    """A fact as part of a sentence: 'with customer id 4711', 'for customer 4711'."""
    words, said = fact.words, fact.said
    if isinstance(fact.value, bool):
        return _switch(rng, words, fact.value)
    first, _, last = words.rpartition(" ")
    if last in ("id", "uuid", "key", "code", "number") and first and rng.random() < 0.4:
        return f"{rng.choice(('for', 'of', 'for the'))} {first} {said}"
    if last == "name" and first and rng.random() < 0.4:
        return f"{rng.choice(('for the', 'of the', 'with the'))} {first} {said}"
    if words in ("limit", "size", "page size", "per page", "max results") and rng.random() < 0.5:
        return rng.choice(("at most {} with {w}", "limited to {} ({w})", "with {w} {}")).replace(
            "{}", said).replace("{w}", words)  # fmt: skip
    if fact.kind == "phrase" and rng.random() < 0.3:
        return f"with the {words} {said}"
    forms = ("with {w} {}", "with the {w} {}", "with {w} {}", "using {} as the {w}",
             "with {} as the {w}", "where the {w} {is} {}", "and {w} {}", "({w}: {})",
             "whose {w} {is} {}", "for {w} {}", "with {w} set to {}",
             "with {w}={}")  # fmt: skip
    be = "are" if is_plural(words.split()[-1]) else "is"
    return rng.choice(forms).replace("{w}", words).replace("{is}", be).replace("{}", said)


def _switch(rng: Random, words: str, on: bool) -> str:
    first, _, rest = words.partition(" ")
    if first in ("include", "show", "with") and rest and rng.random() < 0.7:
        return f"{'including' if on else 'without'} {rest}"
    if first in ("is", "has") and rest and rng.random() < 0.5:
        words = rest
    state = "true" if on else "false"
    forms = [f"with {words} set to {state}", f"with {words} {state}", f"and {words} {state}",
             f"with {words} {'on' if on else 'off'}", f"({words}: {'yes' if on else 'no'})",
             f"with {words} turned {'on' if on else 'off'}"]  # fmt: skip
    return rng.choice(forms)


def sentence(rng: Random, facts: Sequence[Fact]) -> str:
    """Facts as a sentence of their own: 'The customer id is 4711 and the limit is 20.'"""
    clauses = []
    for fact in facts:
        be = "are" if is_plural(fact.words.split()[-1]) else "is"
        clauses.append(f"the {fact.words} {be} {fact.said}")
    text = listed(clauses)
    return f"{text[0].upper()}{text[1:]}."


def pairs(facts: Sequence[Fact], mark: str, between: str) -> str:
    """Facts as 'customer id: 4711, limit: 20'."""
    return between.join(f"{fact.words}{mark}{fact.said}" for fact in facts)

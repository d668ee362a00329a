"""From a raw operation of any format to an `Operation`, or to nothing where it is of no use."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from openk2.synthesis.apis.deed import deed_of, object_head
from openk2.synthesis.apis.operation import Operation
from openk2.synthesis.apis.parameters import (
    Shape,
    choose_parameters,
    is_transport,
    make_field,
    make_returns,
)
from openk2.synthesis.apis.verbs import BASE_OF
from openk2.synthesis.apis.wording import first_sentence, is_english, singular, word_set, words_of

MOST_NAME, MOST_DESCRIPTION = 40, 130
_SECOND_LEVEL = word_set("co com org net gov ac edu")


@dataclass(frozen=True, slots=True)
class Draft:
    """An operation as a format's reader found it.

    name: operation id, or method and path. texts: descriptions, the shorter kind first.
    parameters, answer: made only for an operation whose deed can be said, since that is the work.
    """

    provider: str
    name: str
    texts: Sequence[object]
    parameters: Callable[[], Sequence[tuple[str, Shape, bool]]]
    answer: Callable[[], Shape]


def make_operation(draft: Draft) -> Operation | None:
    """The operation, if one can say what it does and every parameter that it needs."""
    sentences = [s for s in (first_sentence(text, MOST_DESCRIPTION) for text in draft.texts) if s]
    name = draft.name.rpartition(".")[2] if draft.name.count(".") > 1 else draft.name
    if any("deprecated" in str(text)[:200].lower() for text in draft.texts):
        return None
    identifier = "" if " " in name else name
    found = None
    sentences = [s for s in sentences if is_english(s) or s.split()[0].lower() in BASE_OF]
    for sentence in sentences or [""]:
        found = deed_of(sentence, identifier)
        if found is not None:
            break
    if found is None:
        return None
    said = [part for part in draft.parameters() if not is_transport(part[0])]
    fields = [make_field(n, shape, required) for n, shape, required in said]
    kept = choose_parameters(fields, [required for _, _, required in said])
    if kept is None:
        return None
    returns, many = make_returns(draft.answer())
    verb, phrase = found
    head = singular(object_head(phrase))
    telling = [s for s in sentences if head in {singular(w) for w in words_of(s)}]
    description = max(telling, key=len) if telling else ""
    return Operation(
        family(draft.provider), _tool_name(name, verb, phrase), verb, phrase, description,
        tuple(kept), tuple(returns), many,
    )  # fmt: skip


def family(provider: str) -> str:
    """The registered domain of a provider, so that a company's services stay on one side."""
    labels = provider.lower().split(":")[0].split(".")
    keep = 3 if len(labels) > 2 and labels[-2] in _SECOND_LEVEL else 2
    return ".".join(labels[-keep:])


def _tool_name(name: str, verb: str, phrase: str) -> str:
    """The API's own name where it is a name that a tool may have, else one made of the deed."""
    plain = re.sub(r"[^A-Za-z0-9_\-]+", "_", name).strip("_-")
    words = words_of(plain)
    if singular(object_head(phrase)) not in {singular(word) for word in words}:
        words = []
    if 3 <= len(plain) <= MOST_NAME and 1 < len(words) <= 6 and not re.search(r"\d{3}|__", plain):
        return plain
    made = [verb, *words_of(phrase)]
    while len("_".join(made)) > MOST_NAME:
        made.pop(1)
    return "_".join(made)

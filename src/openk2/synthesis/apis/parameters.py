"""Which parameters and results of an API are kept: those that a sentence can say.

Both readers (OpenAPI, botocore) hand over one plain form of a schema, `Shape`; what becomes of it
is decided here alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from openk2.synthesis.apis.kinds import kind_of
from openk2.synthesis.apis.operation import Field, Literal
from openk2.synthesis.apis.wording import first_sentence, is_english, word_set, words_of

MOST_CHOICES = 10
_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_\-]{0,39}$")
_ENUM = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_\-.: /]{0,29}$")
# What a client library sends by itself: no user states it.
_TRANSPORT = word_set(
    "access_token alt callback fields key oauth_token prettyprint quotauser upload_protocol "
    "uploadtype api_key apikey api-version apiversion accept content-type authorization x-api-key "
    "clienttoken client_token clientrequesttoken dryrun dry_run idempotencytoken creds format "
    "accept-language if-match if-none-match user-agent token api-key client_secret session_token "
    "version action nexttoken next_token maxresults-token marker pagetoken page_token requestid "
    "x-ms-client-request-id select expand continuationtoken startingtoken userproject sig appkey "
    "app_key app_id appid _format include_docs access-token tenant-id"
)
_BARE = word_set("to from where in by as at on of is has and or since until before after")
_READ_ONLY_WORDS = word_set("href links link self meta etag cursor next previous")


@dataclass(frozen=True, slots=True)
class Shape:
    """A schema with references resolved: a type, its choices, an array's items, an object's parts.

    type: "" when it is none of the six that a field may have.
    """

    type: str
    description: str = ""
    form: str = ""
    enum: tuple[object, ...] = ()
    items: "Shape | None" = None
    parts: tuple[tuple[str, "Shape", bool], ...] = ()


def is_transport(name: str) -> bool:
    """Whether a parameter belongs to the client and never to a request's words."""
    return name.lower().lstrip("$_.") in _TRANSPORT or name.lower().startswith(("x-", "$."))


def make_field(name: str, shape: Shape, required: bool, *, nested: bool = True) -> Field | None:
    """The field, or None where a sentence could not say its value."""
    plain = name.lstrip("$")
    words = words_of(plain)
    if not _NAME.match(plain) or not 1 <= len(words) <= 4:
        return None
    if shape.type == "array" and "".join(words) in ("orderby", "sort", "sortby"):
        return None
    if "__" in plain or len(set(words)) < len(words):
        return None
    if "output only" in shape.description[:40].lower():
        return None
    if any(len(word) == 1 and not word.isdigit() for word in words) and words != ["q"]:
        return None
    if words[0].isdigit():
        return None
    spoken = " ".join("query" if word == "q" else word for word in words)
    description = first_sentence(shape.description, 90)
    description = description if is_english(description) or len(description) < 25 else ""
    long = first_sentence(shape.description, 400) or shape.description[:200]
    if shape.type == "object":
        parts = [make_field(n, part, r, nested=False) for n, part, r in shape.parts] if nested \
            else []  # fmt: skip
        kept = _bounded([p for p in parts if p is not None], 4)
        lost = any(r and p is None for p, (_, _, r) in zip(parts, shape.parts, strict=False))
        if not kept or lost:
            return None
        return Field(plain, spoken, "object", "", description, required, fields=tuple(kept))
    inner = shape.items if shape.type == "array" else shape
    if inner is None or inner.type not in ("string", "integer", "number", "boolean"):
        return None
    if shape.type == "array" and inner.type == "boolean":
        return None
    items = inner.type if shape.type == "array" else ""
    enum = _choices(inner)
    if enum is None:
        return None
    if enum:
        return Field(plain, spoken, shape.type, "", description, required, enum, items)
    kind = kind_of(inner.type, words, inner.form, long)
    if kind is None:
        return None
    if spoken in _BARE:
        # "The to is 5" is no English, "the to date" is.
        if kind not in ("date", "iso_time"):
            return None
        spoken = f"{spoken} date"
    return Field(plain, spoken, shape.type, kind, description, required, (), items)


def choose_parameters(fields: Sequence[Field | None], required: Sequence[bool]) -> list[Field] \
        | None:  # fmt: skip
    """The fields kept of an operation; None if a required one is lost or too many are needed."""
    if any(needed and field is None for field, needed in zip(fields, required, strict=True)):
        return None
    kept = list({f.name.lower(): f for f in fields if f is not None}.values())
    if sum(f.required for f in kept) > 4 or len({f.words for f in kept}) < len(kept):
        return None
    return _bounded(kept, 10)


def make_returns(shape: Shape) -> tuple[list[Field], bool]:
    """Scalar values of an answer, and whether it is a list: unwrapped from "data" and the like."""
    many = shape.type == "array"
    inner = shape.items if many else shape
    if inner is None or inner.type != "object":
        return [], many
    if not many:
        lists = [part for _, part, _ in inner.parts if part.type == "array" and part.items
                 and part.items.type == "object"]  # fmt: skip
        if len(lists) == 1 and lists[0].items:
            many, inner = True, lists[0].items
        elif len(inner.parts) == 1 and inner.parts[0][1].type == "object":
            inner = inner.parts[0][1]
    fields = [make_field(name, part, False, nested=False) for name, part, _ in inner.parts]
    kept = [f for f in fields if f and f.type not in ("array", "object")
            and not is_transport(f.name) and f.kind != "phrase"
            and not _READ_ONLY_WORDS & set(f.words.split())
            and (f.type == "boolean" or not f.name.endswith("ed"))]  # fmt: skip
    return kept[:8], many


def _choices(shape: Shape) -> tuple[Literal, ...] | None:
    """An enum's values; None for one that cannot be said."""
    if not shape.enum or shape.type == "boolean":
        return ()
    values = [value for value in shape.enum if value not in (None, "")]
    if shape.type == "integer":
        numbers = tuple(v for v in values if isinstance(v, int) and not isinstance(v, bool))
        return numbers[:MOST_CHOICES] if 2 <= len(numbers) == len(values) else None
    texts = tuple(v for v in values if isinstance(v, str) and _ENUM.match(v))
    if len(texts) != len(values) or shape.type != "string":
        return None
    return texts[:MOST_CHOICES] if len({text.lower() for text in texts}) > 1 else None


def _bounded(fields: list[Field], most: int) -> list[Field]:
    """At most `most`, required ones kept, in the API's order."""
    spare = most - sum(field.required for field in fields)
    kept = []
    for field in fields:
        if field.required or spare > 0:
            kept.append(field)
            spare -= not field.required
    return kept

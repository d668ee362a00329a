"""A schema without the keywords that cannot be enforced, for what is not strict.

What is taken out is left to the model; what is left forbids nothing that the whole schema allows.
So a keyword is taken out together with those beside it that would then say more.
"""

from collections.abc import Iterator, MutableMapping
from typing import Any

from openk2.grammar.error import GrammarError
from openk2.grammar.schema.keywords import UNEVALUATED, Subschema, escaped

# Taken out as a whole: less below a `not`, an `if` or a counted `contains` could forbid more.
_WHOLE = {"not": ("not",), "if": ("if", "then", "else")}
_COUNTED = ("contains", "minContains", "maxContains")
# What goes with a keyword: it speaks of whatever the keyword does not.
_BESIDE = {
    **_WHOLE,
    **dict.fromkeys(_COUNTED, _COUNTED),
    "properties": ("properties", "additionalProperties"),
    "patternProperties": ("patternProperties", "additionalProperties"),
    "prefixItems": ("prefixItems", "items"),
}
# These decide what `unevaluatedProperties` and `unevaluatedItems` speak of, from any depth.
_EVALUATING = frozenset(
    (
        *("$ref", "allOf", "anyOf", "oneOf", "if", "dependentSchemas", "dependencies"),
        *("properties", "patternProperties", "prefixItems", "items", "contains"),
    )
)
_DEFINITIONS = ("$defs", "definitions")
_NAMED = ("properties", "patternProperties", "dependentSchemas", *_DEFINITIONS)


def loosen(schema: Any, error: GrammarError) -> str | None:
    """Take out of a schema what an error is about.

    Returns the place of the keyword; None if the error names nothing that is there.
    """
    place = _taken(schema, error)
    if place is not None and set(_DEFINITIONS) & set(place.split("/")):
        # What refers to the definition goes as a whole: it says less than it did.
        for owner, keyword, pointer in list(_referring(schema)):
            _without(schema, owner, keyword, pointer)
    return place


def _taken(schema: Any, error: GrammarError) -> str | None:
    path: list[tuple[MutableMapping[str, Any], str]] = []  # objects and the keyword taken in each
    found, pointer = schema, "#"
    for step in error.pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, MutableMapping) and name in found:
            path.append((found, name))
            if _is_keyword(path) and _is_whole(found, name):
                return _without(schema, found, name, pointer)
            found = found[name]
        else:
            break
        pointer = f"{pointer}/{escaped(name)}"
    if isinstance(found, MutableMapping) and error.keyword is not None and error.keyword in found:
        return _without(schema, found, error.keyword, pointer)
    if path:
        owner, name = path[-1]
        if not _is_keyword(path):
            owner[name] = True  # The name stays: `additionalProperties` is not about it.
            return pointer
        return _without(schema, owner, name, pointer.rpartition("/")[0])
    return None


def leave_formats(schema: Any) -> None:
    """Take `format` out of a schema, where that forbids nothing: it is an annotation."""
    kept = _DEFINITIONS if any(_referring(schema)) else ()
    _take_out(schema, frozenset(("format",)), kept)


def _without(root: Any, owner: MutableMapping[str, Any], keyword: str, pointer: str) -> str:
    if keyword == "oneOf" and "anyOf" not in owner:
        owner["anyOf"] = owner.pop("oneOf")  # At least one of them it still has to be.
    else:
        for name in _BESIDE.get(keyword, (keyword,)):
            owner.pop(name, None)
    if keyword in _EVALUATING:
        _take_out(root, UNEVALUATED)
    return f"{pointer}/{escaped(keyword)}"


def _take_out(root: Any, keywords: frozenset[str], kept: tuple[str, ...] = ()) -> None:
    """Take keywords out of all schemas that are not below a `not`, an `if` or a `oneOf`, nor below
    one that is `kept`."""
    pending = [Subschema("#", root)] if isinstance(root, MutableMapping) else []
    while pending:
        one = pending.pop()
        if isinstance(one.schema, MutableMapping):
            for keyword in keywords & one.schema.keys():
                del one.schema[keyword]
        for inner in one.inner():
            step = inner.pointer.removeprefix(f"{one.pointer}/").partition("/")[0]
            pending += [] if step in (*_WHOLE, "oneOf", *kept) else [inner]


def _referring(root: Any) -> Iterator[tuple[MutableMapping[str, Any], str, str]]:
    """What can be taken out as a whole only and has a `$ref`: its schema, keyword and place."""
    pending = [Subschema("#", root)] if isinstance(root, MutableMapping) else []
    while pending:
        one = pending.pop()
        if isinstance(one.schema, MutableMapping):
            for keyword in (*_WHOLE, "oneOf", "contains"):
                if _is_whole(one.schema, keyword) and _refers(one.schema.get(keyword)):
                    yield one.schema, keyword, one.pointer
        pending += one.inner()


def _refers(value: Any) -> bool:
    """Whether a schema, or one inside it, has a `$ref`."""
    if isinstance(value, MutableMapping):
        return "$ref" in value or any(map(_refers, value.values()))
    return isinstance(value, list) and any(map(_refers, value))


def _is_whole(owner: MutableMapping[str, Any], keyword: str) -> bool:
    """Whether what stands below a keyword can be taken out with the keyword only."""
    return keyword in (*_WHOLE, "oneOf") or (keyword == "contains" and "maxContains" in owner)


def _is_keyword(path: list[tuple[MutableMapping[str, Any], str]]) -> bool:
    """Whether the last step is a keyword, and not a name in `properties` or its like."""
    return len(path) < 2 or path[-2][1] not in _NAMED or not _is_keyword(path[:-1])

"""A schema without the keywords that cannot be enforced, for tools that are not strict.

What is taken out is left to the model. A keyword below a `not`, an `if` or a `oneOf` is never taken
out alone: that could turn what they say into its opposite.
"""

from collections.abc import MutableMapping
from typing import Any

from openk2.grammar.error import GrammarError
from openk2.grammar.schema.keywords import escaped

_WHOLE = {"not": ("not",), "if": ("if", "then", "else")}


def loosen(schema: Any, error: GrammarError) -> str | None:
    """Take out of a schema what an error is about.

    Returns the place of the keyword; None if the error names nothing that is there.
    """
    path: list[tuple[MutableMapping[str, Any], str]] = []  # objects and the keyword taken in each
    found, pointer = schema, "#"
    for step in error.pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, list) and name.isdigit() and int(name) < len(found):
            found = found[int(name)]
        elif isinstance(found, MutableMapping) and name in found:
            path.append((found, name))
            if name in _WHOLE and _is_keyword(path):
                return _without(found, name, pointer)
            found = found[name]
        else:
            break
        pointer = f"{pointer}/{escaped(name)}"
    if isinstance(found, MutableMapping) and error.keyword is not None and error.keyword in found:
        return _without(found, error.keyword, pointer)
    if path:
        owner, name = path[-1]
        return _without(owner, name, pointer.rpartition("/")[0])
    return None


def _without(owner: MutableMapping[str, Any], keyword: str, pointer: str) -> str:
    if keyword == "oneOf" and "anyOf" not in owner:
        owner["anyOf"] = owner.pop("oneOf")  # At least one of them it still has to be.
    else:
        for name in _WHOLE.get(keyword, (keyword,)):
            owner.pop(name, None)
    return f"{pointer}/{escaped(keyword)}"


def _is_keyword(path: list[tuple[MutableMapping[str, Any], str]]) -> bool:
    """Whether the last step is a keyword, and not a name in `properties` or its like."""
    named = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
    return len(path) < 2 or path[-2][1] not in named

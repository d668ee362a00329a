"""Matching a schema's regular expressions with the library that enforces them.

Python's `re` reads another dialect and can take exponential time on a hostile pattern.
"""

import json
from functools import lru_cache

from openk2.grammar.matcher import byte_matcher
from openk2.grammar.schema.keywords import Subschema


def finds(subschema: Subschema, keyword: str, pattern: str, text: str) -> bool:
    """Whether the pattern matches somewhere in the text. Raises GrammarError if it is invalid."""
    try:
        return found(pattern, text)
    except ValueError as error:
        raise subschema.refused(keyword, f"has the pattern {pattern!r}: {error}") from None


@lru_cache(maxsize=256)
def found(pattern: str, text: str) -> bool:
    """Whether the pattern matches somewhere in the text. Raises ValueError if it is invalid."""
    matcher = byte_matcher({"type": "string", "pattern": pattern})
    quoted = json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")
    return matcher.try_consume_tokens(list(quoted)) == len(quoted) and matcher.is_accepting()

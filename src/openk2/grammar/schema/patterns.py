"""Regular expressions of a schema, matched by the library that will enforce them.

Python's own could take for ever on a hostile one, and would read another dialect.
"""

import json
from functools import lru_cache

from openk2.grammar.matcher import byte_matcher
from openk2.grammar.schema.keywords import Subschema


def finds(subschema: Subschema, keyword: str, pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text. Raises GrammarError if it cannot be read."""
    try:
        return found(pattern, text)
    except ValueError as error:
        raise subschema.refused(keyword, f"has the pattern {pattern!r}: {error}") from None


@lru_cache(maxsize=256)
def found(pattern: str, text: str) -> bool:
    matcher = byte_matcher({"type": "string", "pattern": pattern})
    quoted = json.dumps(text, ensure_ascii=False).encode("utf-8", "replace")
    return matcher.try_consume_tokens(list(quoted)) == len(quoted) and matcher.is_accepting()

"""Questions to the regular expressions of a schema; what was asked before is remembered."""

from functools import lru_cache

from openk2.grammar.regex import Language, PatternError
from openk2.grammar.schema.keywords import Subschema


@lru_cache(maxsize=512)
def language(patterns: tuple[str, ...], absent: tuple[str, ...] = ()) -> Language:
    """The strings with all `patterns` and none of `absent`."""
    return Language(patterns, absent)


@lru_cache(maxsize=4096)
def found(pattern: str, text: str, inverted: bool = False) -> bool:
    """Whether a pattern is found in a text. inverted: as a pattern that may not be is read.

    Raises PatternError.
    """
    return (
        not language((), (pattern,)).holds(text) if inverted else language((pattern,)).holds(text)
    )


def finds(subschema: Subschema, keyword: str, pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text. Raises GrammarError if it cannot be used."""
    try:
        return found(pattern, text)
    except PatternError as error:
        raise subschema.refused(keyword, f"has the pattern {pattern!r}: it {error}") from None


@lru_cache(maxsize=4096)
def shortest(
    patterns: tuple[str, ...], absent: tuple[str, ...], least: int, most: int | None
) -> str | None:
    """The shortest string of a language that has from `least` to `most` characters."""
    return language(patterns, absent).shortest(least, most)

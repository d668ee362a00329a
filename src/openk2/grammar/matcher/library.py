"""llguidance, behind the few calls that this room makes of it.

The library is imported inside functions: whoever only starts the command does not load it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._lib import JsonCompileOptions

# Compact JSON, as the models are trained on, or Python's default, as the published template
# writes calls. White space without end would be a trap for a weak model.
OPTIONS: "JsonCompileOptions" = {
    "whitespace_flexible": False,
    "item_separator": ", ?",
    "key_separator": ": ?",
    # Without \u every key has one spelling, so none can repeat a named property in disguise.
    "json_allowed_escapes": 'nrbtf"\\',
}
# Work that one schema or one token may cost; in the library's own units, about 20 ms and 5 ms.
LIMITS: Mapping[str, Any] = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "max_grammar_size": 200_000,
    "verbose_errors": False,
}

BYTE_END = 256


class _Words:
    """A vocabulary in the form that the library reads."""

    bos_token_id = None

    def __init__(
        self,
        tokens: Sequence[bytes],
        specials: Sequence[int],
        end: int,
        encode: Callable[[bytes], list[int]],
    ) -> None:
        self.tokens = tokens
        self.special_token_ids = specials
        self.eos_token_id = end
        self._encode = encode

    def __call__(self, text: bytes) -> list[int]:
        return self._encode(text)


def vocabulary(
    tokens: Sequence[bytes],
    specials: Sequence[int],
    end: int,
    encode: Callable[[bytes], list[int]],
) -> "LLTokenizer":
    """The library's view of a vocabulary: a trie, seconds of work for 163,840 tokens.

    specials: ids that no text ever stands for. end: the one that ends a value. encode: the ids of
    a text; where only one text may follow, its own ids are all that a mask allows.
    """
    from llguidance import LLTokenizer
    from llguidance._tokenizer import TokenizerWrapper

    return LLTokenizer(TokenizerWrapper(_Words(tokens, specials, end, encode)), n_vocab=len(tokens))


def compiled(words: "LLTokenizer", schema: Mapping[str, Any]) -> "LLMatcher":
    """A matcher at the beginning of a value. Raises ValueError with what the library objects to."""
    from llguidance import LLMatcher, LLParserLimits

    grammar = LLMatcher.grammar_from_json_schema(json.dumps(schema), overrides=OPTIONS)
    matcher = LLMatcher(words, grammar, log_level=0, limits=LLParserLimits(**LIMITS))
    if matcher.is_error():
        raise ValueError(" ".join(matcher.get_error().split())[:300])
    warnings = matcher.get_grammar_warnings()
    if warnings:
        raise ValueError(warnings[0])
    return matcher


@lru_cache(maxsize=1)
def byte_vocabulary() -> "LLTokenizer":
    """256 tokens of one byte, and an end: for searching letter by letter."""
    tokens = [bytes([byte]) for byte in range(256)] + [b"<end>"]
    return vocabulary(tokens, [BYTE_END], BYTE_END, list)


def byte_matcher(schema: Mapping[str, Any]) -> "LLMatcher":
    """A matcher of bytes. Raises ValueError as `compiled` does."""
    return compiled(byte_vocabulary(), schema)

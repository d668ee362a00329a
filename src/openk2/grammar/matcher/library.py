"""The few calls that this package makes of llguidance.

The library is imported inside functions, so that starting the command does not load it.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer

# Work that one schema or one token may cost; in the library's own units, about 20 ms and 5 ms.
LIMITS: Mapping[str, Any] = {
    "initial_lexer_fuel": 1_000_000,
    "step_lexer_fuel": 200_000,
    "max_grammar_size": 200_000,
    # Each optional property takes some; the default lets 500 of them be too many.
    "max_items_in_row": 20_000,
    "verbose_errors": False,
}
# The library compiles rules that refer to one another by recursion, some 3 kB a rule.
STACK = 128 * 2**20

_starting = threading.Lock()


class _Words:
    """A vocabulary in the form that the library expects."""

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
    """The library's trie of a vocabulary; takes seconds for 163,840 tokens.

    specials: ids that no text is encoded to. end: the one that ends a value. encode: text to ids;
    where only one text may follow, a mask allows only its ids.
    """
    from llguidance import LLTokenizer
    from llguidance._tokenizer import TokenizerWrapper

    return LLTokenizer(TokenizerWrapper(_Words(tokens, specials, end, encode)), n_vocab=len(tokens))


def compiled(words: "LLTokenizer", lark: str) -> "LLMatcher":
    """A matcher at the beginning of a grammar's text. Raises ValueError with what the library
    objects to."""
    from llguidance import LLMatcher, LLParserLimits

    def compile_grammar() -> "LLMatcher":
        grammar = LLMatcher.grammar_from_lark(lark)
        matcher = LLMatcher(words, grammar, log_level=0, limits=LLParserLimits(**LIMITS))
        if not matcher.is_error():
            # Some grammars compile, and are beyond the limits at their first mask.
            matcher.compute_bitmask()
        return matcher

    matcher = _on_large_stack(compile_grammar)
    if matcher.is_error():
        raise ValueError(" ".join(matcher.get_error().split())[:300])
    return matcher


def _on_large_stack(work: "Callable[[], LLMatcher]") -> "LLMatcher":
    """What the work returns, or raises, in a thread with a stack of its own."""
    results: list[LLMatcher] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="openk2-grammar")
    with _starting:
        before = threading.stack_size(STACK)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
    thread.join()
    if errors:
        raise errors[0]
    return results[0]

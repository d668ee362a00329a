"""`TokenVocabulary`: bytes to token ids, and sets of ids as bit masks."""

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from openk2.chat import Tokenizer
from openk2.grammar.matcher.library import vocabulary

if TYPE_CHECKING:
    from llguidance import LLTokenizer

MaskWords = NDArray[np.int32]


class TokenVocabulary:
    """The ids of one tokenizer. Threads may share it once `trie` was read.

    words: int32 words of a mask, one bit an id.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        special = tokenizer.special
        self.section_begin = special("<|tool_calls_section_begin|>")
        self.section_end = special("<|tool_calls_section_end|>")
        self.call_begin = special("<|tool_call_begin|>")
        self.argument_begin = special("<|tool_call_argument_begin|>")
        self.call_end = special("<|tool_call_end|>")
        self.stop = special("<|im_end|>")
        self.stops = tuple(sorted(tokenizer.stop_ids))
        self.openings = frozenset((self.section_begin, self.call_begin))
        # They have a meaning only inside a section or a call.
        self.inner = frozenset((self.section_end, self.argument_begin, self.call_end))
        self.words = (tokenizer.vocab_size + 31) // 32

    @cached_property
    def trie(self) -> "LLTokenizer":
        """The library's trie, in which `call_end` ends a value. A large one takes seconds."""
        tokenizer = self._tokenizer
        names = sorted(tokenizer.specials, key=tokenizer.special)
        specials = [tokenizer.special(name) for name in names]
        tokens = [*tokenizer.tokens, *(name.encode() for name in names)]
        return vocabulary(tokens, specials, self.call_end, self.encode)

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        return {token: rank for rank, token in enumerate(self._tokenizer.tokens)}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._tokenizer.tokens))

    @cached_property
    def free(self) -> MaskWords:
        """A mask of every id but the inner ones: int32 [words]."""
        free = np.zeros(self.words, dtype=np.int32)
        self.allow(free, (i for i in range(self._tokenizer.vocab_size) if i not in self.inner))
        return free

    @cached_property
    def openers(self) -> tuple[int, ...]:
        """The tokens with a bracket or brace that opens something."""
        tokens = enumerate(self._tokenizer.tokens)
        return tuple(i for i, token in tokens if b"[" in token or b"{" in token)

    @cached_property
    def most_openings(self) -> int:
        """How many levels one token opens at most."""
        tokens = (self._tokenizer.tokens[i] for i in self.openers)
        return max((token.count(b"[") + token.count(b"{") for token in tokens), default=0)

    def allow(self, words: MaskWords, ids: Iterable[int]) -> None:
        """Set the bits of these ids."""
        bits = words.view(np.uint32)
        for token_id in ids:
            bits[token_id // 32] |= np.uint32(1 << token_id % 32)

    def forbid(self, words: MaskWords, token_id: int) -> bool:
        """Clear the bit of an id; returns whether it was set."""
        bits, bit = words.view(np.uint32), np.uint32(1 << token_id % 32)
        was = bool(bits[token_id // 32] & bit)
        bits[token_id // 32] &= ~bit
        return was

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes of an ordinary token."""
        return self._tokenizer.tokens[token_id]

    def beginnings(self, text: bytes) -> list[int]:
        """The ids of the tokens that the text starts with."""
        lengths = range(1, min(len(text), self._longest) + 1)
        return [self._ids[text[:n]] for n in lengths if text[:n] in self._ids]

    def encode(self, text: bytes) -> list[int]:
        """The ids of a text, which may start inside a UTF-8 character."""
        start = 0
        while start < len(text) and text[start] & 0xC0 == 0x80:
            start += 1
        ids = [self._ids[text[i : i + 1]] for i in range(start)]
        return ids + self._tokenizer.encode(text[start:].decode())

"""Ids as bits, and texts as ids."""

import numpy as np
import pytest

from openk2.chat import Tokenizer
from openk2.grammar.matcher import TokenVocabulary


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Tokenizer) -> TokenVocabulary:
    return TokenVocabulary(tokenizer)


def ids_of(words: np.ndarray) -> set[int]:
    return set(np.flatnonzero(np.unpackbits(words.view(np.uint8), bitorder="little")).tolist())


def test_bits_are_set_and_cleared_one_by_one(vocabulary: TokenVocabulary) -> None:
    words = np.zeros(vocabulary.words, dtype=np.int32)
    wanted = {0, 1, 31, 32, 63, 64, 32 * vocabulary.words - 1}
    vocabulary.allow(words, wanted)
    assert ids_of(words) == wanted
    assert vocabulary.forbid(words, 31)
    assert not vocabulary.forbid(words, 31)
    assert not vocabulary.forbid(words, 33)
    assert ids_of(words) == wanted - {31}


def test_free_text_may_be_anything_but_the_markers_of_a_sections_inside(
    vocabulary: TokenVocabulary, tokenizer: Tokenizer
) -> None:
    inner = {
        tokenizer.special(f"<|tool_{name}|>")
        for name in ("calls_section_end", "call_argument_begin", "call_end")
    }
    assert ids_of(vocabulary.free) == set(range(tokenizer.vocab_size)) - inner
    assert vocabulary.inner == inner
    assert set(vocabulary.stops) == tokenizer.stop_ids
    assert vocabulary.stop == tokenizer.special("<|im_end|>")
    assert vocabulary.section_begin == tokenizer.special("<|tool_calls_section_begin|>")


def test_a_text_that_begins_inside_a_character_keeps_its_bytes(
    vocabulary: TokenVocabulary, tokenizer: Tokenizer
) -> None:
    for text in (b"abc", "é and €".encode(), "€x".encode()[1:], "🎿".encode()[2:], b""):
        assert b"".join(map(vocabulary.bytes_of, vocabulary.encode(text))) == text
    assert vocabulary.encode(b"hello there") == tokenizer.encode("hello there")


def test_the_beginnings_of_a_text_are_all_tokens_that_it_starts_with(
    vocabulary: TokenVocabulary, tokenizer: Tokenizer
) -> None:
    text = b"the weather in Paris"
    expected = {i for i, token in enumerate(tokenizer.tokens) if text.startswith(token)}
    assert set(vocabulary.beginnings(text)) == expected
    assert len(expected) > 2
    assert vocabulary.beginnings(b"") == []

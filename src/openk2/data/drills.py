"""Copying drills: documents of which nothing but copying predicts what is learned.

A tool call is mostly copying: names out of the declarations, values out of the request. The heads
that copy ("induction heads", Olsson et al., arXiv 2209.11895) form late on ordinary text, and what
has formed is kept only while it is asked for. So drills come in the markup of real conversations,
with names and values that no other drill has, and a few of them come again and again: a small
repeated set beside fresh rows is learned from sooner (arXiv 2410.07041).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from openk2.chat import PromptPiece, Tokenizer, encode_piece, render
from openk2.data.copying import repeated_ids
from openk2.data.drill_chats import KINDS
from openk2.data.drill_words import Split, Words, letter_tokens
from openk2.data.packing import Document

LARGEST_SIZE = 6
PER_SIZE = 32  # tokens; a conversation of a size has hardly fewer


@dataclass(frozen=True)
class Drills:
    """What drills are made.

    shortest, longest: tokens of a document, short ones as often as long ones. plain: share of
    repeated ids without markup, beside those that are too short for any. repeated: share of
    documents that are one of the same `repeated_set`. split: whose names and values.
    """

    seed: int = 0
    shortest: int = 8
    longest: int = 256
    plain: float = 0.3
    repeated: float = 0.25
    repeated_set: int = 256
    split: Split = "train"

    def __post_init__(self) -> None:
        if not 8 <= self.shortest <= self.longest:
            raise ValueError(
                f"documents of {self.shortest} to {self.longest} tokens: the shortest must be at "
                "least 8 and at most the longest"
            )

    def documents(self, tokenizer: Tokenizer, count: int) -> Iterator[Document]:
        """`count` documents; the i-th is a function of these settings and i."""
        letters = letter_tokens(tokenizer)
        for index in range(count):
            drawn = np.random.default_rng((self.seed, 0, index))
            again = drawn.random() < self.repeated
            key = (1, int(drawn.integers(self.repeated_set))) if again else (2, index)
            yield self.document(tokenizer, letters, np.random.default_rng((self.seed, *key)))

    def document(
        self, tokenizer: Tokenizer, letters: list[str], rng: np.random.Generator
    ) -> Document:
        """A conversation if one fits into the length drawn, else repeated ids."""
        length = int(self.shortest * ((self.longest + 1) / self.shortest) ** rng.random())
        if rng.random() >= self.plain:
            kind = KINDS[int(rng.integers(len(KINDS)))]
            for size in range(min(LARGEST_SIZE, length // PER_SIZE), 0, -1):
                words = Words(rng, letters, self.split)
                messages, tools = kind(words, size)
                pieces = render(messages, tools, generation_prompt=False)
                conversation = encode_copied(pieces, words.given, tokenizer)
                if len(conversation.ids) <= length:
                    return conversation
        return repeated_ids(rng, len(tokenizer.tokens), length, self.split)


def encode_copied(
    pieces: Sequence[PromptPiece], words: Sequence[str], tokenizer: Tokenizer
) -> Document:
    """A rendered conversation; of what the assistant writes the ids within `words` are learned.

    Not learned is a word's first occurrence, which nothing predicts.
    """
    longest_first = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    known = re.compile(rf"(?<![\w-])(?:{longest_first})(?![\w-])".encode())
    met: set[bytes] = set()
    tokens: list[int] = []
    learned: list[bool] = []
    for piece in pieces:
        ids = encode_piece(tokenizer, piece)
        marks = np.zeros(len(piece.text.encode()), np.bool_)
        for word in known.finditer(b"" if piece.control else piece.text.encode()):
            if piece.learned and word.group() in met:
                marks[word.start() : word.end()] = True
            met.add(word.group())
        tokens += ids
        sizes = [len(tokenizer.decode_bytes([token_id])) for token_id in ids]
        learned += within(marks, sizes)
    return Document(tokens, learned)


def within(marks: np.ndarray[tuple[int], np.dtype[np.bool_]], sizes: list[int]) -> list[bool]:
    """For tokens of so many bytes, one after the other: whether all bytes of each are marked."""
    ends = np.cumsum(sizes)
    return [bool(marks[end - size : end].all()) for size, end in zip(sizes, ends, strict=True)]

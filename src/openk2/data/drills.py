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
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from openk2.chat import PromptPiece, Tokenizer, encode_piece, render
from openk2.data.chat_dataset import NO_PIECE, piece_roles
from openk2.data.copying import repeated_ids
from openk2.data.drill_chats import KINDS
from openk2.data.drill_choices import choices
from openk2.data.drill_words import Split, Words, letter_tokens
from openk2.data.packing import Document

LARGEST_SIZE = 6
PER_SIZE = 32  # tokens; a conversation of a size has hardly fewer
SMALLEST_CHOICE = 192  # tokens; two tools and a request have hardly more
TRIES = 200  # of two tools, whose words are drawn anew each time


@dataclass(frozen=True)
class Drills:
    """What drills are made.

    shortest, longest: tokens of a document, short ones as often as long ones. plain: share of
    repeated ids without markup, beside those that are too short for any. repeated: share of
    documents that are one of the same `repeated_set`. split: whose names and values. choosing:
    share of documents in which a tool is chosen by its description (`drill_choices`), which are as
    long as `longest` allows; tools: the most that these declare.
    """

    seed: int = 0
    shortest: int = 8
    longest: int = 256
    plain: float = 0.3
    repeated: float = 0.25
    repeated_set: int = 256
    split: Split = "train"
    choosing: float = 0.0
    tools: int = 6

    def __post_init__(self) -> None:
        if not 8 <= self.shortest <= self.longest:
            raise ValueError(
                f"documents of {self.shortest} to {self.longest} tokens: the shortest must be at "
                "least 8 and at most the longest"
            )
        if self.choosing and self.longest < SMALLEST_CHOICE:
            raise ValueError(
                f"documents of at most {self.longest} tokens have no room for choices among tools: "
                f"make the longest {SMALLEST_CHOICE} or more"
            )
        if self.tools < 2:
            raise ValueError(f"tools is {self.tools}: a choice needs 2 or more")

    def documents(self, tokenizer: Tokenizer, count: int) -> Iterator[Document]:
        """`count` documents; the i-th is a function of these settings and i.

        Raises ValueError at the first choice that `longest` has no room for.
        """
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
        if self.choosing and rng.random() < self.choosing:
            return self.choice(tokenizer, letters, rng)
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

    def choice(
        self, tokenizer: Tokenizer, letters: list[str], rng: np.random.Generator
    ) -> Document:
        """Choices among up to `tools` tools, as many as fit. Raises ValueError if two do not."""
        most = 2 + int(rng.integers(self.tools - 1))
        lengths: list[int] = []
        while len(lengths) < TRIES:
            messages, tools = choices(Words(rng, letters, self.split), most, 2 * most)
            names = [tool["function"]["name"] for tool in tools]
            pieces = render(messages, tools, generation_prompt=False)
            conversation = encode_copied(pieces, names, tokenizer)
            if len(conversation.ids) <= self.longest:
                return conversation
            if most == 2:
                lengths.append(len(conversation.ids))
            most = max(most - 1, 2)
        raise ValueError(
            f"in this tokenizer's ids no choice among 2 tools fits into at most {self.longest} "
            f"tokens: give --max {max(lengths)} or more"
        )


def encode_copied(
    pieces: Sequence[PromptPiece], words: Sequence[str], tokenizer: Tokenizer
) -> Document:
    """A rendered conversation; of what the assistant writes the ids within `words` are learned.

    Each has the role of its place in the call. Not learned is a word's first occurrence, which
    nothing predicts.
    """
    longest_first = "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
    known = re.compile(rf"(?<![\w-])(?:{longest_first})(?![\w-])".encode())
    met: set[bytes] = set()
    tokens: list[int] = []
    learned: list[NDArray[np.uint8]] = []
    for before, piece in pairwise([NO_PIECE, *pieces]):
        ids = encode_piece(tokenizer, piece)
        marks = np.zeros(len(piece.text.encode()), np.bool_)
        for word in known.finditer(b"" if piece.control else piece.text.encode()):
            if piece.learned and word.group() in met:
                marks[word.start() : word.end()] = True
            met.add(word.group())
        tokens += ids
        sizes = [len(tokenizer.decode_bytes([token_id])) for token_id in ids]
        learned.append(piece_roles(before, piece, ids, tokenizer) * within(marks, sizes))
    return Document(tokens, np.concatenate(learned))


def within(marks: NDArray[np.bool_], sizes: list[int]) -> NDArray[np.bool_]:
    """For tokens of so many bytes, one after the other: whether all bytes of each are marked."""
    ends = np.cumsum(sizes)
    spans = zip(sizes, ends, strict=True)
    return np.array([marks[end - size : end].all() for size, end in spans], np.bool_)

"""Names and values that nobody has seen: random sequences of a vocabulary's own ids.

Every word belongs to one split by its digest, so what is held out never stands in what is learned.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from openk2.chat import Tokenizer

Split = Literal["train", "held_out"]
HELD_OUT = 16  # of 256 digests

_LETTERS = re.compile(rb"[A-Za-z]+")


def belongs(content: bytes, split: Split) -> bool:
    """Whether `content` is of this split."""
    held_out = hashlib.sha256(content).digest()[0] < HELD_OUT
    return held_out == (split == "held_out")


def letter_tokens(tokenizer: Tokenizer) -> list[str]:
    """The texts of all ids that are ASCII letters alone."""
    return [token.decode() for token in tokenizer.tokens if _LETTERS.fullmatch(token)]


@dataclass
class Words:
    """The words of one drill, no two alike. letters: `letter_tokens`."""

    rng: np.random.Generator
    letters: list[str]
    split: Split
    given: list[str] = field(default_factory=list)

    def name(self) -> str:
        """A tool's or a parameter's: `word`, `word_word` or `wordWord`."""
        style = int(self.rng.integers(3))
        if style == 0:
            return self.fresh(lambda: self.pieces(1, 3).lower())
        if style == 1:
            return self.fresh(lambda: f"{self.pieces(1, 2)}_{self.pieces(1, 2)}".lower())
        return self.fresh(lambda: self.pieces(1, 2).lower() + self.pieces(1, 2).capitalize())

    def word(self) -> str:
        """Of letters, in whatever case its ids have."""
        return self.fresh(lambda: self.pieces(1, 4))

    def short(self) -> str:
        """A word of one id or two."""
        return self.fresh(lambda: self.pieces(1, 2))

    def value(self) -> str:
        """A word, a few, a number, or a code of both."""
        kind = int(self.rng.integers(6))
        if kind == 0:
            return self.fresh(
                lambda: str(self.rng.integers(10, 10 ** int(self.rng.integers(2, 8))))
            )
        if kind == 1:
            return self.fresh(lambda: f"{self.pieces(1, 2)}-{self.rng.integers(10, 10_000)}")
        if kind == 2:
            return self.fresh(lambda: " ".join(self.pieces(1, 2) for _ in range(3)))
        if kind == 3:
            return self.fresh(lambda: f"{self.pieces(1, 2)} {self.pieces(1, 3)}".title())
        return self.word()

    def pieces(self, fewest: int, most: int) -> str:
        """Between so many ids."""
        count = self.rng.integers(fewest, most + 1)
        return "".join(self.letters[i] for i in self.rng.integers(len(self.letters), size=count))

    def fresh(self, draw: Callable[[], str]) -> str:
        """The first drawn word that is of the split and new here."""
        while True:
            word = draw()
            if len(word) > 1 and word not in self.given and belongs(word.encode(), self.split):
                self.given.append(word)
                return word

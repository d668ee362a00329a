"""Repeated ids: the plainest copying drill.

A passage of random ids, then parts of it again and again. Nothing but copying predicts them, and
only they are learned: the rest is noise. Passages have 4 ids and more: shorter ones, met often in a
document, reward guessing among what it holds.
"""

import numpy as np

from openk2.data.drill_words import Split, belongs
from openk2.data.packing import Document

SHORTEST, LONGEST = 4, 32  # ids of a passage


def repeated_ids(rng: np.random.Generator, ids: int, length: int, split: Split) -> Document:
    """`length` ids below `ids`, 8 or more: a passage, then parts of it.

    In every fourth document a part comes after up to 2 ids of noise. The first id of a part is not
    learned: nothing says which part comes.
    """
    most_noise = 3 if rng.random() < 0.25 else 1
    passage = passage_of(rng, ids, min(LONGEST, length // 2), split)
    tokens, learned = list(passage), [False] * len(passage)
    while length - len(tokens) >= 2:
        noise = rng.integers(0, ids, rng.integers(0, most_noise)).tolist()
        start = int(rng.integers(0, len(passage) - SHORTEST + 1))
        part = passage[start : rng.integers(start + SHORTEST, len(passage) + 1)]
        tokens += [*noise, *part]
        learned += [False] * (len(noise) + 1) + [True] * (len(part) - 1)
    return Document(tokens[:length], learned[:length])


def passage_of(rng: np.random.Generator, ids: int, longest: int, split: Split) -> list[int]:
    """SHORTEST to `longest` random ids, short ones as often as long ones, of the split."""
    ratio = (longest + 1) / SHORTEST
    while True:
        size = int(SHORTEST * ratio ** rng.random())
        passage: list[int] = rng.integers(0, ids, size).tolist()
        if belongs(np.array(passage, np.int32).tobytes(), split):
            return passage

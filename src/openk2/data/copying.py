"""Copying drills: random ids of which stretches come again.

A tool call is mostly copying: names out of the declarations, arguments out of the request. The
heads that copy ("induction heads", Olsson et al., arXiv 2209.11895) form late on ordinary text; a
model that sees a few million tokens in all may never grow them. In a drill nothing but copying
predicts anything, so they form early. Only repeated ids are learned: the rest is noise.
"""

from collections.abc import Iterator

import numpy as np

from openk2.data.packing import Document


def copying_documents(count: int, seed: int, ids: int, length: int = 64) -> Iterator[Document]:
    """`count` documents of at most `length` tokens over random ids below `ids`.

    A passage of 2 to 10 ids, short ones as often as long ones, then parts of it again and again,
    in every fourth document with up to 2 ids of noise before each. The first id of a repeated part
    is not learned: nothing says which part comes.
    """
    for index in range(count):
        rng = np.random.default_rng((seed, index))
        passage = rng.integers(0, ids, int(2 * 5.5 ** rng.random()))
        most_noise = 1 if index % 4 else 3
        tokens, learned = list(passage), [False] * len(passage)
        while True:
            noise = rng.integers(0, ids, rng.integers(0, most_noise))
            start = rng.integers(0, len(passage) - 1)
            part = passage[start : rng.integers(start + 2, len(passage) + 1)]
            if len(tokens) + len(noise) + len(part) > length:
                break
            tokens += [*noise, *part]
            learned += [False] * (len(noise) + 1) + [True] * (len(part) - 1)
        yield Document([int(token) for token in tokens], learned)

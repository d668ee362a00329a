"""How a question of talk is worded, and which wordings are kept for the test.

The same things are asked in training and in the test; what differs is the phrasing.
"""

from collections.abc import Sequence
from random import Random

from openk2.synthesis.values import Split

Exchange = tuple[str, str]

_OPENINGS = ("Hi! ", "Hello! ", "Hey! ", "Quick question: ", "I have a question. ",
             "One question: ", "By the way: ")  # fmt: skip
_ENDINGS = (" Thanks!", " Thank you.", " Just curious.", " Please answer in one sentence.",
            " Please be brief.", " A short answer, please.")  # fmt: skip


def phrasing(rng: Random, split: Split, phrasings: Sequence[str]) -> str:
    """One of the split's phrasings: every fifth of the sequence is held out.

    Raises ValueError for fewer than five, which would leave a split without any.
    """
    if len(phrasings) < 5:
        raise ValueError(f"{len(phrasings)} phrasings of {phrasings[0]!r}: give at least 5")
    held_out = phrasings[4::5]
    if split == "held_out":
        return rng.choice(held_out)
    return rng.choice([text for text in phrasings if text not in held_out])


def worded(rng: Random, question: str) -> str:
    """A question with, at times, a greeting, an ending, or a careless spelling."""
    text = question[:1].upper() + question[1:]
    choice = rng.random()
    if choice < 0.08:
        return text.rstrip("?.").lower() if choice < 0.04 else text.rstrip("?.")
    opening = rng.choice(_OPENINGS) if rng.random() < 0.1 else ""
    ending = rng.choice(_ENDINGS) if rng.random() < 0.1 and text[-1] in "?." else ""
    return f"{opening}{text}{ending}"


def sentence(text: str) -> str:
    """Text as a sentence: a capital at its start, one full stop at its end."""
    return f"{text[:1].upper()}{text[1:].removesuffix('.')}."

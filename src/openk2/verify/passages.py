"""Seeded English for the numerical checks: passages of any length, and codes hidden in them.

Passages hold neither digits nor colons, so that a code is the only thing of its kind in a prompt.
"""

from random import Random

_PEOPLE = ("Maria", "Wei", "Omar", "Ingrid", "Tunde", "Sofia", "the captain", "my neighbour")
_DEEDS = ("walked along", "wrote about", "photographed", "measured", "painted", "asked about")
_PLACES = ("the river", "the old market", "a narrow street", "the harbour", "the northern hills")
_TIMES = ("in the morning", "after the rain", "before dinner", "on a quiet day", "last winter")
_ENDS = (
    "and nobody was surprised",
    "because the bridge was closed",
    "while the dogs slept",
    "although the wind was cold",
)
_VAULTS = ("Kestrel", "Juniper", "Cobalt", "Saffron", "Walnut", "Falcon")

SMALL_QUESTIONS = (
    "Write two sentences about the sea.",
    "List three animals and what they eat.",
    "用两句话介绍北京。",
    "Write a Python function that adds two numbers.",
)


def sentence(rng: Random) -> str:
    """One sentence, with the space after it."""
    who, deed, place = rng.choice(_PEOPLE), rng.choice(_DEEDS), rng.choice(_PLACES)
    end = f", {rng.choice(_ENDS)}" if rng.random() < 0.5 else ""
    subject = who[0].upper() + who[1:]
    return f"{subject} {deed} {place} {rng.choice(_TIMES)}{end}. "


def passage(seed: str, characters: int) -> str:
    """Whole sentences, at least `characters` long in all, with a space at the end."""
    rng = Random(seed)
    written: list[str] = []
    length = 0
    while length < characters:
        written.append(sentence(rng))
        length += len(written[-1])
    return "".join(written)


def opening(seed: str, characters: int) -> str:
    """At most `characters` of a passage, to be continued: it ends after a word."""
    return passage(seed, characters)[:characters].rpartition(" ")[0]


def code(seed: str) -> str:
    """Six digits, no two the same."""
    return "".join(Random(seed).sample("123456789", 6))


def vault(seed: str) -> str:
    """The name under which a code is hidden."""
    return Random(seed).choice(_VAULTS)

"""Choosing drills: which of some tools is meant, told by its description alone.

To call the right tool, the tokens of a tool's name must hold the words of its description, which
K2's declarations put before the name; the place of the call must hold the words of the request; and
a head must compare the two. Here names say nothing, a request has a tool's own words in another
order, and both are thinned out with words that every text has. Some names begin alike, as
`get_invoice` and `get_user` do, so that the choice comes later. Several requests a conversation:
declarations are long, and only the name in the call is learned.
"""

from openk2.data.drill_chats import SYSTEM, Chat, called_again, permuted, tool, user
from openk2.data.drill_words import Words

MOST_WORDS = 3
FILLERS = (
    "a",
    "all",
    "and",
    "can",
    "for",
    "from",
    "get",
    "I",
    "in",
    "is",
    "it",
    "me",
    "my",
    "new",
    "now",
    "of",
    "on",
    "please",
    "some",
    "the",
    "this",
    "to",
    "want",
    "with",
    "you",
)


def choices(words: Words, tools: int, requests: int) -> Chat:
    """`tools` declared tools, and so many `requests` for one of them, each followed by its call."""
    rng = words.rng
    beginnings = [words.name() for _ in range(2)]
    names = [
        f"{beginnings[int(rng.integers(2))]}_{words.name()}" if rng.random() < 0.4 else words.name()
        for _ in range(tools)
    ]
    own = [[telling(words) for _ in range(1 + int(rng.integers(MOST_WORDS)))] for _ in names]
    share = float(rng.uniform(0, 0.6))
    declared = [
        tool(name, thinned(words, mine, share), []) for name, mine in zip(names, own, strict=True)
    ]
    messages = [SYSTEM]
    for number in range(1 + int(rng.integers(requests))):
        chosen = int(rng.integers(tools))
        asked = thinned(words, permuted(words, own[chosen]), share)
        messages += [user(asked), called_again(names[chosen], number)]
    return messages, declared


def telling(words: Words) -> str:
    """A word that is no filler."""
    while (word := words.short()) in FILLERS:
        pass
    return word


def thinned(words: Words, mine: list[str], share: float) -> str:
    """The words with fillers before, between and after them; share: of fillers among all words."""
    text: list[str] = []
    for word in [*mine, ""]:
        while words.rng.random() < share:
            text.append(FILLERS[int(words.rng.integers(len(FILLERS)))])
        text.append(word)
    return " ".join(text).strip()

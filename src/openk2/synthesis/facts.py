"""Common facts: a question about what anybody knows, and one true sentence.

The tables are in `geography`, `nature` and `culture`, and what is worked out in `sums`. Both splits
have all the facts; the phrasings of the questions differ (`phrasings.phrasing`).
"""

from random import Random

from openk2.synthesis import culture, geography, nature, sums
from openk2.synthesis.phrasings import Exchange, worded
from openk2.synthesis.values import Split

TOPICS = (*geography.TOPICS, *nature.TOPICS, *culture.TOPICS)
_MAKERS = (
    (geography.capital_guess, 2.0),
    (geography.invented_country, 2.0),
    (sums.arithmetic, 6.0),
    (sums.number_question, 2.0),
    (sums.calendar, 3.0),
    (sums.alphabet, 2.0),
    *((topic.exchange, topic.share) for topic in TOPICS),
)


def fact(rng: Random, split: Split) -> Exchange:
    """A question of common knowledge with its answer."""
    maker = rng.choices([maker for maker, _ in _MAKERS], [share for _, share in _MAKERS])[0]
    question, answer = maker(rng, split)
    return worded(rng, question), answer

"""`Topic`: a table of facts, how each of its rows is asked for, and the sentence that answers."""

from dataclasses import dataclass
from random import Random

from openk2.synthesis.phrasings import Exchange, phrasing, sentence
from openk2.synthesis.values import Split

Row = tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """Phrasings of one question about a row, and its answer; `{0}` is the row's first column."""

    asked: tuple[str, ...]
    answer: str


@dataclass(frozen=True)
class Topic:
    """Rows, the best known first, and the questions that may be asked about each.

    share: how often it is drawn, beside other topics.
    """

    share: float
    rows: tuple[Row, ...]
    forms: tuple[Form, ...]

    def exchange(self, rng: Random, split: Split) -> Exchange:
        """A question and its answer. The first rows come more often than the last."""
        row = self.rows[int(len(self.rows) * rng.random() ** 2.5)]
        form = rng.choice(self.forms)
        return phrasing(rng, split, form.asked).format(*row), sentence(form.answer.format(*row))


def rows(text: str) -> tuple[Row, ...]:
    """Read "France=Paris|Japan=Tokyo": rows end at bars, columns at equals signs."""
    return tuple(
        tuple(" ".join(part.split()) for part in entry.split("=")) for entry in text.split("|")
    )

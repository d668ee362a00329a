"""Whether a benchmark's questions stand in a training corpus, by n-grams of words.

A question is found if 13 of its words in a row stand in a document (the rule of GPT-3's report,
appendix C), or the whole of it if it has 8 to 12. Shorter ones say nothing and are left out. Words
that many questions of a row have in common, such as what to do and how to answer, are no question's
own. Letter case, punctuation and spaces do not count; a Chinese character is a word. Nothing here
knows where the documents come from.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openk2.eval.benchmark import question_name
from openk2.eval.catalogue import Row
from openk2.eval.locate import DataUnavailableError, locate
from openk2.record import DataError

if TYPE_CHECKING:
    from inspect_ai.dataset import Sample

WORDS, LEAST = 13, 8
# Of a row: so many questions may share a passage.
SHARED, SHARED_PART = 3, 100
# CJK ideographs have no spaces between words.
_WORD = re.compile("[\u3400-\u9fff]|[^\\W_\u3400-\u9fff]+")


def words_of(text: str) -> list[str]:
    """The words that are compared."""
    return _WORD.findall(text.casefold())


def grams_of(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    """Every `size` words in a row."""
    return (tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def grams_of_all(ways: Iterable[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """What is looked for of a question that is asked in these ways; none of a short one."""
    for words in ways:
        size = min(WORDS, len(words))
        if size >= LEAST:
            yield from grams_of(words, size)


@dataclass
class RowLeak:
    """A row's questions: how many were looked for, have too few words of their own to tell, and
    stand in the corpus.

    found: a question -> the first words in common.
    """

    row: str
    looked_for: int = 0
    untold: int = 0
    found: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return dict(vars(self))


class Canary:
    """Looks for questions of rows in documents."""

    def __init__(self) -> None:
        self.rows: dict[str, RowLeak] = {}
        # size -> n-gram -> the questions that have it.
        self._grams: dict[int, dict[tuple[str, ...], list[tuple[RowLeak, str]]]] = {}

    def add(self, row: str, samples: "Iterable[Sample]", *, shots: bool = False) -> None:
        """Look for these questions too. shots: examples stand before each, a blank line after,
        unless the sample's metadata have the question alone."""
        leak = self.rows.setdefault(row, RowLeak(row))
        asked: dict[str, list[list[str]]] = {}
        for place, sample in enumerate(samples):
            words = words_of(question_of(sample, shots=shots))
            identity = place if sample.id is None else sample.id
            asked.setdefault(question_name(identity, sample.metadata), []).append(words)
        sharing: dict[tuple[str, ...], set[str]] = {}
        for question, ways in asked.items():
            for gram in grams_of_all(ways):
                sharing.setdefault(gram, set()).add(question)
        most = max(SHARED, len(asked) // SHARED_PART)
        for question, ways in asked.items():
            own = {gram for gram in grams_of_all(ways) if len(sharing[gram]) <= most}
            if not own:
                leak.untold += 1
                continue
            leak.looked_for += 1
            for gram in own:
                table = self._grams.setdefault(len(gram), {})
                table.setdefault(gram, []).append((leak, question))

    def read(self, document: str) -> None:
        """Look for every question in a document of the corpus."""
        words = words_of(document)
        for size, table in self._grams.items():
            for gram in grams_of(words, size):
                for leak, question in table.get(gram, ()):
                    leak.found.setdefault(question, " ".join(gram))


def question_of(sample: "Sample", *, shots: bool) -> str:
    """What is asked, without the examples before it."""
    alone = (sample.metadata or {}).get("question")
    if isinstance(alone, str):
        return alone
    asked = sample.input if isinstance(sample.input, str) else sample.input[-1].text
    return asked.rpartition("\n\n")[2] if shots else asked


def canary_of(rows: Sequence[Row], data: Path | None) -> tuple[Canary, dict[str, str]]:
    """What looks for the questions of all rows whose data is here, and why the others are left out.

    data: the folder of --data. Asks no network: of the hub only its cache here.
    """
    looking, missing = Canary(), {}
    for row in rows:
        benchmark = row.benchmark
        if benchmark.external:
            missing[row.name] = f"its data is in its own harness, {benchmark.external}"
            continue
        try:
            found = locate(benchmark.source, data, download=False)
            samples = benchmark.read(found.folder)
        except (DataUnavailableError, DataError) as error:
            missing[row.name] = " ".join(str(error).split())
            continue
        # As in a suite: a reader's bug is this row's alone.
        except Exception as error:
            missing[row.name] = f"its data: {type(error).__name__} {' '.join(str(error).split())}"
            continue
        looking.add(row.name, samples, shots=bool(benchmark.protocol.shots))
    return looking, missing

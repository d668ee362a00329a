"""A corpus cut into items: what one worker reads at a time.

What the inputs looked like is written down first: a run that was killed goes on with the very same
items, or is refused if an input changed in between.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from openk2.config import build
from openk2.data.corpus.output import write_output
from openk2.data.corpus.recipe import CorpusRecipe, SourceTable
from openk2.data.sources import SourceSpan
from openk2.record import DataError


@dataclass(frozen=True)
class Item:
    """Neighbouring spans of one source. number: its place in the corpus."""

    number: int
    source: int
    spans: tuple[SourceSpan, ...]


@dataclass(frozen=True)
class Input:
    """One place of a source, and what it looked like when the corpus was begun."""

    source: int
    place: str
    state: str


@dataclass(frozen=True)
class Beginning:
    """What a corpus was begun with. settings: digest of the recipe, tokenizer and versions."""

    settings: str
    inputs: tuple[Input, ...]

    def save(self, path: Path) -> None:
        """Write beside and rename."""
        write_output(path, json.dumps(dataclasses.asdict(self)))

    @classmethod
    def load(cls, path: Path) -> "Beginning":
        """Read what `save` wrote."""
        return build(cls, json.loads(path.read_text(encoding="utf-8")), "")


@dataclass(frozen=True)
class CutJob:
    """Cut one place of a source into spans, written as JSON to `output`."""

    table: SourceTable
    place: str
    size: int
    output: Path


def cut_place(job: CutJob) -> None:
    """Do a CutJob: reads the place through if its kind needs that."""
    spans = job.table.open().cut(job.place, job.size)
    text = json.dumps([dataclasses.asdict(span) for span in spans])
    write_output(job.output, text)


def find_inputs(recipe: CorpusRecipe) -> tuple[Input, ...]:
    """Every place of every source, in order. Raises DataError for a source that has none."""
    found = []
    for number, table in enumerate(recipe.sources):
        source = table.open()
        found += [Input(number, place, source.state(place)) for place in source.places()]
    return tuple(found)


def group_spans(cuts: Sequence[tuple[Input, Sequence[SourceSpan]]], size: int) -> tuple[Item, ...]:
    """Neighbouring spans of one source together, up to about `size` bytes an item."""
    items: list[Item] = []
    held: list[SourceSpan] = []
    source = bytes_held = 0
    for place, spans in cuts:
        for span in spans:
            if held and (place.source != source or bytes_held + span.size > size):
                items.append(Item(len(items), source, tuple(held)))
                held, bytes_held = [], 0
            source = place.source
            held.append(span)
            bytes_held += span.size
    if held:
        items.append(Item(len(items), source, tuple(held)))
    return tuple(items)


def check_inputs(begun: Beginning, inputs: Sequence[Input]) -> None:
    """Raise DataError naming an input that is not as it was when the corpus was begun."""
    before = {(known.source, known.place): known.state for known in begun.inputs}
    for found in inputs:
        known = before.pop((found.source, found.place), None)
        if known != found.state:
            raise DataError(
                f"{found.place} changed since this corpus was begun ({known or 'absent'} then, "
                f"{found.state} now): write to another folder, or remove this one"
            )
    if before:
        raise DataError(
            f"{next(iter(before))[1]} is gone since this corpus was begun: bring it back, or write "
            "to another folder"
        )

"""The operations of one split, indexed: by provider, by what they are about, by what links them.

Held out are whole providers, a tenth of them, by a hash of the name.
"""

import bisect
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from random import Random

from openk2.synthesis.apis.deed import object_head
from openk2.synthesis.apis.operation import Field, Operation, read_operation
from openk2.synthesis.apis.verbs import CLASS_OF
from openk2.synthesis.apis.wording import singular, word_set
from openk2.synthesis.values import Split

_SMALL_WORDS = word_set("of for in the a an and to on with from")
_LINKING = frozenset({"code", "uuid", "big", "name", "hash"})


Purpose = tuple[str, frozenset[str]]


class CatalogueError(ValueError):
    """A file of operations cannot be used."""


@dataclass(frozen=True, slots=True)
class Link:
    """Two operations: what `first` returns under the name of `field` is an argument of `second`."""

    first: Operation
    second: Operation
    field: Field


def split_of(provider: str) -> Split:
    """The split a provider belongs to, by its name alone."""
    number = int.from_bytes(blake2b(provider.encode(), digest_size=8).digest(), "big")
    return "held_out" if number % 10 == 0 else "train"


def purpose(operation: Operation) -> Purpose:
    """What an operation is for; two of one purpose are never declared together."""
    words = frozenset(singular(w) for w in operation.object.split()) - _SMALL_WORDS
    return CLASS_OF[operation.verb], words


def overlaps(one: Purpose, two: Purpose) -> bool:
    """Whether two purposes are of one class and one is about all that the other is about."""
    return one[0] == two[0] and (one[1] <= two[1] or two[1] <= one[1])


def about(operation: Operation) -> str:
    """The noun that the operation is about, singular."""
    return singular(object_head(operation.object))


class Catalogue:
    """Operations to draw from. A provider's share grows with the root of its number of operations,
    so that the few giants do not make up the whole."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        by_provider: dict[str, list[Operation]] = defaultdict(list)
        for operation in operations:
            by_provider[operation.provider].append(operation)
        if not by_provider:
            raise CatalogueError("no operation of this split; read more API descriptions")
        self.by_provider = dict(sorted(by_provider.items()))
        self._names = list(self.by_provider)
        weights = [len(found) ** 0.5 for found in self.by_provider.values()]
        self._edges = list(itertools.accumulate(weights))

    @classmethod
    def load(cls, path: Path, split: Split) -> "Catalogue":
        """Read the operations of `split` from a file that `openk2 data apis` wrote.

        Raises CatalogueError naming the line that is none, or the split without operations.
        """
        with path.open(encoding="utf-8") as file:
            return cls(_read(path, file, split))

    def draw(self, rng: Random) -> Operation:
        """Any operation."""
        number = bisect.bisect(self._edges, rng.random() * self._edges[-1])
        provider = self._names[min(number, len(self._names) - 1)]
        return rng.choice(self.by_provider[provider])

    def draw_near(self, rng: Random, operation: Operation) -> Operation:
        """An operation of the same provider, if there is one more of the same noun or verb."""
        noun = self.by_noun[operation.provider, about(operation)]
        pool = noun if len(noun) > 1 and rng.random() < 0.7 else \
            self.by_provider[operation.provider]  # fmt: skip
        return rng.choice(pool)

    @cached_property
    def by_noun(self) -> dict[tuple[str, str], list[Operation]]:
        """Operations by provider and the noun that they are about."""
        found: dict[tuple[str, str], list[Operation]] = defaultdict(list)
        for operation in itertools.chain.from_iterable(self.by_provider.values()):
            found[operation.provider, about(operation)].append(operation)
        return dict(found)

    @cached_property
    def links(self) -> Sequence[Link]:
        """Pairs of operations of which the second needs an id that the first can find out."""
        found = []
        for second in itertools.chain.from_iterable(self.by_provider.values()):
            for field in second.fields:
                words = field.words.split()
                scalar = field.type in ("string", "integer", "number")
                if not (field.required and scalar and field.kind in _LINKING) or len(words) < 2:
                    continue
                noun = singular(words[-2])
                for first in self.by_noun.get((second.provider, noun), ())[:6]:
                    if _leads(first, second, field):
                        found.append(Link(first, second, field))
        return found

    @cached_property
    def twins(self) -> Sequence[tuple[Operation, Operation]]:
        """Pairs that a short request does not tell apart: one verb, one noun, other adjectives."""
        found = []
        for operations in self.by_noun.values():
            shown = [o for o in operations if 1 < len(o.object.split()) < 4
                     and object_head(o.object) == o.object.split()[-1]][:12]  # fmt: skip
            for one, two in itertools.combinations(shown, 2):
                kind, words = purpose(one)
                other_kind, other = purpose(two)
                nouns = {one.object.split()[-1], two.object.split()[-1]}
                if kind == other_kind and len(nouns) == 1 and words - other and other - words:
                    found.append((one, two))
        return found


def _leads(first: Operation, second: Operation, field: Field) -> bool:
    return (
        CLASS_OF[first.verb] == "read"
        and first is not second
        and all(f.words != field.words for f in first.fields if f.required)
        and purpose(first) != purpose(second)
        and sum(f.required for f in first.fields) <= 2
    )


def _read(path: Path, lines: Iterable[str], split: Split) -> Iterable[Operation]:
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if split_of(row["provider"]) == split:
                yield read_operation(row)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CatalogueError(
                f"{path} line {number} is no operation ({error}); write the file with "
                f"`openk2 data apis`"
            ) from error

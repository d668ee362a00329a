"""`contains`: at which places of an array the items are that it asks for."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from openk2.grammar.schema.denial import denied
from openk2.grammar.schema.keywords import Subschema

# The items that `contains` counts are among the first so many; in how many ways they may be.
FIRST, MAX_PLACEMENTS = 8, 64


@dataclass(frozen=True)
class Placement:
    """Schemas of items besides their own. least: how many items there are at least.

    first: those of the first items. rest: those of all others.
    """

    first: tuple[tuple[Subschema, ...], ...] = ()
    rest: tuple[Subschema, ...] = ()
    least: int = 0

    def at(self, index: int) -> tuple[Subschema, ...]:
        """Those of one item."""
        return self.first[index] if index < len(self.first) else self.rest


def placements(subschemas: Sequence[Subschema]) -> list[Placement]:
    """The ways to place what every `contains` asks for; one that is empty if none does.

    Raises GrammarError if there are more than MAX_PLACEMENTS.
    """
    found = [Placement()]
    for subschema in subschemas:
        if subschema.get("contains") is None:
            continue
        ways = _of_one(subschema)
        found = [_both(one, way) for one in found for way in ways]
        if len(found) > MAX_PLACEMENTS:
            raise subschema.refused(
                "contains", f"can be satisfied at more than {MAX_PLACEMENTS} sets of places"
            )
    return found


def _of_one(subschema: Subschema) -> list[Placement]:
    inner, least, most = (
        subschema.below("contains"),
        subschema.count("minContains"),
        subschema.count("maxContains"),
    )
    least = 1 if least is None else least
    if least > FIRST:
        raise subschema.refused("minContains", f"is {least}: at most {FIRST} can be enforced")
    others: tuple[Subschema, ...] = () if most is None else (denied(inner),)
    counts = [least] if most is None else range(least, min(most, FIRST) + 1)
    found: list[Placement] = []
    for count in counts:
        for places in combinations(range(FIRST), count):
            last = max(places, default=-1)
            first = tuple((inner,) if at in places else others for at in range(last + 1))
            found.append(Placement(first, others, last + 1))
            if len(found) > MAX_PLACEMENTS:
                return found
    return found


def _both(one: Placement, other: Placement) -> Placement:
    length = max(len(one.first), len(other.first))
    first = tuple((*one.at(index), *other.at(index)) for index in range(length))
    return Placement(first, (*one.rest, *other.rest), max(one.least, other.least))

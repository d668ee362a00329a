"""Sets of characters: sorted, disjoint ranges of code points."""

import unicodedata
from collections.abc import Iterable
from functools import lru_cache

Characters = tuple[tuple[int, int], ...]

LAST = 0x10FFFF
ANY: Characters = ((0, LAST),)
NONE: Characters = ()
# What a JSON string can hold here: no \u escapes, so no other control characters, and no
# surrogates, which are half a character.
WRITABLE: Characters = (
    (0x08, 0x0A),
    (0x0C, 0x0D),
    (0x20, 0x7E),
    (0x80, 0xD7FF),
    (0xE000, LAST),
)
DIGITS: Characters = ((0x30, 0x39),)
WORD: Characters = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
LINE_ENDS: Characters = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
SPACE: Characters = (
    *((0x09, 0x0D), (0x20, 0x20), (0xA0, 0xA0), (0x1680, 0x1680), (0x2000, 0x200A)),
    *((0x2028, 0x2029), (0x202F, 0x202F), (0x205F, 0x205F), (0x3000, 0x3000), (0xFEFF, 0xFEFF)),
)
# What Python's `re` takes for white space: without the last, with some control characters.
SPACE_OF_PYTHON: Characters = ((0x09, 0x0D), (0x1C, 0x20), (0x85, 0x85), *SPACE[2:-1])


def union(*sets: Characters) -> Characters:
    """Characters of any of them."""
    merged: list[tuple[int, int]] = []
    for low, high in sorted(one for characters in sets for one in characters):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return tuple(merged)


def complement(characters: Characters) -> Characters:
    """All others."""
    left, begin = [], 0
    for low, high in characters:
        if begin < low:
            left.append((begin, low - 1))
        begin = high + 1
    if begin <= LAST:
        left.append((begin, LAST))
    return tuple(left)


def intersection(first: Characters, second: Characters) -> Characters:
    """Characters of both."""
    both, i, j = [], 0, 0
    while i < len(first) and j < len(second):
        low, high = max(first[i][0], second[j][0]), min(first[i][1], second[j][1])
        if low <= high:
            both.append((low, high))
        if first[i][1] < second[j][1]:
            i += 1
        else:
            j += 1
    return tuple(both)


# Characters that no reader takes for a digit, or for a letter or digit. Short lists: the exact sets
# of Unicode have 700 ranges, which llguidance would follow at every step.
NO_DIGITS: Characters = (
    *((0x00, 0x2F), (0x3A, 0x65F), (0x2000, 0x2FFF), (0x3000, 0x9FFF), (0xAC00, 0xD7FF)),
    (0x1F000, 0x1FAFF),
)
NO_WORD: Characters = (
    *intersection(complement(WORD), ((0x00, 0x7F),)),
    *((0xA0, 0xA9), (0xAB, 0xB1), (0xB4, 0xB4), (0xB6, 0xB8), (0xBB, 0xBB), (0xBF, 0xBF)),
    *((0xD7, 0xD7), (0xF7, 0xF7), (0x2000, 0x200B), (0x200E, 0x203E), (0x2041, 0x2053)),
    *((0x2055, 0x206F), (0x20A0, 0x20C0), (0x2190, 0x245F)),
    *((0x2500, 0x2775), (0x2794, 0x2BFF), (0x3000, 0x3004), (0x3008, 0x3020)),
    (0x1F300, 0x1FAFF),
)


def of_points(points: Iterable[int]) -> Characters:
    """Single code points."""
    return union(tuple((point, point) for point in points))


def either_case(characters: Characters) -> Characters:
    """With the other case of each, of sets that are not huge; ASCII's of the others."""
    if sum(high - low + 1 for low, high in characters) > 2_000:
        characters = union(characters, either_case(intersection(characters, WORD)))
        return characters
    points = set[int]()
    for low, high in characters:
        for point in range(low, high + 1):
            letter = chr(point)
            points |= {point, *(ord(c) for c in (letter.lower(), letter.upper()) if len(c) == 1)}
    return of_points(points)


@lru_cache(maxsize=128)
def of_category(name: str) -> Characters:
    """The characters of a general category: "L", "Lu". Empty for a name that is none."""
    return union(*(part for key, part in _categories().items() if key.startswith(name)))


@lru_cache(maxsize=1)
def _categories() -> dict[str, Characters]:
    ranges: dict[str, list[tuple[int, int]]] = {}
    begin, current = 0, unicodedata.category("\0")
    # Planes 4 to 13 are unassigned, 15 and 16 private but for two characters each.
    private = (0xF0000, 0xFFFFE, 0x100000, 0x10FFFE, LAST + 1)
    for point in (*range(1, 0x40000), *range(0xE0000, 0xE1000), *private):
        category = unicodedata.category(chr(point)) if point <= LAST else ""
        if category != current:
            ranges.setdefault(current, []).append((begin, point - 1))
            begin, current = point, category
    return {name: tuple(found) for name, found in ranges.items()}

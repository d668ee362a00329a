"""Random access into a random order, in constant memory.

A corpus of 15 trillion tokens has billions of rows: the table of one shuffled epoch would be tens
of gigabytes in every process. A Feistel network is a bijection of the numbers of 2k bits whatever
its round function is; numbers past the size are sent through again until they fall below it
(cycle walking; Black and Rogaway, "Ciphers with arbitrary finite domains", 2002).
"""

import hashlib
from functools import lru_cache

ROUNDS = 6
MASK = 2**64 - 1


def permuted(place: int, size: int, key: tuple[int, ...]) -> int:
    """The number at `place` of the random order of 0 .. size - 1 that `key` decides."""
    if not 0 <= place < size:
        raise IndexError(f"place {place} is outside of 0 to {size - 1}")
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    keys = round_keys(key)
    while True:
        left, right = place >> half, place & mask
        for round_key in keys:
            left, right = right, left ^ (mixed(right, round_key) & mask)
        place = left << half | right
        if place < size:
            return place


@lru_cache(maxsize=64)
def round_keys(key: tuple[int, ...]) -> tuple[int, ...]:
    """A 64-bit key for each round."""
    digest = hashlib.blake2b(repr(key).encode(), digest_size=8 * ROUNDS).digest()
    return tuple(int.from_bytes(digest[i : i + 8], "little") for i in range(0, len(digest), 8))


def mixed(value: int, key: int) -> int:
    """A 64-bit number in which every bit depends on all of `value` and `key` (SplitMix64's end)."""
    value = (value + key) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)

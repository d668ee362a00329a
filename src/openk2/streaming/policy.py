"""`AgedFrequency`: which expert to drop when another needs its place."""

from collections.abc import Iterable

import numpy as np

HALF_LIFE = 384.0
# Scores grow with time instead of all of them shrinking; they are scaled back above this.
LARGEST = 1e30


class AgedFrequency:
    """Counts of uses that lose half their weight every `half_life` tokens; kept for all experts, in
    memory or not.

    The least used goes first. An expert that comes for the first time therefore goes before one
    that was used often, however long ago by the clock of layers: LRU would keep a whole pass
    through the network, all of whose experts it has seen later. Keys are 0 to `keys` - 1.
    """

    def __init__(self, keys: int, half_life: float = HALF_LIFE) -> None:
        self._score = np.zeros(keys)
        self._growth = 2.0 ** (1.0 / half_life)
        self._now = 1.0

    def advance(self, tokens: int) -> None:
        """Let `tokens` tokens of time pass."""
        self._now *= self._growth ** min(tokens, 4096)
        if self._now > LARGEST:
            self._score /= self._now
            self._now = 1.0

    def use(self, key: int, times: int) -> None:
        """Count a use by `times` tokens."""
        self._score[key] += self._now * times

    def least(self, keys: Iterable[int]) -> int | None:
        """The key to drop; None of none."""
        candidates = list(keys)
        return candidates[int(self._score[candidates].argmin())] if candidates else None

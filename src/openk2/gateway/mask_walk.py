"""`MaskWalk`: check a remote engine's tokens against a `TokenMask` the engine cannot see."""

from collections.abc import Collection, Mapping

import numpy as np

from openk2.protocol import TokenMask

# Up to this many allowed ids get a positive bias each; of more, the refused ids get a negative one.
FEW = 64
STRONGEST_BIAS = 100.0


class MaskWalk:
    """Accepts ids that the mask allows, and after a refused one biases the next choice.

    mask: None allows everything. vocab_size: of the model.
    """

    def __init__(self, mask: TokenMask | None, vocab_size: int) -> None:
        self._mask = mask
        self._words = np.zeros((vocab_size + 31) // 32, np.int32)
        self._limits: bool | None = None  # what `fill` returned; None: call it again
        self._refused: set[int] = set()

    def take(self, token_id: int) -> bool:
        """Append the id if the mask accepts it; returns whether it did.

        `accept` decides, not `fill`: where only one text may follow, `fill` allows one spelling of
        it, and an upstream with the same grammar may choose another.
        """
        if self._mask is None:
            return True
        self._limits = None
        try:
            taken = self._mask.accept(token_id)
        except ValueError:
            taken = False
        if taken:
            self._refused.clear()
        else:
            self._refused.add(token_id)
        return taken

    @property
    def went_wrong(self) -> bool:
        """Whether an id was refused at this position."""
        return bool(self._refused)

    def only(self, ends: Collection[int] = (), end: int | None = None) -> int | None:
        """The only id that may come next, or None. If all that may are in `ends`, it is `end`."""
        if self._mask is None or not self._fill():
            return None
        allowed = self._allowed(len(ends) + 2)
        if end in allowed and set(allowed) <= set(ends):
            return end
        return allowed[0] if len(allowed) == 1 else None

    def bias(self) -> Mapping[int, float]:
        """The logit bias for the next choice at a position where an id was refused; else empty."""
        if not self._refused:
            return {}
        if self._fill():
            allowed = self._allowed(FEW + 1)
            if len(allowed) <= FEW:
                return dict.fromkeys(allowed, STRONGEST_BIAS)
        return dict.fromkeys(self._refused, -STRONGEST_BIAS)

    def _fill(self) -> bool:
        if self._limits is None:
            assert self._mask is not None
            self._limits = self._mask.fill(self._words)
        return self._limits

    def _allowed_of(self, ids: tuple[int, ...]) -> list[int]:
        size = len(self._words)
        return [i for i in ids if 0 <= i // 32 < size and self._words[i // 32] >> (i % 32) & 1]

    def _allowed(self, most: int) -> list[int]:
        """The first `most` allowed ids."""
        allowed: list[int] = []
        for word in np.flatnonzero(self._words)[:most]:
            start = int(word) * 32
            allowed += self._allowed_of(tuple(range(start, start + 32)))
        return allowed[:most]

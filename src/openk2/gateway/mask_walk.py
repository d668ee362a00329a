"""`MaskWalk`: a `TokenMask` over ids that somebody else chose, who was never shown it."""

from collections.abc import Collection, Mapping

import numpy as np

from openk2.protocol import TokenMask

# Up to so many allowed ids are asked for by name; of more, the refused ones are warded off.
FEW = 64
STRONGEST_BIAS = 100.0


class MaskWalk:
    """Takes what the mask allows, and says how to bias the next choice after it did not.

    mask: None allows everything. vocab_size: of the model.
    """

    def __init__(self, mask: TokenMask | None, vocab_size: int) -> None:
        self._mask = mask
        self._words = np.zeros((vocab_size + 31) // 32, np.int32)
        self._limits: bool | None = None  # what `fill` said of the words; None: to be asked
        self._refused: set[int] = set()

    def take(self, token_id: int) -> bool:
        """Whether the output may go on with this id; if so, it does.

        `accept` is the judge and not `fill`, which where only one text may follow gives one way
        to spell it: an upstream that knows the same grammar may choose another.
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
        """Whether an id was refused in this place."""
        return bool(self._refused)

    def only(self, ends: Collection[int] = (), end: int | None = None) -> int | None:
        """The id, if only one may come next. Of several that all are `ends`, it is `end`."""
        if self._mask is None or not self._fill():
            return None
        allowed = self._allowed(len(ends) + 2)
        if end in allowed and set(allowed) <= set(ends):
            return end
        return allowed[0] if len(allowed) == 1 else None

    def bias(self) -> Mapping[int, float]:
        """For a choice in a place where an id was refused; empty where none was."""
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
        """The allowed ids, the first `most` of them."""
        allowed: list[int] = []
        for word in np.flatnonzero(self._words)[:most]:
            start = int(word) * 32
            allowed += self._allowed_of(tuple(range(start, start + 32)))
        return allowed[:most]

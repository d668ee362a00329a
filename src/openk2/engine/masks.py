"""Token masks of a step."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openk2.protocol import TokenMask

# Handing the interpreter's lock to and fro costs a step of a small model more than its masks do
# (docs/design/engine.md); the masks of a large vocabulary take longer than that.
BESIDE_FROM = 1 << 16

# What the 8 ids of each octet of a mask get: 0 or minus infinity. To look them up and add takes a
# fifth of the time of `masked_fill`, which branches at every id.
REFUSALS = np.where(np.arange(256)[:, None] >> np.arange(8) & 1, 0, -np.inf).astype(np.float32)


@dataclass(frozen=True)
class Filled:
    """What the masks of N rows gave.

    words int32 [N, ceil(V / 32)]: all ones where every id may come. errors: what masks raised, by
    row; such a row's words mean nothing.
    """

    words: NDArray[np.int32]
    errors: Mapping[int, Exception]


class MaskFiller:
    """Fills the masks of a step; those of a large vocabulary while the model computes.

    A mask is known as soon as the token before is, so it need not wait for the model. What a mask
    raises ends its own request and no other.

    beside: whether a thread of its own fills (default: from BESIDE_FROM ids on).
    """

    def __init__(self, vocab_size: int, *, beside: bool | None = None) -> None:
        self._width = -(-vocab_size // 32)
        if beside is None:
            beside = vocab_size >= BESIDE_FROM
        # Ends with this object.
        self._thread = ThreadPoolExecutor(1, "openk2-masks") if beside else None

    def begin(self, masks: Sequence[TokenMask | None]) -> Callable[[], Filled] | None:
        """Start to fill; what is returned waits for the end. None if there is no mask."""
        if not any(masks):
            return None
        if self._thread is not None:
            return self._thread.submit(fill, masks, self._width).result
        filled = fill(masks, self._width)
        return lambda: filled

    def again(self, mask: TokenMask) -> Filled:
        """Fill one at once, whose token was not taken."""
        return fill([mask], self._width)


def fill(masks: Sequence[TokenMask | None], width: int) -> Filled:
    """The words [len(masks), width] of masks, one a row."""
    words = np.full((len(masks), width), -1, dtype=np.int32)
    errors: dict[int, Exception] = {}
    for row, mask in enumerate(masks):
        if mask is not None:
            try:
                mask.fill(words[row])
            except Exception as error:
                errors[row] = error
    return Filled(words, errors)


def allow(logits: Tensor, filled: Filled) -> Tensor:
    """Logits [N, V], float32, with minus infinity where a row's id may not come."""
    octets = filled.words.astype("<i4", copy=False).view(np.uint8)
    refusals = REFUSALS.take(octets, axis=0).reshape(len(octets), -1)[:, : logits.shape[1]]
    return logits + torch.from_numpy(refusals).to(logits.device)

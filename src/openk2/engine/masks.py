"""Token masks of a step: filled by a thread of their own while the model computes."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openk2.protocol import TokenMask

Words = NDArray[np.int32]
# What one mask gave: its words, None where every id may come, or what it raised.
Filled = Words | Exception | None


class MaskThread:
    """Fills the masks of a step beside the worker.

    A mask is known as soon as the token before is, so it need not wait for the model. What a mask
    raises ends its own request and no other.
    """

    def __init__(self, vocab_size: int) -> None:
        self._width = -(-vocab_size // 32)
        # Ends with this object.
        self._thread = ThreadPoolExecutor(1, "openk2-masks")

    def begin(self, masks: Sequence[TokenMask | None]) -> Future[list[Filled]] | None:
        """Start to fill; None if there is no mask."""
        if not any(masks):
            return None
        return self._thread.submit(lambda: [fill(mask, self._width) for mask in masks])

    def again(self, mask: TokenMask) -> Filled:
        """Fill one at once, whose token was not taken."""
        return fill(mask, self._width)


def fill(mask: TokenMask | None, width: int) -> Filled:
    """One mask's words [width]."""
    words = np.empty(width, dtype=np.int32)
    try:
        return words if mask is not None and mask.fill(words) else None
    except Exception as error:
        return error


def allow(logits: Tensor, filled: Sequence[Filled]) -> Tensor:
    """Logits [B, V] with minus infinity where a row's id may not come; the same tensor if all may.

    A row whose mask raised is left as it is.
    """
    constrained = {i: words for i, words in enumerate(filled) if isinstance(words, np.ndarray)}
    if not constrained:
        return logits
    words = np.stack(list(constrained.values())).astype("<i4", copy=False)
    bits = np.unpackbits(words.view(np.uint8), axis=1, bitorder="little", count=logits.shape[1])
    allowed = torch.ones(logits.shape, dtype=torch.bool)
    allowed[list(constrained)] = torch.from_numpy(bits.view(bool))
    return logits.masked_fill(~allowed.to(logits.device), -torch.inf)

"""Token masks: filling them, and applying them to logits."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openk2.protocol import TokenMask

# Filling in a second thread passes the interpreter's lock back and forth, which costs a small model
# more than its masks do (docs/design/engine.md). Masks of a large vocabulary cost more than that.
THREADED_FROM = 1 << 16

# For each value of a mask's byte, what its 8 ids get added: 0 or minus infinity. Looking them up
# and adding takes a fifth of the time of `masked_fill`, which branches at every id.
PENALTIES = np.where(np.arange(256)[:, None] >> np.arange(8) & 1, 0, -np.inf).astype(np.float32)


class MaskError(RuntimeError):
    """A mask failed, or allows no id; its own request ends, and no other."""


@dataclass(frozen=True)
class FilledMasks:
    """The masks of N rows.

    words: int32 [N, ceil(V / 32)], one bit an id; all ones in a row without a mask, or with one
    that failed. errors: why, by row.
    """

    words: NDArray[np.int32]
    errors: Mapping[int, MaskError]


class MaskFiller:
    """Fills the masks of a step; with a large vocabulary, while the model computes.

    A mask depends on the tokens so far and not on the model's output, so the two can overlap. An
    exception of a mask ends its own request and no other.

    threaded: whether to fill in a thread (default: with THREADED_FROM ids or more).
    """

    def __init__(self, vocab_size: int, *, threaded: bool | None = None) -> None:
        self._width = -(-vocab_size // 32)
        if threaded is None:
            threaded = vocab_size >= THREADED_FROM
        # The thread ends with this object.
        self._thread = ThreadPoolExecutor(1, "openk2-masks") if threaded else None

    def begin(self, masks: Sequence[TokenMask | None]) -> Callable[[], FilledMasks] | None:
        """Start filling; the function returned waits for the result. None if there is no mask."""
        if not any(masks):
            return None
        if self._thread is not None:
            return self._thread.submit(fill, masks, self._width).result
        filled = fill(masks, self._width)
        return lambda: filled

    def refill(self, mask: TokenMask) -> FilledMasks:
        """Fill one mask now, after it refused a token."""
        return fill([mask], self._width)


def fill(masks: Sequence[TokenMask | None], width: int) -> FilledMasks:
    """Fill masks, one a row: words int32 [len(masks), width]."""
    words = np.full((len(masks), width), -1, dtype=np.int32)
    errors: dict[int, MaskError] = {}
    for row, mask in enumerate(masks):
        if mask is None:
            continue
        try:
            mask.fill(words[row])
        except BaseException as error:  # a panic of a library written in Rust is no Exception
            errors[row] = mask_failed(error)
            words[row] = -1
    return FilledMasks(words, errors)


def accept(mask: TokenMask, token: int) -> bool:
    """`TokenMask.accept`. Raises MaskError, whatever the mask raises."""
    try:
        return mask.accept(token)
    except BaseException as error:  # as in `fill`
        raise mask_failed(error) from error


def mask_failed(cause: BaseException) -> MaskError:
    """The error of a mask that raised `cause`."""
    error = MaskError(f"the output's mask failed: {type(cause).__name__}: {cause}")
    error.__cause__ = cause
    return error


def apply_masks(logits: Tensor, filled: FilledMasks) -> Tensor:
    """`logits` [N, V] as float32, with minus infinity at the ids that a row's mask forbids."""
    mask_bytes = filled.words.astype("<i4", copy=False).view(np.uint8)
    penalties = PENALTIES.take(mask_bytes, axis=0).reshape(len(mask_bytes), -1)
    return logits + torch.from_numpy(penalties[:, : logits.shape[1]]).to(logits.device)
